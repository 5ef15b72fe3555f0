"""Links of one instance in memory: fake PVs, fake records, a virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from iocmng.names import Provider, parse_link
from iocmng.runtime.wiring import InputLinks, OutputLinks, Wiring
from iocmng.spec import (
    AgeBy,
    Direction,
    InstanceSpec,
    Kind,
    LinkMode,
    LinkSpec,
    PluginRef,
    PortSpec,
    RecordSpec,
    RuleSpec,
)
from iocmng.spec.wiring import LogicSpec
from iocmng.testing.clock import VirtualClock
from iocmng.testing.links import FakeLinks
from iocmng.values import PortType

RECORD_TYPES = {
    PortType.FLOAT: "ai",
    PortType.INT: "longin",
    PortType.BOOL: "bi",
    PortType.STRING: "stringin",
    PortType.ENUM: "mbbi",
    PortType.ARRAY: "waveform",
}
LABELS = {PortType.BOOL: ("Off", "On"), PortType.ENUM: ("Idle", "Ramping", "Hold")}
LENGTHS = {PortType.STRING: 39, PortType.ARRAY: 4}


def port(
    name: str,
    link: str,
    *,
    type: PortType = PortType.FLOAT,
    output: bool = False,
    mode: LinkMode = LinkMode.MONITOR,
    buffer_size: int | None = None,
    **more: Any,
) -> PortSpec:
    return PortSpec(
        name=name,
        direction=Direction.OUTPUT if output else Direction.INPUT,
        record=RecordSpec(
            name=f"H:T:{name}",
            port=name,
            type=type,
            record_type=RECORD_TYPES[type],
            labels=LABELS.get(type, ()),
            length=LENGTHS.get(type, 1),
        ),
        link=LinkSpec(address=parse_link(link, Provider.CA), mode=mode, **more),
        buffer_size=buffer_size,
    )


def polled(name: str, link: str, **more: Any) -> PortSpec:
    return port(name, link, mode=LinkMode.POLL, **more)


def instance(*ports: PortSpec, rules: Iterable[RuleSpec] = (), **more: Any) -> InstanceSpec:
    return InstanceSpec(
        name="t",
        kind=Kind.TASK,
        plugin=PluginRef(name="t", target="t"),
        prefix="T",
        pv_prefix="H:T",
        ports=ports,
        logic=LogicSpec(rules=tuple(rules)),
        **more,
    )


class WiringBench:
    """What `changed` was called with is in `changes`; addresses of links are the fake's PV names."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.links = FakeLinks(self.clock.time, self.clock)
        self.wiring = Wiring(self.links, self.clock)
        self.changes: list[str] = []
        self.told = 0

    def inputs(self, *ports: PortSpec, **more: Any) -> InputLinks:
        return self.wiring.inputs(instance(*ports, **more), self.changes.append)

    def outputs(self, *ports: PortSpec, **more: Any) -> OutputLinks:
        return self.wiring.outputs(instance(*ports, **more), self._tell)

    def _tell(self) -> None:
        self.told += 1

    def step(self, seconds: float = 0.0) -> None:
        """Let time pass, stopping wherever something is due."""
        end = self.clock.monotonic() + seconds
        while True:
            self.clock.rest()
            due = self.clock.next_deadline()
            if due is None or due > end:
                break
            self.clock.move_to(due)
        self.clock.move_to(end)
        self.clock.rest()

    def poll(self, inputs: InputLinks) -> float:
        """Poll, and return how long it took until done was called."""
        start, ends = self.clock.monotonic(), list[float]()
        inputs.poll(lambda: ends.append(self.clock.monotonic()))
        if not ends:
            self.step(10.0)
        assert len(ends) == 1
        return ends[0] - start

    def aside(self, work: Callable[[], None]) -> Callable[[], bool]:
        """Do what waits on a thread of its own; the result says whether it is over."""
        over: list[bool] = []

        def run() -> None:
            work()
            over.append(True)

        self.clock.spawn(run, "aside")
        return lambda: bool(over)

    def close(self) -> None:
        self.wiring.close()
        self.links.close()


__all__ = ["AgeBy", "WiringBench", "instance", "polled", "port"]
