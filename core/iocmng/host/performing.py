"""Operations of installing, step by step: plan, diff, stage, probe, switch, confirm."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from iocmng.errors import BadInput, InstallFailed, InstallRefused, Refused
from iocmng.host.changing import Changing
from iocmng.host.ending import Ending
from iocmng.host.finding_plugins import FoundPlugins
from iocmng.host.instance_changes import InstanceChanges
from iocmng.host.operation import Operation
from iocmng.host.planning import Change, complete_plan
from iocmng.host.refusing import refuse_invalid, refuse_kind, refuse_without_restart
from iocmng.plugins.installing.changes import changes_between
from iocmng.plugins.installing.generations import Generations, usable
from iocmng.plugins.installing.model import NOTHING, Generation, Pointer, Resolution
from iocmng.settings import InstallSettings
from iocmng.wire import InstallVerb, OperationState, PlanView, Step

if TYPE_CHECKING:
    from iocmng.plugins.installing.installer import Installer

_log = logging.getLogger("iocmng.install")
RETRY = 10.0


class Performing:
    """On the loop's thread; what blocks goes to other threads.

    Args:
        found: The host's plugins.
        changing: Exchanges instances and modules.
        generations: What is staged.
        installer: Made anew for each operation: its settings may have changed.
        instances: Changes single ones.
        settings: The section `install` in force.
        ending: How the host ends.
        restart_required: Told whether a generation waits for the next start of the host.
        safe: Why the host runs without plugins, or "".
    """

    def __init__(
        self,
        found: FoundPlugins,
        changing: Changing,
        *,
        generations: Generations,
        installer: Callable[[], Installer],
        instances: InstanceChanges,
        settings: Callable[[], InstallSettings],
        ending: Ending,
        restart_required: Callable[[bool], None],
        safe: str = "",
    ) -> None:
        self._found = found
        self._changing = changing
        self._generations = generations
        self._installer = installer
        self._instances = instances
        self._settings = settings
        self._ending = ending
        self._restart_required = restart_required
        self._safe = safe
        self._owed: Pointer | None = None
        self._paying: asyncio.Task[None] | None = None

    @property
    def generation(self) -> Generation | None:
        """What is installed in the running host."""
        return self._found.generation

    async def perform(self, operation: Operation) -> None:
        """Do what an admin asks for, to its end.

        Raises:
            IocmngError: A step refused or failed; all is as before.
            Aborted: Somebody asked for that.
        """
        request = operation.request
        if self._owed is not None:
            await self._point(self._owed)
        if request.verb is InstallVerb.ROLLBACK:
            await self._roll_back(operation)
            return
        self._nothing_pending(operation)
        installer = self._installer()
        with operation.step(Step.PLAN):
            resolution = await asyncio.to_thread(installer.resolve, request, operation.tell)
        if not resolution.changes:
            await self._instances.unchanged(operation, installer, resolution)
            return
        with operation.step(Step.DIFF):
            plan = PlanView(distributions=resolution.changes)
            operation.plan(plan)
        with operation.step(Step.STAGE):
            generation = await asyncio.to_thread(installer.stage, resolution, operation.tell)
            operation.staged(generation.number)
        try:
            await self._take_up(operation, plan, resolution, generation, installer)
        except BaseException:
            await self._discard_unless_in_force(generation)
            raise

    def _nothing_pending(self, operation: Operation) -> None:
        pointer = self._generations.pointer()
        running = self.generation.number if self.generation else NOTHING
        if pointer.pending == running and pointer.pending != pointer.current:
            raise Refused(
                f"generation {running} came with the start of the host and is not confirmed yet",
                hint="wait for some seconds and try again",
            )
        if pointer.pending is not None and not operation.view.planned_only:
            raise Refused(
                f"generation {pointer.pending} waits for a restart of the host",
                hint="iocmng restart-host takes it over, iocmng rollback drops it",
            )

    async def _discard_unless_in_force(self, generation: Generation) -> None:
        pointer = self._generations.pointer()
        if generation.number not in (pointer.current, pointer.pending):
            await asyncio.to_thread(shutil.rmtree, generation.folder, ignore_errors=True)

    async def _roll_back(self, operation: Operation) -> None:
        with operation.step(Step.PLAN):
            pointer = self._generations.pointer()
            wanted = operation.request.generation
            if pointer.pending is not None and wanted in (None, pointer.current):
                await self._drop_pending(operation, pointer)
                return
            number = pointer.previous if wanted is None else wanted
            if number == pointer.current == NOTHING:
                raise Refused("there is nothing to go back to: nothing is installed through the host")
            if number == pointer.current:
                raise Refused(
                    f"generation {number} is in force already", hint="iocmng generations lists the others"
                )
            generation = None if number == NOTHING else self._generations.get(number)
            if generation is not None and (reason := usable(generation)):
                raise InstallRefused(f"generation {number} cannot be used: {reason}")
            installer = self._installer()
            resolution = installer.resolution_of(generation) if generation else self._without_all(operation)
            operation.staged(number)
        with operation.step(Step.DIFF):
            plan = PlanView(distributions=resolution.changes)
            operation.plan(plan)
        await self._take_up(operation, plan, resolution, generation, installer)

    async def _drop_pending(self, operation: Operation, pointer: Pointer) -> None:
        await self._point(replace(pointer, pending=None, attempts=0))
        running = self.generation.number if self.generation else NOTHING
        text = f"generation {pointer.pending} is dropped"
        if running != pointer.pending:
            self._restart_required(False)
            operation.end(OperationState.DONE, f"{text}; generation {pointer.current} stays")
        elif operation.request.restart_host:
            self._ending.restart()
            operation.end(OperationState.RESTARTING, f"{text}; the host restarts with {pointer.current}")
        else:
            self._restart_required(True)
            operation.end(
                OperationState.RESTART_REQUIRED,
                f"{text}; it runs until the host restarts with generation {pointer.current}",
                hint="iocmng restart-host",
            )

    def _without_all(self, operation: Operation) -> Resolution:
        before = self._generations.in_force()
        assert before is not None
        lock = replace(before.lock, roots=(), distributions=())
        changes = changes_between(before.lock, lock)
        return Resolution(request=operation.request, lock=lock, changes=changes, before=before)

    async def _take_up(
        self,
        operation: Operation,
        plan: PlanView,
        resolution: Resolution,
        generation: Generation | None,
        installer: Installer,
    ) -> None:
        request = operation.request
        with operation.step(Step.PROBE):
            change = await self._changing.probe(resolution, generation, operation.tell)
            plan = complete_plan(plan, change, safe=self._safe)
            operation.plan(plan)
            refuse_invalid(change)
            refuse_kind(change, request.kind)
        if operation.view.planned_only:
            if generation is not None and request.verb is not InstallVerb.ROLLBACK:
                # Only what this operation staged: a rollback's generation was there before.
                await self._discard_unless_in_force(generation)
            operation.end(OperationState.DONE, "this was a plan: nothing has changed")
            return
        if plan.hot:
            await self._switch(operation, change, installer)
            return
        with operation.step(Step.SWITCH):
            if not request.restart_host:
                refuse_without_restart(plan)
            number = generation.number if generation else NOTHING
            pointer = self._generations.pointer()
            await self._point(replace(pointer, pending=number, attempts=0))
        if request.restart_host:
            try:
                self._ending.restart()
            except BadInput:
                await self._point_back(pointer)
                raise
            operation.end(OperationState.RESTARTING, "the host restarts, and confirms it then")
            return
        self._restart_required(True)
        why = "; ".join(f"{one.package}: {one.reason}" for one in plan.reasons)
        operation.end(
            OperationState.RESTART_REQUIRED,
            f"staged; the host takes it over at its next start, because {why}",
            hint="iocmng restart-host, or iocmng rollback to drop it",
        )

    async def _switch(self, operation: Operation, change: Change, installer: Installer) -> None:
        pointer = self._generations.pointer()
        number = change.generation.number if change.generation else NOTHING
        with operation.step(Step.SWITCH):
            await self._changing.stop(change, operation.actor)
            try:
                operation.check()
                await self._point(replace(pointer, pending=number, attempts=0))
                started = await self._changing.switch(change, operation.actor)
            except BaseException:
                self._changing.resume(change, operation.actor)
                await self._point_back(pointer)
                raise
        reason = ""
        try:
            with operation.step(Step.CONFIRM):
                seconds = self._settings().confirm_for
                reason = await self._changing.confirm(started, seconds, operation.tell)
                if reason:
                    raise InstallFailed(reason)
                confirmed = replace(
                    pointer, current=number, previous=pointer.current, pending=None, attempts=0
                )
                await self._point(confirmed)
        except BaseException as error:
            await self._changing.take_back(change, operation.actor)
            rejected = {**pointer.rejected, number: reason} if reason and number else pointer.rejected
            await self._point_back(replace(pointer, rejected=rejected))
            if not reason or not isinstance(error, InstallFailed):
                raise
            operation.end(
                OperationState.ROLLED_BACK,
                f"{reason}; generation {pointer.current} is back",
                code="not-confirmed",
                hint=f"iocmng logs {reason.partition(' ')[0]} says more",
            )
            return
        assert change.lock is not None
        try:
            await asyncio.to_thread(installer.write_lock, change.lock)
        except InstallFailed as error:
            # The switch stands: the generation's marker holds the same lock.
            _log.error("%s", error)
        await self._changing.keep(change)
        operation.end(OperationState.DONE, change.words)

    async def _point(self, pointer: Pointer) -> None:
        await asyncio.to_thread(self._generations.point, pointer)
        self._owed = None

    async def _point_back(self, pointer: Pointer) -> None:
        try:
            await self._point(pointer)
        except InstallFailed as error:
            _log.error("%s; trying again every %g s", error, RETRY)
            self._owed = pointer
            self._paying = asyncio.get_running_loop().create_task(self._pay(pointer), name="pointer")

    async def _pay(self, pointer: Pointer) -> None:
        """Point back as soon as the disk allows it: the next start would take up what was taken back."""
        while self._owed is pointer:
            await asyncio.sleep(RETRY)
            try:
                if self._owed is pointer:
                    await self._point(pointer)
            except InstallFailed as error:
                _log.debug("%s", error)
