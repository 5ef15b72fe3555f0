"""One EPICS record, described once and frozen: what the `.db` text, the publisher and every listing walk."""

from __future__ import annotations

from dataclasses import dataclass

from iocmng.values import DType, PortType, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSpec:
    """One record of the host.

    Attributes:
        name: Full PV name.
        type: The kind of value in the words of config.yaml.
        record_type: EPICS record type: ai ao longin longout int64in int64out bi bo mbbi mbbo stringin
            stringout lsi lso waveform calc.
        port: The last part of the PV name: the port or default PV.
        writable: Clients may write it; everything else is in the access group of read-only records.
        value: Value before the first write, None for 0, "" or an empty array.
        fields: EPICS fields beyond the value, as (name, text) in the order they are written.
        info: Info tags.
        labels: State names of a bool (two) or an enum (up to 16).
        length: Elements of an array, longest text of a string (without the closing NUL).
        dtype: Element type of an array.
        access: Access security group of a writable record; None for the host's default group.
        autosave: The value is kept over a restart of the host.
        completes: A put with callback completes only when the host says so (`Put.complete`).
        unit: Engineering unit.
        description: What DESC says.
    """

    name: str
    type: PortType
    record_type: str
    port: str = ""
    writable: bool = False
    value: Value | None = None
    fields: tuple[tuple[str, str], ...] = ()
    info: tuple[tuple[str, str], ...] = ()
    labels: tuple[str, ...] = ()
    length: int = 1
    dtype: DType | None = None
    access: str | None = None
    autosave: bool = False
    completes: bool = False
    unit: str = ""
    description: str = ""
