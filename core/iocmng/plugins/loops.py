"""Changes that go round: instances whose inputs wait for each other's outputs."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from iocmng.config.logic_check import DERIVED
from iocmng.logic.parsing import ExpressionError, parse
from iocmng.plugins.clashes import Fault
from iocmng.spec import Direction, InstanceSpec, Kind, Mode, PortSpec
from iocmng.wire import Finding, Level, Where

_Graph = defaultdict[str, set[str]]
_Owners = Mapping[str, tuple[InstanceSpec, PortSpec]]
LONGEST = 9
"""PVs of a circle that a message names."""

_VALUE = ("", "VAL", "VAL$")


def trigger_loops(specs: Sequence[InstanceSpec]) -> Iterator[Fault]:
    """Yield a warning on every instance through which a change comes back to where it began.

    What counts is what acts at once: links with `trigger`, outputs and actuators that are linked to set-points of
    this host, and what reactive tasks make of their inputs; code may make everything of everything.

    Args:
        specs: The instances that would run.
    """
    owners = {port.record.name: (spec, port) for spec in specs for port in spec.ports}
    graph: _Graph = defaultdict(set)
    for spec in specs:
        _add_links(spec, owners, graph)
    if not graph:
        return
    for spec in specs:
        _add_work(spec, owners, graph)
    told: set[str] = set()
    for pv in _trimmed(graph):
        if pv in told or not (way := _way_back(pv, graph)) or not told.isdisjoint(way):
            continue
        told.update(way)
        shown = way if len(way) <= LONGEST else [*way[: LONGEST - 1], "…", way[-1]]
        text = f"a change goes round: {' → '.join(shown)}"
        hint = "let one of the links poll (link_mode: poll, without trigger), unless the values settle"
        for name in dict.fromkeys(owners[one][0].name for one in way):
            yield name, Finding(Level.WARNING, "trigger-loop", f"{name}: {text}", Where(key=name), hint)


def _add_links(spec: InstanceSpec, owners: _Owners, graph: _Graph) -> None:
    """From each PV of this host to the port of `spec` that follows it, and from its outputs to what they set."""
    for port in spec.ports:
        other = _local(port, owners)
        if other is None or port.link is None:
            continue
        if port.direction is Direction.OUTPUT:
            if owners[other][1].record.writable:
                graph[port.record.name].add(other)
        elif port.link.trigger:
            graph[other].add(port.record.name)
        elif any(port.name in rule.actuators for rule in spec.logic.rules):
            graph.setdefault(other, set())


def _local(port: PortSpec, owners: _Owners) -> str | None:
    """The PV of this host that a port is linked to."""
    if port.link is None:
        return None
    pv, _, field = port.link.address.pv.partition(".")
    return pv if field in _VALUE and pv in owners else None


def _add_work(spec: InstanceSpec, owners: _Owners, graph: _Graph) -> None:
    """From what a reactive task reads to what it writes when that changes."""
    if spec.kind is not Kind.TASK or spec.mode is not Mode.REACTIVE:
        return
    ports = {port.name: port for port in spec.ports}
    pvs = {name: port.record.name for name, port in ports.items()}
    rules = spec.logic.rules
    last = {name: index for index, rule in enumerate(rules) for name in (*rule.outputs, rule.message_pv)}

    def add(
        place: int, expressions: Iterable[str | None], outputs: Iterable[str], points: frozenset[str]
    ) -> None:
        for name in {name for text in expressions for name in _reads(text, ports)}:
            if last.get(name, -1) >= place:
                continue  # decided later: the next evaluation reads it, and nothing asks for that one
            # A rule that commands what it reads has reached its end when that has followed.
            graph[pvs[name]] |= {pvs[one] for one in outputs if one in pvs} | (
                points - {_local(ports[name], owners)}
            )

    for transform in spec.logic.transforms:
        add(0, [transform.expression], [transform.output], frozenset())
    for index, rule in enumerate(rules):
        commanded = (_local(ports[name], owners) for name in rule.actuators if name in ports)
        points = frozenset(pv for pv in commanded if pv is not None and owners[pv][1].record.writable)
        add(index, [rule.condition, rule.clear_when], [*rule.outputs, rule.message_pv or ""], points)
    if spec.class_name:
        free = {pvs[name] for name, port in ports.items() if port.direction is Direction.OUTPUT} - {
            pvs.get(name) for name in spec.logic.outputs
        }
        for port in spec.ports:
            if port.direction is Direction.INPUT and (port.link is None or port.link.trigger):
                graph[port.record.name] |= free


def _reads(text: str | None, ports: Mapping[str, PortSpec]) -> Iterator[str]:
    """The ports that an expression reads, in whatever way."""
    try:
        names: Iterable[str] = parse(text).names if text is not None else ()
    except ExpressionError:
        return
    for name in names:
        if name not in ports:
            name = next((name.removesuffix(end) for end in DERIVED if name.endswith(end)), name)
        if name in ports:
            yield name


def _trimmed(graph: _Graph) -> list[str]:
    """The nodes that lie on circles, or between two of them."""
    left = {name: set(targets) for name, targets in graph.items() if targets}
    while True:
        kept = {
            name: inside
            for name, targets in left.items()
            if (inside := {one for one in targets if one in left})
        }
        followed = {one for targets in kept.values() for one in targets}
        kept = {name: targets for name, targets in kept.items() if name in followed}
        if len(kept) == len(left):
            return sorted(kept)
        left = kept


def _way_back(start: str, graph: _Graph) -> list[str]:
    """The shortest way from a node back to it, empty when there is none."""
    before: dict[str, str] = {}
    todo = deque([start])
    while todo:
        name = todo.popleft()
        for target in sorted(graph.get(name, ())):
            if target == start:
                way = [start, name]
                while way[-1] != start:
                    way.append(before[way[-1]])
                return way[::-1]
            if target not in before:
                before[target] = name
                todo.append(target)
    return []
