"""Small instances with logic, described by hand."""

from __future__ import annotations

from typing import Any

from iocmng.logic.decisions import OutputWrite, Snapshot, Step
from iocmng.logic.engine import Program
from iocmng.names import LinkAddress, Provider
from iocmng.spec import (
    Direction,
    InstanceSpec,
    Kind,
    LinkSpec,
    LogicSpec,
    ParameterValue,
    PluginRef,
    PortSpec,
    RecordSpec,
    RuleSpec,
    TransformSpec,
)
from iocmng.values import DType, PortType, Reading, Severity, Status, Value

RECORDS = {
    PortType.FLOAT: "ai",
    PortType.INT: "longin",
    PortType.BOOL: "bi",
    PortType.ENUM: "mbbi",
    PortType.STRING: "stringin",
    PortType.ARRAY: "waveform",
}
DEAD = Reading(None, Severity.INVALID, Status.COMM, connected=False)


def port(
    name: str, kind: str = "float", *, labels: tuple[str, ...] = (), unit: str = "", **keys: Any
) -> PortSpec:
    """An output, or with `link=True` or `input=True` an input."""
    type_ = PortType(kind)
    incoming = keys.pop("input", False) or "link" in keys
    if keys.get("link") is True:
        keys["link"] = LinkSpec(address=LinkAddress(Provider.CA, f"OTHER:{name}"))
    record = RecordSpec(
        name=f"T:X:{name}",
        port=name,
        type=type_,
        record_type=RECORDS[type_],
        labels=labels or (("Off", "On") if type_ is PortType.BOOL else ()),
        length={PortType.STRING: 39, PortType.ARRAY: 100}.get(type_, 1),
        dtype=DType.FLOAT64 if type_ is PortType.ARRAY else None,
        unit=unit,
    )
    return PortSpec(
        name=name, direction=Direction.INPUT if incoming else Direction.OUTPUT, record=record, **keys
    )


def instance(
    *ports: PortSpec,
    rules: tuple[RuleSpec, ...] = (),
    transforms: dict[str, str] | None = None,
    defaults: dict[str, Value] | None = None,
    parameters: dict[str, Any] | None = None,
) -> InstanceSpec:
    """An instance of these ports with this logic."""
    made = tuple(TransformSpec(output=name, expression=text) for name, text in (transforms or {}).items())
    return InstanceSpec(
        name="x",
        kind=Kind.TASK,
        plugin=PluginRef(name="x", target="x"),
        prefix="X",
        pv_prefix="T:X",
        ports=ports,
        parameters={
            name: ParameterValue(value=value, origin="config.yaml")
            for name, value in (parameters or {}).items()
        },
        logic=LogicSpec(transforms=made, rules=rules, rule_defaults=defaults or {}),
    )


def reading(value: Any) -> Reading:
    """A reading of a plain value; None is one that is not connected."""
    if isinstance(value, Reading):
        return value
    return DEAD if value is None else Reading(value)


class Bench:
    """A program that runs, its inputs, and what its outputs show."""

    def __init__(self, spec: InstanceSpec, *, functions: Any = None, **start: Any) -> None:
        self.program = Program.compile(spec, functions)
        self.state = self.program.start(0.0, **start)
        self.now = 0.0
        self.inputs: dict[str, Reading] = {}
        self.buffers: dict[str, Any] = {}
        self.ages: dict[str, float] = {}
        self.parameters = {name: given.value for name, given in spec.parameters.items()}
        self.shown: dict[str, OutputWrite] = {}
        self.last = Step()

    def snapshot(self) -> Snapshot:
        return Snapshot(
            dict(self.inputs), dict(self.buffers), dict(self.ages), self.parameters, 1e9 + self.now
        )

    def step(self, now: float | None = None, *, clear: bool = False, **inputs: Any) -> Step:
        """Set inputs (None: not connected), and evaluate at `now`."""
        self.now = self.now if now is None else now
        self.inputs.update({name: reading(value) for name, value in inputs.items()})
        evaluate = self.program.clear if clear else self.program.step
        self.last = evaluate(self.state, self.snapshot(), self.now)
        for write in self.last.writes:
            before = self.shown.get(write.port)
            value = before.value if write.value is None and before is not None else write.value
            self.shown[write.port] = OutputWrite(
                write.port, value, write.severity, write.status, write.reason
            )
        return self.last

    def value(self, output: str) -> Any:
        return self.shown[output].value

    def severity(self, output: str) -> Severity:
        return self.shown[output].severity

    def why(self, rule: str) -> str:
        return next(one.reason for one in self.views() if one.id == rule)

    def views(self) -> Any:
        return self.program.explain(self.state, self.snapshot(), self.now)

    def events(self) -> list[tuple[str, str]]:
        return [(event.kind.value, event.subject) for event in self.last.events]
