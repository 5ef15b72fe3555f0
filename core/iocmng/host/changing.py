"""Changes what runs: probes what is to come, exchanges modules and instances, and takes that back."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from iocmng.errors import InstallRefused, Refused
from iocmng.host.finding_plugins import FoundPlugins
from iocmng.host.planning import Change
from iocmng.plugins import hot
from iocmng.plugins.candidate import Candidate
from iocmng.plugins.environment import canonical
from iocmng.plugins.installing.model import Generation, Resolution, Tell
from iocmng.plugins.modules import ModuleSwap
from iocmng.plugins.ownership import ChangedDistribution
from iocmng.runtime.desired import DesiredState, Intent
from iocmng.runtime.instance import Instance
from iocmng.runtime.rollout import Exchange, confirm
from iocmng.runtime.supervisor import Supervisor
from iocmng.settings.instances import InstanceSettings
from iocmng.wire import Actor, Finding, Level, Where

_log = logging.getLogger("iocmng.install")


class Changing:
    """On the loop's thread.

    Args:
        found: The host's plugins.
        exchange: Exchanges instances and their records.
        supervisor: The host's instances.
        desired: What operators want of them.
        starts: Whether an instance is to run.
    """

    def __init__(
        self,
        found: FoundPlugins,
        exchange: Exchange[Candidate],
        supervisor: Supervisor,
        desired: DesiredState,
        starts: Callable[[Instance], bool],
    ) -> None:
        self._found = found
        self._exchange = exchange
        self._supervisor = supervisor
        self._records = supervisor.env.records
        self._desired = desired
        self._starts = starts

    async def probe(self, resolution: Resolution, generation: Generation | None, tell: Tell) -> Change:
        """Find out which instances a generation brings, and what their coming takes; nothing changes."""
        tell("imports and validates what arrives")
        names = {one.name for one in resolution.changes}
        arriving = {one.name for one in resolution.changes if one.after}
        running = [one.spec for one in self._supervisor]
        valid = [one.spec for one in self._supervisor if one.findings == () or self._valid(one)]
        leaving_names = {
            one.name for one in self._supervisor if canonical(one.spec.plugin.distribution) in names
        }

        def look() -> Change:
            before = self._found.environment(self._found.generation)
            after = self._found.environment(generation)
            changes = hot.with_dependents(
                [
                    ChangedDistribution(
                        name=name, before=before.installed.get(name), after=after.installed.get(name)
                    )
                    for name in sorted(names)
                ],
                before,
                after,
            )
            catalog = self._found.judge(generation, arriving, running)
            stopped = leaving_names | {one.spec.name for one in catalog.candidates}
            reasons = hot.not_hot(changes, hot.users(valid, before, stopped))
            return Change(
                was=self._found.generation,
                distributions=resolution.changes,
                lock=resolution.lock,
                generation=generation,
                arriving=catalog.candidates,
                changes=changes,
                swap=ModuleSwap(
                    self._found.generation.site if self._found.generation else None,
                    generation.site if generation else None,
                    changes,
                ),
                reasons=reasons,
                heavy=hot.heavy(catalog.candidates),
                findings=hot.notes(changes),
                accepted=resolution.request.accept_reconnect,
            )

        change = self.with_places(await asyncio.to_thread(look), leaving_names)
        return replace(change, findings=(*change.findings, *self._missed(change)))

    def _missed(self, change: Change) -> Iterator[Finding]:
        """Yield instances that stay and depend on one that goes: they run on, and are INVALID at the next start."""
        going = set(change.removed)
        leaving = {one.name for one in change.leaving}
        for one in self._supervisor:
            for name in (
                going.intersection(one.spec.supervision.depends_on) if one.name not in leaving else ()
            ):
                text = (
                    f"{one.name} depends on {name!r}, which goes: it is INVALID at the next start of the host"
                )
                hint = f"remove {one.name} too, or take {name} out of its depends_on"
                yield Finding(Level.WARNING, "depends-unknown", text, Where(key=one.name), hint)

    def _valid(self, instance: Instance) -> bool:
        return self._found.candidate(instance.name).valid

    def with_places(self, change: Change, leaving: Collection[str] = ()) -> Change:
        """Add who leaves (those of these names, and of the names that arrive), and what records it takes."""
        arriving = {one.spec.name for one in change.arriving}
        out = tuple(one for one in self._supervisor if one.name in leaving or one.name in arriving)
        records = [record for one in change.arriving for record in one.spec.records]
        served = {record.name for one in out for record in one.spec.records}
        return replace(
            change,
            leaving=out,
            before=tuple(self._found.candidate(one.name) for one in out),
            lacking=self._records.lacking(records),
            anew=frozenset(
                record.name for record in records if record.name in served and self._records.needs_new(record)
            ),
        )

    async def another(self, wanted: InstanceSettings, distribution: str) -> Change:
        """Find out what another instance of a plugin that is here would be."""
        here = self._found.generation
        running = [one.spec for one in self._supervisor]
        catalog = await asyncio.to_thread(self._found.judge, here, {distribution}, running, added=wanted)
        arriving = tuple(one for one in catalog.candidates if one.spec.name == wanted.instance)
        return self.with_places(Change(generation=here, was=here, arriving=arriving))

    async def settings(self, generation: Generation, distributions: Collection[str]) -> Change:
        """Find out what instances of unchanged distributions are with what a generation's lock says of them."""
        running = [one.spec for one in self._supervisor]
        catalog = await asyncio.to_thread(self._found.judge, generation, distributions, running)
        names = {
            one.name for one in self._supervisor if canonical(one.spec.plugin.distribution) in distributions
        }
        change = Change(
            lock=generation.lock,
            generation=generation,
            was=self._found.generation,
            arriving=catalog.candidates,
        )
        return self.with_places(change, names)

    def renewed(self, instance: Instance) -> Change:
        """What it means to exchange an instance that was validated again for one with the records it asks for now."""
        here = self._found.generation
        new = self._found.candidate(instance.name)
        change = self.with_places(Change(generation=here, was=here, arriving=(new,)))
        return replace(change, before=(self._found.replaced(instance.name),))

    def without(self, instance: Instance) -> Change:
        """What it means to take one instance out."""
        here = self._found.generation
        return Change(
            generation=here, was=here, leaving=(instance,), before=(self._found.candidate(instance.name),)
        )

    async def stop(self, change: Change, actor: Actor, *, must_end: bool = True) -> None:
        """Stop those that leave.

        Raises:
            InstallRefused: A thread of them has not ended, or something of the old code still runs. Those that
                are to run are started again.
        """
        try:
            hanging = await self._exchange.stop(change.leaving, actor)
            if must_end and change.changes:
                await self._nothing_left(change, hanging)
        except BaseException:
            self.resume(change, actor)
            raise

    async def _nothing_left(self, change: Change, hanging: Sequence[str]) -> None:
        if hanging:
            raise InstallRefused(
                f"old code still runs: {hanging[0]}",
                hint="--restart-host ends it, or mend the task: it does not end within its stop_timeout",
                code="still-running",
            )
        valid = [one.spec for one in self._supervisor if self._valid(one)]
        names = {one.name for one in change.leaving}

        def look() -> str:
            before = self._found.environment(self._found.generation)
            found = hot.still_running(change.changes, hot.users(valid, before, names))
            return "; ".join(f"{one.package}: {one.reason}" for one in found)

        if why := await asyncio.to_thread(look):
            raise InstallRefused(
                f"old code is still held: {why}", hint="--restart-host makes it", code="still-running"
            )

    async def switch(self, change: Change, actor: Actor) -> list[Instance]:
        """Exchange code and instances, and start those that are to run; return these.

        Raises:
            IocmngError: It could not be done; the old ones are there again, and stopped.
        """
        if change.swap is not None:
            await asyncio.to_thread(change.swap.take)
        try:
            self._all_stopped(change.leaving)
            made = self._exchanged(change.leaving, change.arriving, change.generation)
        except BaseException:
            if change.swap is not None:
                await asyncio.to_thread(change.swap.put_back)
            raise
        return self._start(made, actor)

    def _exchanged(
        self, leaving: Iterable[Instance], arriving: Iterable[Candidate], generation: Generation | None
    ) -> list[Instance]:
        out, into = tuple(leaving), tuple(arriving)
        before = [self._found.candidate(one.name) for one in out]
        was = self._found.generation
        self._note(out, into, generation)
        try:
            return self._exchange.exchange(out, into)
        except BaseException:
            self._found.let_go(one.spec.name for one in into)
            self._found.take_in(before)
            self._found.generation = was
            self._exchange.exchange(out, before)
            raise

    def _note(
        self, leaving: Iterable[Instance], arriving: Iterable[Candidate], generation: Generation | None
    ) -> None:
        self._found.let_go(one.name for one in leaving)
        self._found.take_in(arriving)
        self._found.generation = generation

    def _all_stopped(self, instances: Iterable[Instance]) -> None:
        for one in instances:
            if not one.shutdown_done():
                raise Refused(f"{one.name} was started meanwhile", hint="try again")

    def _start(self, instances: Iterable[Instance], actor: Actor) -> list[Instance]:
        self._supervisor.leaving = frozenset()
        wanted = [one for one in instances if self._starts(one)]
        names = {one.name for one in wanted}
        paused = {name for name in names if self._desired.of(name).intent is Intent.PAUSED}
        self._supervisor.start(names, paused, actor)
        return wanted

    def resume(self, change: Change, actor: Actor) -> None:
        """Start those again that were to leave."""
        names = {one.name for one in change.leaving}
        self._start([one for one in self._supervisor if one.name in names], actor)

    async def confirm(self, started: list[Instance], seconds: float, tell: Tell) -> str:
        """Why those that were started are not confirmed, or ""."""
        return await confirm(started, seconds, self._supervisor.env.clock, tell)

    async def take_back(self, change: Change, actor: Actor) -> None:
        """Bring the old code and instances back."""
        names = {one.spec.name for one in change.arriving}
        made = [one for one in self._supervisor if one.name in names]
        await self._exchange.stop(made, actor)
        if change.swap is not None:
            await asyncio.to_thread(change.swap.put_back)
        self._note(made, change.before, change.was)
        self._start(self._exchange.exchange(made, change.before), actor)

    async def keep(self, change: Change) -> None:
        """The change stands: there is no way back but another change."""
        if change.swap is not None:
            change.swap.keep()
            # Old classes and modules hold each other, and the collector has no reason to look soon: what boot made
            # is frozen, so a look costs next to nothing.
            await asyncio.to_thread(gc.collect)
        self._desired.forget(change.removed)
        try:
            await asyncio.to_thread(self._desired.commit)
        except OSError as error:
            # It is tried again with the next thing that operators ask for, and the host's problems say so.
            _log.error("what was wanted of removed instances is not forgotten on disk: %s", error)
