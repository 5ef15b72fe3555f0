"""Which spare records are free, and which records a name is bound to for the life of the process. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from iocmng.errors import RecordError
from iocmng.spec import RecordSpec
from iocmng.spec.convert import convert
from iocmng.spec.spares import KINDS, Shape, kind_of, lacking_of, shortage
from iocmng.values import PortType, Value

R = TypeVar("R")

_EMPTY: dict[PortType, Value] = {
    PortType.FLOAT: 0.0,
    PortType.INT: 0,
    PortType.BOOL: False,
    PortType.STRING: "",
    PortType.ENUM: 0,
}


@dataclass(slots=True)
class Bound(Generic[R]):
    """A record that a name has; it never serves another name."""

    shape: Shape
    record: R


class Pool(Generic[R]):
    """Free records by kind, and bound ones by name. No record is ever given back once a name had it."""

    def __init__(self) -> None:
        self._free: dict[str, deque[R]] = {}
        self._bound: dict[str, list[Bound[R]]] = {}
        self.array_length = 1

    def add(self, kind: str, record: R) -> None:
        """Put a record that nothing was made of yet among the free ones."""
        self._free.setdefault(kind, deque()).append(record)

    def free(self) -> dict[str, int]:
        """How many are free, of each kind."""
        return {kind: len(records) for kind, records in self._free.items()}

    def bind(self, name: str, shape: Shape, record: R) -> None:
        """Let `name` have a record for good."""
        self._bound.setdefault(name, []).append(Bound(shape, record))

    def of(self, name: str) -> tuple[R, ...]:
        """The records that a name has had."""
        return tuple(bound.record for bound in self._bound.get(name, ()))

    def fitting(self, spec: RecordSpec) -> R | None:
        """The record of this name that can be dressed as `spec`, None when there is none."""
        return next(
            (bound.record for bound in self._bound.get(spec.name, ()) if bound.shape.fits(spec)), None
        )

    def needs_new(self, spec: RecordSpec) -> bool:
        """Whether the name has records, and none of them fits."""
        return bool(self._bound.get(spec.name)) and self.fitting(spec) is None

    def lacking(self, specs: Iterable[RecordSpec]) -> Mapping[str, tuple[int, int]]:
        """Needed and free records of each kind that does not suffice."""
        new = [spec for spec in specs if self.fitting(spec) is None]
        return lacking_of(new, self.free(), self.array_length)

    def choose(self, specs: Iterable[RecordSpec], *, source: str) -> list[tuple[RecordSpec, R, bool]]:
        """Find a record for each, and say whether it was free before; those are taken.

        Raises:
            SparesShort: There are too few; none is taken.
        """
        specs = list(specs)
        if lacking := self.lacking(specs):
            raise shortage(lacking, for_whom=source)
        chosen = []
        for spec in specs:
            bound = self.fitting(spec)
            chosen.append((spec, bound or self._free[kind_of(spec)].popleft(), bound is None))
        return chosen

    def give_back(self, spec: RecordSpec, record: R) -> None:
        """Take back a free record that was chosen for `spec` and not used."""
        self._free[kind_of(spec)].appendleft(record)


def check_counts(counts: Mapping[str, int]) -> None:
    """Refuse kinds that no spare can have.

    Raises:
        RecordError: There is no such kind.
    """
    if unknown := sorted(set(counts) - set(KINDS)):
        raise RecordError(f"there are no spare records of the kind {unknown[0]!r}",
                          hint=f"kinds: {', '.join(KINDS)}")  # fmt: skip


def empty_value(spec: RecordSpec) -> Value:
    """What a record holds that nobody has written."""
    if spec.type is PortType.ARRAY:
        return convert(spec, ())
    return _EMPTY[spec.type]
