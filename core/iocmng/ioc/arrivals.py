"""Records that come and go while clients are served: spare ones are dressed and named, others hidden."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from time import time

from iocmng.errors import RecordError
from iocmng.ioc import clib
from iocmng.ioc.dbtext import READ_ONLY_GROUP, dress_texts
from iocmng.ioc.dressing import Dresser, Examples, plain_spec
from iocmng.ioc.layout import ULONG, USHORT, memory_of, offset_of
from iocmng.ioc.naming import Name, add_name, is_known, layout_problem, rename, set_tags
from iocmng.ioc.publish import Located, ServedRecord
from iocmng.ioc.spares import Pool, check_counts, empty_value
from iocmng.ioc.writable import DEPARTED, by_address
from iocmng.spec import RecordSpec
from iocmng.spec.convert import convert
from iocmng.spec.spares import Shape, shape_of_kind
from iocmng.values import Severity, Status

_UNASKED = (
    "names of removed plugins cannot be hidden in this version of EPICS ({}): "
    "their PVs answer INVALID until the host restarts"
)


class Dressed:
    """A record that can be dressed, and what it wears now.

    Attributes:
        name: The name that clients find it by; its own before it has one.
        spec: What it is dressed as, None for a free one.
    """

    __slots__ = (
        "fields",
        "located",
        "name",
        "own_name",
        "public",
        "record",
        "record_type",
        "room",
        "spec",
        "tags",
    )

    def __init__(self, name: Name, record_type: str) -> None:
        self.name = name
        self.record = name.record
        self.record_type = record_type
        self.public = False
        self.own_name = name.text
        self.spec: RecordSpec | None = None
        self.fields: frozenset[str] = frozenset()
        self.tags: frozenset[str] = frozenset()
        self.located: Located | None = None
        self.room = 0

    @classmethod
    def native(cls, served: ServedRecord) -> Dressed:
        """One that was loaded for the name that it has."""
        spec = served.spec
        found = cls(Name.find(spec.name), spec.record_type)
        found.public = True
        found.spec = spec
        found.fields = frozenset(field for field, _ in dress_texts(spec))
        found.tags = frozenset(tag for tag, _ in spec.info)
        found.located = served.where()
        return found


class Arrivals:
    """Spare records, and what names are bound to.

    Args:
        make: Makes the record of a spec, not bound to memory yet.
        served: The records that are served, by name.
    """

    def __init__(
        self, make: Callable[[RecordSpec], ServedRecord], served: Mapping[str, ServedRecord]
    ) -> None:
        self._make = make
        self._served = served
        self._pool: Pool[Dressed] = Pool()
        self._examples = Examples()
        self._dresser = Dresser(self._examples)
        self._current: dict[str, Dressed] = {}
        self._spares: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._can_hide = True
        self._alone = False
        self.changing = threading.RLock()

    def reserve(self, counts: Mapping[str, int], array_length: int) -> None:
        """Ask for spare records; see `RecordPort.reserve`."""
        check_counts(counts)
        self._counts = dict(counts)
        self._pool.array_length = array_length

    def specs(self) -> list[RecordSpec]:
        """What to load before the start."""
        specs = self._examples.specs()
        for kind, count in self._counts.items():
            shape = shape_of_kind(kind, self._pool.array_length)
            for number in range(count):
                name = f":{kind}:{number}"
                self._spares[name] = kind
                specs.append(plain_spec(name, shape.record_type, dtype=shape.dtype, length=shape.room or 1))
        return specs

    def prepare(self) -> str:
        """Find the spare records and hide them, before EPICS tells anyone of them; return what is amiss, or ""."""
        problem = layout_problem(":plain:ai", ":plain:other")
        self._can_hide = not problem
        self._examples.find(hide=self._can_hide)
        for own, kind in self._spares.items():
            name = Name.find(own)
            if self._can_hide:
                name.hide()
            self._pool.add(kind, Dressed(name, kind.partition(":")[0]))
        return _UNASKED.format(problem) if problem else ""

    def free(self) -> dict[str, int]:
        """Spares of each kind that no name is bound to."""
        with self.changing:
            return self._pool.free() or dict(self._counts)

    def lacking(self, specs: Iterable[RecordSpec]) -> Mapping[str, tuple[int, int]]:
        """See `RecordPort.lacking`."""
        specs = list(specs)
        with self.changing:
            self._know(specs)
            return self._pool.lacking(specs)

    def needs_new(self, spec: RecordSpec) -> bool:
        """See `RecordPort.needs_new`."""
        with self.changing:
            self._know([spec])
            return self._pool.needs_new(spec)

    def _know(self, specs: Iterable[RecordSpec]) -> None:
        """Bind names of records that were loaded before the start, when somebody asks for them first."""
        for spec in specs:
            served = self._served.get(spec.name)
            if served is not None and not self._pool.of(spec.name):
                native = self._current[spec.name] = Dressed.native(served)
                self._pool.bind(spec.name, Shape.of(served.spec), native)

    def arrive(
        self, specs: Iterable[RecordSpec], *, source: str, python_stays_alone: bool
    ) -> dict[str, ServedRecord]:
        """Dress and serve records; see `RecordPort.arrive`. No put may keep the GIL meanwhile.

        Args:
            specs: What to serve.
            source: Whom they belong to.
            python_stays_alone: See `LockSets`, with these records taken into account.

        Returns:
            The records by name; handles of the same names are dead.
        """
        specs = list(specs)
        self._know(specs)
        self._alone = python_stays_alone
        for spec in specs:
            if not self._pool.of(spec.name) and is_known(spec.name):
                raise RecordError(f"{source}: EPICS has a record {spec.name} already")
            if not self._can_hide and self._pool.needs_new(spec):
                raise RecordError(
                    f"{source}: {spec.name} becomes another record, and the old one cannot be hidden",
                    hint="restart the host",
                )
        chosen = self._pool.choose(specs, source=source)
        begun: list[tuple[Dressed, RecordSpec | None]] = []
        try:
            for spec, dressed, _ in chosen:
                begun.append((dressed, dressed.spec))
                self._dress(dressed, spec)
        except BaseException:
            for dressed, before in reversed(begun):
                self._dress(dressed, before)
            for spec, dressed, is_new in chosen:
                if is_new:
                    self._pool.give_back(spec, dressed)
            raise
        return {spec.name: self._serve(spec, dressed) for spec, dressed, _ in chosen}

    def depart(self, names: Iterable[str]) -> None:
        """Take records away; see `RecordPort.depart`. Names that are not served are passed over."""
        for name in names:
            if (served := self._served.get(name)) is not None:
                self._know([served.spec])
                self._take_away(served, self._current.pop(name))

    def _dress(self, dressed: Dressed, spec: RecordSpec | None) -> None:
        """Put fields and tags; without a spec take all of them off again."""
        before, tags_before = dressed.fields, dressed.tags
        fields = tuple(dress_texts(spec)) if spec else ()
        tags = spec.info if spec else ()
        dressed.fields = before | {field for field, _ in fields}
        dressed.tags = tags_before | {tag for tag, _ in tags}
        dressed.spec = spec
        if not dressed.public:
            self._resize(dressed, spec)
        if dressed.record_type == "waveform":
            writable = spec is None or spec.writable
            self._examples.put_support(dressed.record, own=writable)
            fields = (*fields, ("TSE", "0" if writable else "-2"))
        self._dresser.dress(
            dressed.record,
            dressed.record_type,
            spec.name if spec else f"spare {dressed.record_type}",
            fields,
            before,
            clib.lock_record_briefly if self._is_quiet(dressed) else clib.lock_record,
        )
        set_tags(dressed.record, tags, tags_before)
        dressed.fields = frozenset(field for field, _ in fields)
        dressed.tags = frozenset(tag for tag, _ in tags)

    def _is_quiet(self, dressed: Dressed) -> bool:
        """Whether nobody who needs the GIL can hold the lock of a record: then it may be waited for with the GIL kept.

        Letting go of it costs up to 5 ms each time beside a thread that computes.
        """
        return self._alone and not dressed.public

    def _resize(self, dressed: Dressed, spec: RecordSpec | None) -> None:
        """Have a spare say that it is as long as its spec, as a record that was made for it would."""
        if dressed.record_type == "waveform":
            field, packing, closing = "NELM", ULONG, 0
        elif dressed.record_type in ("lsi", "lso"):
            field, packing, closing = "SIZV", USHORT, 1
        else:
            return
        at, size = offset_of(dressed.record_type, field)
        memory = memory_of(dressed.record + at, size)
        if not dressed.room:
            (dressed.room,) = packing.unpack_from(memory)
        packing.pack_into(memory, 0, max(1, spec.length) + closing if spec else dressed.room)

    def _serve(self, spec: RecordSpec, dressed: Dressed) -> ServedRecord:
        """Give a dressed record its value, and its name last."""
        if (before := self._served.get(spec.name)) is not None:
            if (current := self._current[spec.name]) is dressed:
                before.leave()
            else:
                self._take_away(before, current)
        if dressed.located is None:
            with dressed.name.shown():
                dressed.located = Located.find(dressed.own_name, dressed.record_type)
        if not spec.writable:
            by_address.pop(dressed.record, None)
        record = self._make(spec)
        record.locate(dressed.located)
        self._first_value(record, dressed)
        group = (spec.access or "") if spec.writable else READ_ONLY_GROUP
        self._dresser.put_group(
            dressed.record, dressed.record_type, group, shared=not self._is_quiet(dressed)
        )
        if dressed.public:
            dressed.name.show()
        else:
            if self._can_hide:
                rename(dressed.record, spec.name)
            dressed.name = add_name(dressed.record, spec.name)
            dressed.public = True
            self._pool.bind(spec.name, Shape.of(spec), dressed)
        self._current[spec.name] = dressed
        return record

    def _first_value(self, record: ServedRecord, dressed: Dressed) -> None:
        spec = record.spec
        if spec.value is not None:
            if spec.writable:
                record.assign(spec.value)
            else:
                record.publish(spec.value, Severity.INVALID, Status.UDF)
            return
        if not dressed.public:
            return
        if not _still_fits(record):
            if spec.writable:
                record.assign(empty_value(spec))
            else:
                record.publish(empty_value(spec), Severity.INVALID, Status.UDF)
        self._invalidate(record, dressed, Status.UDF, "")

    def _take_away(self, record: ServedRecord, dressed: Dressed) -> None:
        """Let a record go: its handle is dead, clients see INVALID and may not write, nobody finds its name."""
        record.leave()
        if record.spec.writable:
            self._dresser.put_group(dressed.record, dressed.record_type, READ_ONLY_GROUP, shared=True)
        if not record.active:
            self._invalidate(record, dressed, Status.COMM, DEPARTED)
        # A put that had begun before it could be refused.
        record.leave()
        if self._can_hide:
            dressed.name.hide()

    def _invalidate(self, record: ServedRecord, dressed: Dressed, status: Status, reason: str) -> None:
        record.mark_invalid(status, reason, time())
        record.process(self._examples.field(dressed.record_type, "PROC").of(dressed.record))


def _still_fits(record: ServedRecord) -> bool:
    try:
        convert(record.spec, record.read().value)
    except (TypeError, ValueError):
        return False
    return True
