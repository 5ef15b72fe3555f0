"""Links to PVs of the same host that cannot work: there is no such PV, or it is read-only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from iocmng.names import did_you_mean
from iocmng.plugins.clashes import Fault
from iocmng.spec import Direction, InstanceSpec, PortSpec, RecordSpec
from iocmng.wire import Finding, Level, Where


def local_link_faults(specs: Sequence[InstanceSpec]) -> Iterator[Fault]:
    """Yield a warning on every link that names an instance of this host and nothing that it serves or lets write.

    The place of a finding is the key path of the link in the config of its instance.

    Args:
        specs: The instances that would run.
    """
    if not any(port.link for spec in specs for port in spec.ports):
        return
    records = {record.name: record for spec in specs for record in spec.records}
    prefixes = {spec.pv_prefix: spec for spec in specs}
    for spec in specs:
        acting = {name for rule in spec.logic.rules for name in rule.actuators}
        for port in spec.ports:
            writes = port.direction is Direction.OUTPUT or port.name in acting
            if fault := _fault(port, writes, records, prefixes):
                message, hint = fault
                where = Where(key=f"arguments.{port.direction}s.{port.name}.link")
                yield (
                    spec.name,
                    Finding(Level.WARNING, "link-nowhere", f"{port.name}: {message}", where, hint),
                )


def _fault(
    port: PortSpec, writes: bool, records: Mapping[str, RecordSpec], prefixes: Mapping[str, InstanceSpec]
) -> tuple[str, str] | None:
    if port.link is None:
        return None
    pv, _, field = port.link.address.pv.partition(".")
    record = records.get(pv)
    if record is not None:
        if writes and not record.writable and not field:
            return f"{pv} is read-only: what is written to it is refused", "link to an input without a link"
        return None
    prefix, _, last = pv.rpartition(":")
    owner = prefixes.get(prefix)
    if owner is None:
        return None
    known = [name.rpartition(":")[2] for name in (one.name for one in owner.records)]
    return f"{owner.name} serves no {pv}", did_you_mean(last, known)
