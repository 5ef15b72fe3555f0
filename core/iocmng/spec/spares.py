"""Kinds of spare records: what a record needs that cannot be changed once EPICS has made it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from iocmng.spec.record import RecordSpec
from iocmng.values import DType


def kind_of(record: RecordSpec) -> str:
    """The kind of spare that can become this record: its record type, of an array `waveform:DTYPE`.

    A writable array is of a kind of its own, `waveform:DTYPE:rw`, because clients' puts need device support.
    """
    if record.record_type != "waveform":
        return record.record_type
    kind = f"waveform:{record.dtype or DType.FLOAT64}"
    return f"{kind}:rw" if record.writable else kind


def needed(records: Iterable[RecordSpec]) -> Counter[str]:
    """How many spares of each kind records would take."""
    return Counter(kind_of(record) for record in records)
