"""Plugins that come and go: what admins ask for, one operation at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from pydantic import ValidationError

from iocmng import names
from iocmng.errors import BadInput, ExitCode, InstallFailed, IocmngError, NotFound, Refused
from iocmng.host.added import AddedInstances
from iocmng.host.ending import Ending
from iocmng.host.instance_changes import InstanceChanges
from iocmng.host.operation import Operation
from iocmng.host.performing import Performing
from iocmng.plugins.environment import canonical
from iocmng.plugins.installing.generations import Generations
from iocmng.plugins.installing.model import Aborted, Root
from iocmng.runtime.events import EventBus
from iocmng.runtime.instance import Instance
from iocmng.runtime.supervisor import Supervisor
from iocmng.settings import InstallSettings
from iocmng.settings.instances import RequestedInstance
from iocmng.wire import (
    Actor,
    EventKind,
    GenerationView,
    InstallRequest,
    InstallVerb,
    OperationState,
    OperationView,
    to_plain,
)

_log = logging.getLogger("iocmng.install")
REMEMBERED = 50


class HostInstalls:
    """Implements InstallControl; on the loop's thread.

    Args:
        performing: Does what is asked for, step by step.
        instances: Changes single ones.
        supervisor: The host's instances.
        generations: What is staged.
        added: Instances beside those of the site file.
        settings: The section `install` in force.
        disable: Lets an instance start at boot no more, and stops it.
        events: The bus.
        ending: How the host ends.
        boot_id: Of this process.
    """

    def __init__(
        self,
        performing: Performing,
        instances: InstanceChanges,
        supervisor: Supervisor,
        *,
        generations: Generations,
        added: AddedInstances,
        settings: Callable[[], InstallSettings],
        disable: Callable[[str, Actor], object],
        events: EventBus,
        ending: Ending,
        boot_id: str,
    ) -> None:
        self._performing = performing
        self._instances = instances
        self._supervisor = supervisor
        self._generations = generations
        self._added = added
        self._settings = settings
        self._disable = disable
        self._events = events
        self._ending = ending
        self._boot_id = boot_id
        self._operations: dict[str, Operation] = {}
        self._present: Operation | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, request: InstallRequest, actor: Actor, *, plan_only: bool = False) -> OperationView:
        """Begin an operation; it goes on by itself.

        Raises:
            Refused: Installing is switched off, or another operation is under way.
            BadInput: The request makes no sense.
        """
        if not self._settings().enabled:
            raise Refused("installing is switched off here", hint="install.enabled in the site file")
        _check(request)
        return self._start(request, actor, lambda operation: self._performing.perform(operation), plan_only)

    def _start(
        self,
        request: InstallRequest,
        actor: Actor,
        perform: Callable[[Operation], Any],
        plan_only: bool = False,
    ) -> OperationView:
        self._alone()
        operation = Operation(
            request, actor, boot_id=self._boot_id, planned_only=plan_only, changed=self._changed
        )
        self._operations[operation.view.id] = self._present = operation
        for old in list(self._operations)[:-REMEMBERED]:
            del self._operations[old]
        if not plan_only:
            asked = f"{request.verb} {', '.join(operation.view.requirements)}".strip()
            self._events.publish(
                EventKind.AUDIT, text=asked, data={"operation": operation.view.id}, actor=actor
            )
        self._task = asyncio.get_running_loop().create_task(self._run(operation, perform(operation)))
        return operation.view

    def _alone(self) -> None:
        present = self._present
        if present is not None and not present.over.is_set():
            view = present.view
            what = f"{view.verb} {', '.join(view.requirements)}".strip()
            raise Refused(
                f"operation {view.id} ({what}) is under way", hint="one at a time: wait until it is over"
            )

    async def _run(self, operation: Operation, work: Any) -> None:
        try:
            await work
        except Aborted:
            operation.end(OperationState.ABORTED, "aborted; everything is as before")
        except IocmngError as error:
            refused = error.exit_code is not ExitCode.FAILED
            state = OperationState.REFUSED if refused else OperationState.FAILED
            operation.end(state, error.detail, code=error.error_code, hint=error.hint)
        except asyncio.CancelledError:
            operation.end(OperationState.ABORTED, "the host stops")
            raise
        except Exception as fault:  # noqa: BLE001 - a border: an operation's fault must reach whoever waits for it
            _log.exception("operation %s", operation.view.id)
            text = f"{type(fault).__name__}: {fault}"
            operation.end(
                OperationState.FAILED, text, code=InstallFailed.code, hint="the host's log says more"
            )

    def _changed(self, view: OperationView) -> None:
        step = next((one for one in view.steps if one.state == "running"), None)
        text = f"{step.step}: {step.detail}" if step else view.message
        if view.over:
            level = logging.INFO if view.state is OperationState.DONE else logging.WARNING
            _log.log(
                level, "%s %s: %s: %s", view.verb, ", ".join(view.requirements), view.state, view.message
            )
        self._events.publish(
            EventKind.INSTALL,
            text=text,
            data={
                "operation": view.id,
                "state": view.state.value,
                "steps": to_plain(view.steps),
                "message": view.message,
            },
            actor=view.actor,
        )

    def operation(self, operation: str) -> OperationView:
        """One operation of this process, by its id."""
        return self._operation(operation).view

    def _operation(self, operation: str) -> Operation:
        try:
            return self._operations[operation]
        except KeyError:
            raise NotFound(
                f"no operation {operation!r}", hint="those of this process: GET /api/v1/operations"
            ) from None

    def operations(self) -> Sequence[OperationView]:
        """All operations of this process that are remembered, newest first."""
        return [one.view for one in reversed(self._operations.values())]

    async def operation_over(self, operation: str, timeout: float) -> OperationView:
        """Wait until an operation is over, at most `timeout` seconds."""
        waited = self._operation(operation)
        try:
            await asyncio.wait_for(waited.over.wait(), timeout)
        except TimeoutError:
            _log.debug("operation %s still runs after %g s", operation, timeout)
        return waited.view

    def abort(self, operation: str, actor: Actor) -> OperationView:
        """Ask an operation to end; before its switch nothing has changed then, after it that is taken back."""
        found = self._operation(operation)
        if not found.view.over:
            found.abort()
            self._events.publish(EventKind.AUDIT, text=f"abort of operation {operation}", actor=actor)
        return found.view

    def generations(self) -> Sequence[GenerationView]:
        """What is kept, newest first; broken ones with their problem."""
        return tuple(reversed(self._generations.listed()))

    def add_instance(
        self, plugin: str, name: str, parameters: Mapping[str, Any], prefix: str | None, actor: Actor
    ) -> OperationView:
        """Make another instance of a plugin that is here; it is kept over restarts.

        Raises:
            NotFound: There is no such plugin.
            Refused: There is an instance of that name.
            BadInput: Name or prefix cannot be one.
        """
        plugins = {one.spec.plugin.name: one for one in self._supervisor}
        if plugin not in plugins:
            raise NotFound(f"no plugin {plugin!r}", hint=names.did_you_mean(plugin, plugins))
        if any(one.name == name for one in self._supervisor):
            raise Refused(f"there is an instance {name!r} already", hint="choose another name")
        if problem := names.plugin_name_problem(name):
            raise BadInput(problem)
        if prefix is not None and (problem := names.instance_prefix_problem(prefix)):
            raise BadInput(f"instance {name!r}: {problem}")
        given: dict[str, Any] = {"plugin": plugin, "name": name, "parameters": dict(parameters)}
        if prefix is not None:
            given["prefix"] = prefix
        try:
            wanted = RequestedInstance.model_validate(given)
        except ValidationError as error:
            raise BadInput(f"instance {name!r}: {error.errors()[0]['msg']}") from error
        request = InstallRequest(verb=InstallVerb.INSTALL, requirements=(name,))
        distribution = canonical(plugins[plugin].spec.plugin.distribution)
        return self._start(
            request, actor, lambda operation: self._instances.add(operation, wanted, distribution)
        )

    def remove(self, instance: str, actor: Actor) -> OperationView:
        """Remove an instance, and its distribution when nothing else uses it and it came through the host.

        What pip installed in the base, and what the site file configures, is disabled instead; the message says so.
        """
        found = self._supervisor.get(instance)
        request = InstallRequest(verb=InstallVerb.UNINSTALL, requirements=(instance,))
        if instance in self._added:
            return self._start(request, actor, lambda operation: self._instances.drop(operation, found))
        if why := self._why_only_disabled(found):
            return self._start(request, actor, lambda operation: self._disabled(operation, instance, why))
        distribution = found.spec.plugin.distribution
        asked = InstallRequest(verb=InstallVerb.UNINSTALL, requirements=(distribution,))
        return self.begin(asked, actor)

    def _why_only_disabled(self, instance: Instance) -> str:
        distribution = canonical(instance.spec.plugin.distribution)
        others = [
            one.name
            for one in self._supervisor
            if one is not instance and canonical(one.spec.plugin.distribution) == distribution
        ]
        if self._root(instance) is None:
            return f"{distribution or instance.name} did not come through the host"
        if others:
            return f"{distribution} is also used by {', '.join(others)}"
        return ""

    def _root(self, instance: Instance) -> Root | None:
        generation = self._performing.generation
        return generation.lock.root(canonical(instance.spec.plugin.distribution)) if generation else None

    async def _disabled(self, operation: Operation, instance: str, why: str) -> None:
        self._disable(instance, operation.actor)
        operation.end(OperationState.DONE, f"{instance} is disabled, not removed: {why}", code="disabled")

    def fetch(self, instance: str, actor: Actor) -> OperationView | None:
        """Fetch the git or directory source of an instance again and change over when it differs; None without one."""
        root = self._root(self._supervisor.get(instance))
        if root is None or not root.origin.fetched:
            return None
        return self.begin(InstallRequest(verb=InstallVerb.FETCH, requirements=(root.name,)), actor)

    def renew(self, instance: Instance, actor: Actor) -> str:
        """Begin to exchange an instance that was validated again for one with other records; or say why not."""
        try:
            self._alone()
        except Refused as refused:
            return refused.detail
        if why := self._instances.why_not_renewed(instance):
            return why
        request = InstallRequest(verb=InstallVerb.UPGRADE, requirements=(instance.name,))
        self._start(request, actor, lambda operation: self._instances.renew(operation, instance))
        return ""

    async def rescan(self, actor: Actor) -> Mapping[str, Any]:
        """Look for plugins again, start those that are new, and say what changed.

        Raises:
            Refused: An operation is under way.
        """
        self._alone()
        found = await self._instances.rescan(actor)
        self._events.publish(EventKind.AUDIT, text="rescan", data=found, actor=actor)
        return found

    def restart_host(self, actor: Actor) -> None:
        """Replace the process by a new one of itself, as soon as the state is saved and instances have stopped."""
        self._ending.restart()
        self._events.publish(EventKind.AUDIT, text="restart of the host", actor=actor)

    async def close(self) -> None:
        """The host stops: end what is under way."""
        task = self._task
        if task is None or task.done():
            return
        if self._present is not None:
            self._present.abort()
        task.cancel()
        await asyncio.wait([task], timeout=2.0)


class NoInstalls:
    """InstallControl of a host that was started for one plugin."""

    def __init__(self, ending: Ending | None = None) -> None:
        self._ending = ending

    def _refuse(self) -> NoReturn:
        raise Refused("this host installs nothing", hint="start one with: iocmng run")

    def begin(self, request: InstallRequest, actor: Actor, *, plan_only: bool = False) -> OperationView:
        """Refuse."""
        self._refuse()

    def operation(self, operation: str) -> OperationView:
        """There is none."""
        raise NotFound(f"no operation {operation!r}")

    def operations(self) -> Sequence[OperationView]:
        """None."""
        return ()

    async def operation_over(self, operation: str, timeout: float) -> OperationView:
        """There is none."""
        return self.operation(operation)

    def abort(self, operation: str, actor: Actor) -> OperationView:
        """There is none."""
        return self.operation(operation)

    def generations(self) -> Sequence[GenerationView]:
        """None."""
        return ()

    def add_instance(
        self, plugin: str, name: str, parameters: Mapping[str, Any], prefix: str | None, actor: Actor
    ) -> OperationView:
        """Refuse."""
        self._refuse()

    def remove(self, instance: str, actor: Actor) -> OperationView:
        """Refuse."""
        self._refuse()

    def fetch(self, instance: str, actor: Actor) -> OperationView | None:
        """There is no source."""
        return None

    def renew(self, instance: Instance, actor: Actor) -> str:
        """Say why not."""
        return "start the host again to serve its new PVs"

    async def rescan(self, actor: Actor) -> Mapping[str, Any]:
        """Nothing is looked for."""
        return {
            "added": [],
            "started": [],
            "removed": [],
            "changed": [],
            "restart_required": False,
            "remark": "",
        }

    def restart_host(self, actor: Actor) -> None:
        """Replace the process."""
        if self._ending is None:
            self._refuse()
        self._ending.restart()

    async def close(self) -> None:
        """Nothing is under way."""


def _check(request: InstallRequest) -> None:
    if request.verb in (InstallVerb.ROLLBACK, InstallVerb.FROM_LOCK):
        return
    if request.source is None and not request.requirements:
        raise BadInput(f"{request.verb}: nothing is named", hint="name a requirement, a wheel or a folder")
    if request.source is not None and request.requirements:
        raise BadInput(f"{request.verb}: a source and requirements exclude each other")
