"""Kinds of spare records: what a record needs that cannot be changed once EPICS has made it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from iocmng.errors import SparesShort
from iocmng.spec.record import RecordSpec
from iocmng.values import DType

LONGEST_TEXT = 255
"""Bytes of text that a spare lsi or lso holds."""

_INPUTS = frozenset({"ai", "longin", "int64in", "bi", "mbbi", "stringin", "lsi"})
_OUTPUTS = frozenset({"ao", "longout", "int64out", "bo", "mbbo", "stringout", "lso"})
_LONG_TEXTS = frozenset({"lsi", "lso"})
_WAVEFORM = "waveform"

KINDS = (*sorted(_INPUTS | _OUTPUTS), *(f"{_WAVEFORM}:{dtype}" for dtype in DType))
"""Every kind there is."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a record stays as it was made.

    Attributes:
        record_type: EPICS record type.
        dtype: Element type of an array.
        room: Longest text of an lsi or lso, elements of an array; 0 for others.
        takes_puts: Whether puts of clients reach the host; an array can do either.
    """

    record_type: str
    dtype: DType | None = None
    room: int = 0
    takes_puts: bool = False

    @classmethod
    def of(cls, spec: RecordSpec) -> Shape:
        """The shape of a record that is made for `spec`."""
        array = spec.record_type == _WAVEFORM
        sized = array or spec.record_type in _LONG_TEXTS
        return cls(
            spec.record_type,
            (spec.dtype or DType.FLOAT64) if array else None,
            max(1, spec.length) if sized else 0,
            spec.writable and not array,
        )

    def fits(self, spec: RecordSpec) -> bool:
        """Whether a record of this shape can be dressed as `spec`: a smaller array or text fits."""
        other = Shape.of(spec)
        return other.room <= self.room and (self.record_type, self.dtype, self.takes_puts) == (
            other.record_type,
            other.dtype,
            other.takes_puts,
        )


def kind_of(record: RecordSpec) -> str:
    """The kind of spare that can become this record: its record type, of an array `waveform:DTYPE`.

    One spare array serves clients that only read as well as those that write.
    """
    if record.record_type != _WAVEFORM:
        return record.record_type
    return f"{_WAVEFORM}:{record.dtype or DType.FLOAT64}"


def shape_of_kind(kind: str, array_length: int) -> Shape:
    """The shape of spares of one kind.

    Raises:
        KeyError: There is no such kind.
    """
    if kind not in KINDS:
        raise KeyError(kind)
    record_type, _, dtype = kind.partition(":")
    if dtype:
        return Shape(record_type, DType(dtype), array_length)
    room = LONGEST_TEXT if record_type in _LONG_TEXTS else 0
    return Shape(record_type, None, room, record_type in _OUTPUTS)


def needed(records: Iterable[RecordSpec]) -> Counter[str]:
    """How many spares of each kind records would take."""
    return Counter(kind_of(record) for record in records)


def lacking_of(
    records: Iterable[RecordSpec], free: Mapping[str, int], array_length: int
) -> dict[str, tuple[int, int]]:
    """Needed and free spares of each kind that does not suffice for `records`.

    What no spare can become is counted apart, with none free, under a word that says why: `waveform:float64[9000]`
    is longer than spares are, `calc` has none at all.
    """
    counts: Counter[str] = Counter()
    never: Counter[str] = Counter()
    for record in records:
        kind = kind_of(record)
        if kind not in KINDS:
            never[kind] += 1
        elif Shape.of(record).takes_puts != shape_of_kind(kind, array_length).takes_puts:
            never[f"{kind}:{'rw' if record.writable else 'ro'}"] += 1
        elif not shape_of_kind(kind, array_length).fits(record):
            never[f"{kind}[{record.length}]"] += 1
        else:
            counts[kind] += 1
    short = {kind: (count, free.get(kind, 0)) for kind, count in counts.items() if count > free.get(kind, 0)}
    return {**short, **{word: (count, 0) for word, count in never.items()}}


def shortage(lacking: Mapping[str, tuple[int, int]], *, for_whom: str = "") -> SparesShort:
    """The error that says what is missing and which settings to raise.

    Args:
        lacking: As `lacking_of` gives it.
        for_whom: What needs them.
    """
    parts = ", ".join(f"{kind}: {need} needed, {free} free" for kind, (need, free) in sorted(lacking.items()))
    settings = sorted({setting for kind in lacking if (setting := setting_of(kind))})
    raised = f"raise {', '.join(settings)} in the site file, or " if settings else ""
    return SparesShort(
        f"the spare records do not suffice{for_whom and f' for {for_whom}'}: {parts}",
        lacking=lacking,
        hint=f"{raised}restart the host (--restart-host): then they need no spares",
    )


def setting_of(kind: str) -> str:
    """The key of the site file that would give more of a kind of spares, "" when none does."""
    known, bracket, _ = kind.partition("[")
    record_type, _, dtype = known.partition(":")
    if known not in KINDS:
        return ""
    if bracket:
        return "spares.array_length" if dtype else ""
    return f"spares.arrays.{dtype}" if dtype else f"spares.{record_type}"
