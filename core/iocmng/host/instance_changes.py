"""Changes of single instances: one more, one less, other settings, other records."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from iocmng.errors import InstallFailed
from iocmng.host.added import AddedInstances
from iocmng.host.changing import Changing
from iocmng.host.finding_plugins import FoundPlugins
from iocmng.host.operation import Operation
from iocmng.host.planning import Change, complete_plan
from iocmng.host.refusing import RAISE_SPARES, in_words, refuse_invalid, refuse_without_restart
from iocmng.plugins.environment import canonical
from iocmng.plugins.installing.generations import Generations
from iocmng.plugins.installing.model import Generation, Lock, Resolution
from iocmng.runtime.instance import Instance
from iocmng.settings import InstallSettings
from iocmng.settings.instances import RequestedInstance
from iocmng.wire import Actor, OperationState, PlanView, Step

if TYPE_CHECKING:
    from iocmng.plugins.installing.installer import Installer


class InstanceChanges:
    """On the loop's thread; see `iocmng.host.performing.Performing`."""

    def __init__(
        self,
        found: FoundPlugins,
        changing: Changing,
        *,
        generations: Generations,
        added: AddedInstances,
        settings: Callable[[], InstallSettings],
        safe: str = "",
    ) -> None:
        self._found = found
        self._changing = changing
        self._generations = generations
        self._added = added
        self._settings = settings
        self._safe = safe

    async def unchanged(self, operation: Operation, installer: Installer, resolution: Resolution) -> None:
        """The same distributions: what is said of their instances may be other than before."""
        here = self._found.generation
        lock = resolution.lock
        remark = resolution.remark or f"nothing changes: {_named(lock, resolution)} is here"
        if here is None or operation.view.planned_only or lock == here.lock:
            operation.plan(PlanView())
            operation.end(OperationState.DONE, remark)
            return
        generation = replace(here, lock=lock)
        others = {root.name for root in lock.roots if _said(root.name, here.lock) != root.instance}
        if not others:
            operation.plan(PlanView())
            await self._record(generation, installer)
            self._found.generation = generation
            operation.end(OperationState.DONE, remark)
            return
        with operation.step(Step.PROBE):
            change = await self._changing.settings(generation, others)
            self._judge(operation, change)
        with operation.step(Step.SWITCH):
            await self._changing.stop(change, operation.actor)
        await self._switched(operation, change, lambda: self._record(generation, installer))

    def _judge(self, operation: Operation, change: Change) -> None:
        plan = complete_plan(PlanView(), change, safe=self._safe)
        operation.plan(plan)
        refuse_invalid(change)
        refuse_without_restart(plan)

    async def _record(self, generation: Generation, installer: Installer) -> None:
        await asyncio.to_thread(self._generations.write_marker, generation)
        await asyncio.to_thread(installer.write_lock, generation.lock)

    async def _switched(
        self, operation: Operation, change: Change, record: Callable[[], Awaitable[None]]
    ) -> None:
        """Exchange instances, see that they run, and have that recorded; all of it or nothing."""
        with operation.step(Step.SWITCH):
            try:
                started = await self._changing.switch(change, operation.actor)
            except BaseException:
                self._changing.resume(change, operation.actor)
                raise
        try:
            with operation.step(Step.CONFIRM):
                reason = await self._changing.confirm(started, self._settings().confirm_for, operation.tell)
                if reason:
                    raise InstallFailed(reason, hint="iocmng logs NAME says more")
                await record()
        except BaseException:
            await self._changing.take_back(change, operation.actor)
            raise
        await self._changing.keep(change)
        operation.end(OperationState.DONE, change.words)

    async def add(self, operation: Operation, wanted: RequestedInstance, distribution: str) -> None:
        """Take another instance of a plugin in."""
        with operation.step(Step.PROBE):
            change = await self._changing.another(wanted, distribution)
            self._judge(operation, change)
        await self._switched(operation, change, lambda: asyncio.to_thread(self._added.add, wanted))

    def why_not_renewed(self, instance: Instance) -> str:
        """Why an instance cannot get the records that it asks for now, or ""."""
        lacking = self._changing.renewed(instance).lacking
        return (
            f"not enough spare records ({in_words(lacking)}): restart the host for its new PVs"
            if lacking
            else ""
        )

    async def renew(self, operation: Operation, instance: Instance) -> None:
        """Exchange an instance that was validated again for one with the records it asks for now."""
        change = self._changing.renewed(instance)
        operation.plan(complete_plan(PlanView(), change, safe=self._safe))
        with operation.step(Step.SWITCH):
            await self._changing.stop(change, operation.actor)
            try:
                await self._changing.switch(change, operation.actor)
            except BaseException:
                self._changing.resume(change, operation.actor)
                raise
        await self._changing.keep(change)
        operation.end(OperationState.DONE, f"{instance.name} has its new PVs")

    async def rescan(self, actor: Actor) -> dict[str, Any]:
        """Take in what pip has installed in the base since; what changed or went waits for a restart of the host."""
        different, added = await asyncio.to_thread(self._found.look_again)
        started: list[str] = []
        remark = ""
        change = self._changing.with_places(
            Change(generation=self._found.generation, was=self._found.generation, arriving=added)
        )
        if change.lacking:
            remark = f"not enough spare records: {in_words(change.lacking)}; {RAISE_SPARES}"
        elif added:
            started = [one.name for one in await self._changing.switch(change, actor)]
            await self._changing.keep(change)
        waits = bool(remark or different["removed"] or different["changed"])
        return {**different, "started": started, "restart_required": waits, "remark": remark}

    async def drop(self, operation: Operation, instance: Instance) -> None:
        """Take an added instance out."""
        change = self._changing.without(instance)
        operation.plan(complete_plan(PlanView(), change, safe=self._safe))
        with operation.step(Step.SWITCH):
            await asyncio.to_thread(self._added.remove, [instance.name])
            await self._changing.stop(change, operation.actor, must_end=False)
            await self._changing.switch(change, operation.actor)
        await self._changing.keep(change)
        operation.end(OperationState.DONE, change.words)


def _said(name: str, lock: Lock) -> Mapping[str, Any]:
    root = lock.root(name)
    return root.instance if root else {}


def _named(lock: Lock, resolution: Resolution) -> str:
    request = resolution.request
    roots = [lock.root(canonical(name)) for name in request.requirements]
    if request.source is not None:
        roots = [root for root in lock.roots if root.plugin == request.source.name]
    found = [lock.locked(root.name) for root in roots if root]
    return ", ".join(f"{one.name} {one.version}" for one in found if one) or "what is asked for"
