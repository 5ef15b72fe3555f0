"""What instances get in each other's way with: PV names and dependencies. Nothing here looks at code."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from iocmng.names import did_you_mean
from iocmng.spec import InstanceSpec
from iocmng.wire import Finding, Level, Where

Fault = tuple[str, Finding]
"""The name of an instance, and what is wrong with it."""


def pv_clashes(specs: Sequence[InstanceSpec], host_pvs: Mapping[str, str]) -> Iterator[Fault]:
    """Yield a finding on every instance that shares PV names, naming the other one.

    Args:
        specs: The instances that would run.
        host_pvs: PV names that are taken otherwise, with the owner's name.
    """
    owners: defaultdict[str, list[InstanceSpec]] = defaultdict(list)
    for spec in specs:
        for record in spec.records:
            owners[record.name].append(spec)
    told: set[tuple[str, str]] = set()
    for name, sharing in owners.items():
        others = [spec.name for spec in sharing]
        if owner := host_pvs.get(name):
            others.append(owner)
        if len(others) == 1:
            continue
        for spec in sharing:
            other = next((one for one in others if one != spec.name), spec.name)
            if (spec.name, other) not in told:
                told.add((spec.name, other))
                yield spec.name, _clash(spec, other, name)


def _clash(spec: InstanceSpec, other: str, name: str) -> Finding:
    text = f"{spec.name} and {other} would both serve {name}"
    hint = "give one of them another prefix: in config.yaml, or under instances: in the site file"
    return Finding(Level.ERROR, "pv-clash", text, Where(key=spec.name), hint)


def dependency_faults(specs: Sequence[InstanceSpec], known: Sequence[str]) -> Iterator[Fault]:
    """Yield a finding on every instance that depends on an unknown one, or on itself by way of others.

    Args:
        specs: The instances that would run.
        known: Names of all instances, also of those that cannot run.
    """
    needs = {spec.name: spec.supervision.depends_on for spec in specs}
    names = set(known)
    for spec in specs:
        for needed in spec.supervision.depends_on:
            if needed not in names:
                text = f"{spec.name} depends on {needed!r}, and there is no such instance"
                hint = did_you_mean(needed, [name for name in known if name != spec.name])
                yield spec.name, Finding(Level.ERROR, "depends-unknown", text, Where(key=spec.name), hint)
            elif needed not in needs:
                text = f"{spec.name} depends on {needed}, which is INVALID; it waits for it"
                yield spec.name, Finding(Level.WARNING, "depends-invalid", text, Where(key=spec.name))
    for name, cycle in _cycles(needs).items():
        text = f"{name} depends on itself: {' → '.join(cycle)}"
        hint = "remove one of these from depends_on"
        yield name, Finding(Level.ERROR, "depends-cycle", text, Where(key=name), hint)


def _cycles(needs: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Each name that can be reached from itself, with the way."""
    return {name: way for name in needs if needs[name] and (way := _way_back(name, needs))}


def _way_back(start: str, needs: Mapping[str, Sequence[str]]) -> list[str]:
    seen: set[str] = set()
    ways = [[start]]
    while ways:
        way = ways.pop()
        for needed in needs.get(way[-1], ()):
            if needed == start:
                return [*way, start]
            if needed not in seen:
                seen.add(needed)
                ways.append([*way, needed])
    return []
