"""Installing in memory: operations that end as a test says, at once or when it lets them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from iocmng.errors import NotFound, Refused
from iocmng.names import did_you_mean
from iocmng.runtime.events import EventBus
from iocmng.wire import (
    Actor,
    DistributionChange,
    EventKind,
    GenerationView,
    InstallRequest,
    InstallVerb,
    InstanceChange,
    InstanceView,
    OperationState,
    OperationView,
    PlanView,
    SourceRequest,
    Step,
    StepView,
    to_plain,
)

PLAN = PlanView(
    distributions=(DistributionChange(name="acme-beam", after="2.0", origin="index"),),
    instances=(
        InstanceChange(name="beam", change="added", plugin="beam", distribution="acme-beam", after="2.0"),
    ),
)
TAKEN = (OperationState.DONE, OperationState.RESTARTING, OperationState.RESTART_REQUIRED)
GENERATIONS = (
    GenerationView(
        number=3,
        current=True,
        created=300.0,
        requirements=("acme-beam",),
        distributions={"acme-beam": "2.0", "acme-lib": "1.1"},
        origins={"acme-beam": "index"},
    ),
    GenerationView(number=2, created=200.0, distributions={"acme-beam": "1.9"}),
    GenerationView(number=1, created=100.0, problem="its marker is missing"),
)


@dataclass(frozen=True, kw_only=True)
class End:
    """How an operation ends."""

    state: OperationState = OperationState.DONE
    message: str = ""
    code: str = ""
    hint: str = ""
    failed_step: Step | None = None


class MemoryInstalls:
    """An InstallControl.

    Attributes:
        views: The host's instances; what a finished operation adds or removes is added or removed here.
        requests: Every request, and whether it was only planned.
        plan: What an operation comes to.
        end: How it ends.
        held: It ends when `finish` is called or when it is aborted, not at once.
        fetched: Instances that come from git or a folder.
        based: Instances that pip installed in the base.
        kept: The generations.
        restarts: How often the host was asked to restart.
        restarted: Called then.
        told_actors: Who asked for what.
    """

    def __init__(
        self, views: dict[str, InstanceView], events: EventBus, restarted: Callable[[], None] = lambda: None
    ) -> None:
        self.views = views
        self.events = events
        self.requests: list[tuple[InstallRequest, bool]] = []
        self.plan: PlanView | None = PLAN
        self.end = End()
        self.held = False
        self.refused: Refused | None = None
        self.fetched: set[str] = set()
        self.based: set[str] = set()
        self.kept: Sequence[GenerationView] = GENERATIONS
        self.restarts = 0
        self.restarted = restarted
        self.told_actors: list[tuple[str, Actor]] = []
        self._operations: dict[str, OperationView] = {}
        self._overs: dict[str, asyncio.Event] = {}

    def begin(self, request: InstallRequest, actor: Actor, *, plan_only: bool = False) -> OperationView:
        """Begin one; a second beside it is refused."""
        if self.refused is not None:
            raise self.refused
        for one in self._operations.values():
            if not one.over:
                raise Refused(
                    f"operation {one.id} ({one.verb}) is under way", hint="wait for it, or abort it"
                )
        self.requests.append((request, plan_only))
        number = f"op-{len(self._operations) + 1}"
        self.told_actors.append((f"{request.verb} {number}", actor))
        self._operations[number] = OperationView(
            id=number,
            verb=request.verb,
            state=OperationState.RUNNING,
            planned_only=plan_only,
            requirements=request.requirements,
            steps=tuple(
                StepView(step=step, state="running" if step is Step.PLAN else "waiting", started=1.0)
                for step in Step
            ),
            started=1.0,
            actor=actor,
        )
        self._overs[number] = asyncio.Event()
        self._tell(number, f"{request.verb} began")
        if not self.held:
            self.finish(number)
        return self._operations[number]

    def reach(self, number: str, step: Step) -> None:
        """Let one come to a step; on the loop's thread."""
        before, view = True, self._operations[number]
        steps = []
        for one in view.steps:
            before = before and one.step is not step
            state = "done" if before else "running" if one.step is step else "waiting"
            steps.append(replace(one, state=state, ended=2.0 if before else 0.0))
        plan = self.plan if step not in (Step.PLAN, Step.DIFF) else None
        self._operations[number] = replace(view, steps=tuple(steps), plan=plan)
        self._tell(number, f"{step} began")

    def finish(self, number: str = "", end: End | None = None) -> None:
        """Let one end; on the loop's thread."""
        number = number or next(one.id for one in self._operations.values() if not one.over)
        ending, view = end or self.end, self._operations[number]
        failed = list(Step).index(ending.failed_step) if ending.failed_step else len(Step)
        steps = tuple(
            replace(one, state="done" if i < failed else "failed" if i == failed else "skipped", ended=2.0)
            for i, one in enumerate(view.steps)
        )
        self._operations[number] = replace(
            view,
            state=ending.state,
            steps=steps,
            plan=self.plan,
            message=ending.message,
            code=ending.code,
            hint=ending.hint,
            failed_step=ending.failed_step,
            generation=4 if ending.state in TAKEN and not view.planned_only else None,
            ended=2.0,
        )
        if ending.state is OperationState.DONE and not view.planned_only and self.plan:
            self._take(self.plan)
        if ending.state is OperationState.RESTARTING:
            self.restart_host(view.actor)
        self._tell(number, f"{view.verb} {ending.state}")
        self._overs[number].set()

    def operation(self, operation: str) -> OperationView:
        """One."""
        if operation not in self._operations:
            raise NotFound(
                f"no operation is named {operation!r}", hint=did_you_mean(operation, self._operations)
            )
        return self._operations[operation]

    def operations(self) -> Sequence[OperationView]:
        """All, newest first."""
        return list(reversed(self._operations.values()))

    async def operation_over(self, operation: str, timeout: float) -> OperationView:
        """Wait for it."""
        try:
            async with asyncio.timeout(timeout):
                await self._overs[operation].wait()
        except TimeoutError:
            pass
        return self._operations[operation]

    def abort(self, operation: str, actor: Actor) -> OperationView:
        """End it."""
        if not self.operation(operation).over:
            self.told_actors.append((f"abort {operation}", actor))
            self.finish(operation, End(state=OperationState.ABORTED, message="aborted; nothing has changed"))
        return self._operations[operation]

    def generations(self) -> Sequence[GenerationView]:
        """What is kept."""
        return self.kept

    def add_instance(
        self, plugin: str, name: str, parameters: Mapping[str, Any], prefix: str | None, actor: Actor
    ) -> OperationView:
        """One more instance."""
        if plugin not in {view.plugin for view in self.views.values()}:
            raise NotFound(f"no plugin is named {plugin!r}", hint=did_you_mean(plugin, self.views))
        if name in self.views:
            raise Refused(f"there is an instance {name!r}", hint="give it another name")
        self.told_actors.append((f"add {name} of {plugin} {dict(parameters)} {prefix}", actor))
        self.plan = PlanView(instances=(InstanceChange(name=name, change="added", plugin=plugin),))
        return self.begin(InstallRequest(), actor)

    def remove(self, instance: str, actor: Actor) -> OperationView:
        """One less."""
        if instance not in self.views:
            raise NotFound(f"no instance is named {instance!r}", hint=did_you_mean(instance, self.views))
        if instance in self.based:
            self.plan = PlanView()
            self.end = End(message=f"{instance} is disabled: pip installed it in the base")
        else:
            self.plan = PlanView(instances=(InstanceChange(name=instance, change="removed"),))
        return self.begin(InstallRequest(verb=InstallVerb.UNINSTALL, requirements=(instance,)), actor)

    def fetch(self, instance: str, actor: Actor) -> OperationView | None:
        """Fetch what comes from git or a folder."""
        if instance not in self.fetched:
            return None
        return self.begin(InstallRequest(verb=InstallVerb.FETCH, requirements=(instance,)), actor)

    def restart_host(self, actor: Actor) -> None:
        """A new process."""
        self.restarts += 1
        self.told_actors.append(("restart the host", actor))
        self.restarted()

    def _take(self, plan: PlanView) -> None:
        for change in plan.instances:
            if change.change == "removed":
                self.views.pop(change.name, None)
            else:
                self.views[change.name] = InstanceView(
                    name=change.name,
                    kind="task",
                    plugin=change.plugin or change.name,
                    distribution=change.distribution,
                    version=change.after,
                    state="RUN",
                    prefix=f"TEST:{change.name.upper()}",
                    generation=4,
                    origin="index",
                )

    def _tell(self, number: str, text: str) -> None:
        view = self._operations[number]
        self.events.publish(EventKind.INSTALL, text=text, data=to_plain(view), actor=view.actor)


def source_of(installs: MemoryInstalls) -> SourceRequest:
    """The source of the latest request."""
    source = installs.requests[-1][0].source
    assert source is not None
    return source
