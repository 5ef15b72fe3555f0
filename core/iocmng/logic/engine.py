"""The engine: readings in, writes and commands out, without clock, thread or socket."""

from __future__ import annotations

from collections.abc import Mapping

from iocmng.logic.compiling import compile_plan
from iocmng.logic.decisions import Snapshot, Step
from iocmng.logic.explaining import explain
from iocmng.logic.functions import Function, get_registry
from iocmng.logic.latching import restore
from iocmng.logic.plan import Plan
from iocmng.logic.state import EngineState, begin
from iocmng.logic.stepping import Stepping, quiet
from iocmng.spec.instance import InstanceSpec, PortSpec
from iocmng.values import Value
from iocmng.wire.instance import RuleView

__all__ = ["EngineState", "Program"]


class Program:
    """Transforms and rules of an instance, compiled; immutable, and shared by any number of states.

    Attributes:
        reads: Ports whose readings a snapshot has to hold.
        buffers: Ports whose ring buffers it has to hold.
        ages: Ports whose ages it has to hold.
        writes: Outputs that the program writes, and nothing else may.
    """

    def __init__(self, plan: Plan, ports: Mapping[str, PortSpec]) -> None:
        self._plan = plan
        self._ports = ports
        self.reads = frozenset(plan.names.ports)
        self.buffers = frozenset(plan.names.buffers)
        self.ages = frozenset(plan.names.ages)
        self.writes = frozenset(plan.outputs)

    @classmethod
    def compile(cls, spec: InstanceSpec, functions: Mapping[str, Function] | None = None) -> Program:
        """Compile the logic of an instance.

        Args:
            spec: The instance.
            functions: What its expressions may call; None for all that is registered.

        Raises:
            BadInput: An expression is wrong: names the rule and the position.
        """
        plan = compile_plan(spec, get_registry() if functions is None else functions)
        return cls(plan, {port.name: port for port in spec.ports})

    def start(
        self, now: float, *, latched: Mapping[str, Value] | None = None, lost: bool = False
    ) -> EngineState:
        """Begin a run.

        Args:
            now: Monotonic seconds.
            latched: What was latched at the end of the run before.
            lost: That could not be read: every output that latches comes back latched.
        """
        latches, firsts, changed = restore(self._plan, latched or {}, lost=lost)
        return begin(self._plan, now, latches, firsts, changed=changed)

    def step(self, state: EngineState, snapshot: Snapshot, now: float) -> Step:
        """Evaluate everything once.

        Args:
            state: The run; changed.
            snapshot: What can be read now.
            now: Monotonic seconds, not before those of the last step.
        """
        state.variables.take(snapshot)
        if state.quiet and not state.variables.touched and (state.deadline is None or now < state.deadline):
            return quiet(state.deadline)
        return Stepping(self._plan, self._ports, state, snapshot.wall, now).run()

    def clear(self, state: EngineState, snapshot: Snapshot, now: float) -> Step:
        """Evaluate once and release latches and first-out groups whose cause is known and gone.

        What is kept, and why, is told by events.
        """
        state.variables.take(snapshot)
        return Stepping(self._plan, self._ports, state, snapshot.wall, now, clear=True).run()

    def explain(self, state: EngineState, snapshot: Snapshot, now: float) -> tuple[RuleView, ...]:
        """Say what each rule has decided and why; changes nothing."""
        return explain(self._plan, self._ports, state, now)

    def reset(self, state: EngineState) -> None:
        """Zero the counters of a run."""
        state.unknowns.clear()
