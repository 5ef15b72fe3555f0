"""A task as links and logic see it: what it reads and decides, and how an operator clears it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from iocmng.lifecycle import State
from iocmng.runtime.anyrun import AnyRun
from iocmng.runtime.evaluation.unit import Unit
from iocmng.runtime.instance import Instance
from iocmng.runtime.isolation.taskrun import IsolatedTask
from iocmng.runtime.taskrun import TaskRun
from iocmng.runtime.taskview import link_view
from iocmng.values import Value
from iocmng.wire import LinkView, RuleView


class LinkedInstance(Instance):
    """The part of a task that has to do with its links and its logic; on the supervising thread.

    Attributes:
        state: Of the task.
        run: Its present run, None when nothing of it runs.
    """

    state: State
    run: AnyRun | None = None

    @property
    def unit(self) -> Unit | None:
        """Links and logic of the present run."""
        return self.run.unit if self.run is not None else None

    def on_input(self, port: str) -> None:
        """A client wrote an input."""
        if self.unit is not None:
            self.unit.touch(port)

    def idle_for(self, run: AnyRun, now: float) -> tuple[float, Callable[[], str]]:
        """Seconds without expected progress of the code or its logic, and what says why."""
        code, logic = run.progress.stalled_for(now), 0.0
        if (unit := run.unit) is not None:
            logic = unit.progress.stalled_for(now)
        if unit is not None and logic > code:
            return logic, lambda: f"no progress for {logic:.0f} s, stands at {unit.where()}"
        return code, lambda: run.progress.stuck or f"no progress for {code:.0f} s, stands at {run.where()}"

    def decide_again(self) -> None:
        """Write all that the logic decides though nothing has changed: fail-safe values have been shown meanwhile."""
        if self.unit is not None:
            self.unit.go()

    def drop_links(self) -> None:
        """End the links of a run that is given up."""
        if self.unit is not None:
            self.unit.drop()

    def clear(self) -> None:
        """Release latches whose cause is gone; what an instance does not evaluate it does not release."""
        if self.unit is not None and self.state is State.RUN:
            self.unit.clear(reset=False)
        elif self.latched:
            self.panel.say(f"{self.state.name}: latches are kept until it runs")

    @property
    def latched(self) -> Mapping[str, Value]:
        """Outputs that hold a value until CLEAR."""
        return self.unit.latched if self.unit is not None else self.env.latches.load(self.name).values

    @property
    def evaluations(self) -> int:
        """How often the logic has been evaluated in this run."""
        return self.unit.evaluations if self.unit is not None else 0

    @property
    def unknowns(self) -> Mapping[str, int]:
        """How often an expression could not be computed, by transform or rule."""
        return self.unit.unknowns if self.unit is not None else {}

    def link_view(self, port: str) -> LinkView | None:
        """The link of a port, None without one."""
        view = link_view(self.spec, self.unit, port)
        if view is None or not isinstance(self.run, (TaskRun, IsolatedTask)):
            return view
        return replace(view, dropped=view.dropped + self.run.changes.dropped[port])

    def rule_views(self) -> tuple[RuleView, ...]:
        """What each rule decides now, and why; nothing while the task does not run."""
        return self.unit.rule_views() if self.unit is not None else ()
