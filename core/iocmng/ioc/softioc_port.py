"""The records of this process through softioc: loaded from `.db` text, served until the process ends."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from time import time
from typing import Any

from iocmng.errors import RecordError
from iocmng.ioc import clib
from iocmng.ioc.access import access_groups, access_text, unaudited
from iocmng.ioc.arrivals import Arrivals
from iocmng.ioc.beacon_targets import ca_targets, pva_targets
from iocmng.ioc.beacons import Announcer
from iocmng.ioc.dbtext import SEEDED_TYPES, database_text, record_text
from iocmng.ioc.locksets import LockSets
from iocmng.ioc.messages import captured_messages
from iocmng.ioc.publish import NativeRecord, ServedRecord, keep_gil
from iocmng.ioc.servers import add_pva, ca_port_in_use, moved_ca, moved_pva, pva_port_in_use
from iocmng.ioc.trace import Arrival, WriteListener
from iocmng.ioc.watching import Watches
from iocmng.ioc.writable import WritableRecord, add_device_support, by_address
from iocmng.runtime.ports import Endpoints, Put, Trace, Undo
from iocmng.spec import RecordSpec
from iocmng.values import Reading, Value
from iocmng.wire import Actor

_log = logging.getLogger("iocmng.ioc")
_CALLBACK_QUEUE = 20_000
_FILE_NAME = re.compile(r"[^A-Za-z0-9_.-]")
_made = threading.Lock()


class SoftIoc:
    """The one port of a process (see `iocmng.runtime.ports.RecordPort`).

    Args:
        state_dir: Where generated files go; made with mode 0700.
        loop: The loop on whose thread handlers are called.
        access_security: The site's access-security file, None for the host's default rules.
        pva: Serve PV Access beside Channel Access.

    Raises:
        RecordError: The access-security file cannot be used, or this process has had a port already.
    """

    def __init__(
        self,
        *,
        state_dir: Path,
        loop: asyncio.AbstractEventLoop,
        access_security: Path | None = None,
        pva: bool = True,
    ) -> None:
        if not _made.acquire(blocking=False):
            raise RecordError("EPICS serves one set of records in a process, and this one has it already")
        self._directory = state_dir / "ioc"
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._database = (self._directory / "records.db").open("wb")
        self._memory_file = os.memfd_create("records")
        self._loop = loop
        self._pva = pva
        self._served = False
        self._access = access_text(access_security)
        self._groups = access_groups(self._access)
        self._records: dict[str, ServedRecord] = {}
        self._sources: dict[str, str] = {}
        self._put_handlers: dict[str, tuple[Callable[[Put], None], ...]] = {}
        self._trace_handlers: tuple[Callable[[Trace], None], ...] = ()
        self._pending: deque[Callable[[], None]] = deque()
        self._listener = WriteListener(self._traced, self._ignored, by_address)
        self._watches = Watches(self._read)
        self._arrivals = Arrivals(self._make, self._records)
        self._locks = LockSets()
        self._announcer = Announcer(ca_targets, pva_targets)
        add_device_support()

    def load(self, specs: Iterable[RecordSpec], *, source: str) -> None:
        """Make the records of one instance; see `RecordPort.load`.

        Raises:
            RecordError: EPICS refused one, with its complaint; none of this call's records exist then.
        """
        specs = tuple(specs)
        if self._served:
            raise RecordError(f"{source}: EPICS makes no records while it serves", hint="load before start")
        records: dict[str, ServedRecord] = {}
        for spec in specs:
            if spec.name in records or spec.name in self._records:
                raise self._exists(spec, source)
            self._check_group(spec)
            records[spec.name] = self._make(spec)
        self._load_text(database_text(specs), source, records)
        self._records.update(records)
        self._sources.update(dict.fromkeys(records, source))

    def _exists(self, spec: RecordSpec, source: str) -> RecordError:
        return RecordError(
            f"record {spec.name} of {source} exists already in {self._sources.get(spec.name, source)}"
        )

    def _check_group(self, spec: RecordSpec) -> None:
        if spec.access and spec.access not in self._groups:
            raise RecordError(f"record {spec.name}: no access-security group {spec.access!r}",
                              hint=f"defined: {', '.join(sorted(self._groups))}")  # fmt: skip

    def reserve(self, counts: Mapping[str, int], *, array_length: int) -> None:
        """Make hidden spare records; see `RecordPort.reserve`.

        Raises:
            RecordError: There is no such kind, or records are served already.
        """
        if self._served:
            raise RecordError("EPICS makes no records while it serves", hint="reserve before start")
        self._arrivals.reserve(counts, array_length)

    def spares(self) -> Mapping[str, int]:
        """Spare records of each kind that no name is bound to. Any thread."""
        return self._arrivals.free()

    def lacking(self, specs: Iterable[RecordSpec]) -> Mapping[str, tuple[int, int]]:
        """Needed and free spares of each kind that would not suffice; see `RecordPort.lacking`."""
        return self._arrivals.lacking(specs)

    def needs_new(self, spec: RecordSpec) -> bool:
        """Whether a name would get another record than it has or had; see `RecordPort.needs_new`."""
        return self._arrivals.needs_new(spec)

    def arrive(self, specs: Iterable[RecordSpec], *, source: str) -> None:
        """Serve further records while clients are served; see `RecordPort.arrive`.

        Raises:
            SparesShort: Spares do not suffice; nothing has changed.
            RecordError: A name is taken, a field is refused, or nothing is served yet; nothing has changed.
        """
        specs = tuple(specs)
        with self._arrivals.changing:
            self._check_arrival(specs, source)
            self._locks.add(specs)
            alone = self._locks.python_stays_alone
            names = [spec.name for spec in specs]
            # Dressing holds locks of records while other threads run: no put may wait for one with the GIL kept.
            keep_gil(False)
            try:
                records = self._arrivals.arrive(specs, source=source, python_stays_alone=alone)
            finally:
                keep_gil(alone)
            self._watches.leave(names)
            self._records.update(records)
            self._sources.update(dict.fromkeys(names, source))
            self._watches.come(names)

    def _check_arrival(self, specs: Iterable[RecordSpec], source: str) -> None:
        if not self._served:
            raise RecordError(f"{source}: records are not served yet", hint="load them instead")
        seen: set[str] = set()
        for spec in specs:
            if spec.name in seen or self._sources.get(spec.name, source) != source:
                raise self._exists(spec, source)
            seen.add(spec.name)
            self._check_group(spec)
            record_text(spec)

    def depart(self, names: Iterable[str]) -> None:
        """Take records away, those that are there; see `RecordPort.depart`."""
        with self._arrivals.changing:
            gone = [name for name in names if name in self._records]
            self._watches.leave(gone)
            self._arrivals.depart(gone)
            for name in gone:
                del self._records[name], self._sources[name]

    def announce(self) -> None:
        """Have clients that have been waiting for names search again; see `RecordPort.announce`."""
        if self._served:
            self._announcer.announce()

    def _load_text(self, text: str, source: str, names: Iterable[str]) -> None:
        """Load from memory, and append to `records.db`: a file per instance costs a millisecond each."""
        coded = text.encode()
        os.ftruncate(self._memory_file, 0)
        os.pwrite(self._memory_file, coded, 0)
        with captured_messages(2) as messages:
            failed = clib.load_database(b"/proc/self/fd/%d" % self._memory_file, None, None)
            complaint = messages() if failed else ""
        if failed:
            for name in names:
                _delete(name)
            refused = self._directory / f"refused-{_FILE_NAME.sub('_', source)}.db"
            refused.write_bytes(coded)
            raise RecordError(f"EPICS refused the records of {source}: {complaint}", hint=f"see {refused}")
        self._database.write(coded)

    def _make(self, spec: RecordSpec) -> ServedRecord:
        if spec.writable:
            return WritableRecord(spec, self._is_served, self._deliver)
        return NativeRecord(spec, self._is_served)

    def _is_served(self) -> bool:
        return self._served

    def start(self) -> Endpoints:
        """Serve all loaded records; what clients then see is for `iocmng.links.selfcheck` to ask.

        Takes 0.6 s, mostly waiting, in which other threads run; may be called on any thread.

        Raises:
            RecordError: EPICS refused to start, in its words.
        """
        note = self._add_spares()
        self._database.close()
        os.close(self._memory_file)
        access = self._directory / "access.acf"
        access.write_text(self._access)
        clib.set_callback_queue(_CALLBACK_QUEUE)
        clib.set_access_file(str(access.resolve()).encode())
        clib.check_client_ip.value = 1
        with captured_messages(1, 2) as messages:
            if self._pva:
                add_pva()
            failed = clib.build()
            if not failed:
                self._prepare()
                failed = clib.run()
            said = messages()
        if failed:
            raise RecordError(f"EPICS did not start: {said or f'status {failed}'}", hint=f"see {access}")
        _log.debug("EPICS: %s", said)
        self._listener.listen()
        self._served = True
        self._watches.begin()
        return self._endpoints(note)

    def _add_spares(self) -> str:
        specs = self._arrivals.specs()
        self._load_text(database_text(specs), "spares", [spec.name for spec in specs])
        return self._arrivals.prepare()

    def _endpoints(self, note: str) -> Endpoints:
        ca_port = ca_port_in_use()
        pva_port = pva_port_in_use() if self._pva else 0
        self._announcer.use(ca_port, pva_port)
        notes = [note, moved_ca(ca_port)]
        if self._pva:
            notes.append(moved_pva(pva_port))
        if unaudited(self._access):
            notes.append(
                "rules of the access-security file lack TRAPWRITE: puts that they allow are not audited"
            )
        return Endpoints(ca_port, pva_port, tuple(note for note in notes if note))

    def _prepare(self) -> None:
        """Bind what clients write, and put first values where `.db` text cannot, before clients come."""
        now = time()
        self._locks.add(record.spec for record in self._records.values())
        keep_gil(self._locks.python_stays_alone)
        for record in self._records.values():
            spec = record.spec
            if isinstance(record, WritableRecord):
                record.locate()
            if spec.value is not None and (spec.writable or spec.record_type in SEEDED_TYPES):
                record.seed(spec.value, now)

    def record(self, name: str) -> ServedRecord:
        """The record of a full PV name.

        Raises:
            KeyError: There is none.
        """
        return self._records[name]

    def on_put(self, name: str, handler: Callable[[Put], None]) -> Undo:
        """Call `handler` for each client put to a writable record; see `RecordPort.on_put`.

        Raises:
            KeyError: There is no such record.
            RecordError: Clients may not write it.
        """
        if not self._records[name].spec.writable:
            raise RecordError(f"{name}: clients may not write it, so no put will come")
        self._put_handlers[name] = (*self._put_handlers.get(name, ()), handler)

        def undo() -> None:
            self._put_handlers[name] = tuple(
                known for known in self._put_handlers[name] if known is not handler
            )

        return undo

    def on_trace(self, handler: Callable[[Trace], None]) -> Undo:
        """Call `handler` on the loop's thread for every client put; see `RecordPort.on_trace`."""
        self._trace_handlers = (*self._trace_handlers, handler)

        def undo() -> None:
            self._trace_handlers = tuple(known for known in self._trace_handlers if known is not handler)

        return undo

    def watch(self, name: str, handler: Callable[[Reading], None]) -> Undo:
        """Call `handler` after every change of a record, on a thread of EPICS; see `RecordPort.watch`.

        Raises:
            KeyError: There is no such record.
        """
        if name not in self._records:
            raise KeyError(name)
        return self._watches.add(name, handler)

    def _read(self, name: str) -> Reading | None:
        record = self._records.get(name)
        return record.read() if record and not record.departed else None

    def _deliver(self, record: WritableRecord, value: Value, complete: Callable[[], None]) -> None:
        spec = record.spec
        arrival = self._listener.take(record.record_address)
        if record.departed:
            return
        actor = arrival.actor if arrival else Actor(via="pv")
        if arrival and record.running:
            self._listener.started(arrival, spec.labels[1] if len(spec.labels) > 1 else "1")
        self._call_soon(
            self._hand_on, Put(spec.name, value, actor, complete, arrival.ahead if arrival else 0)
        )

    def _ignored(self, arrival: Arrival) -> None:
        record = by_address.get(arrival.record)
        if record is None or record.departed:
            return
        name = record.spec.name
        self._call_soon(self._hand_on, Put(name, True, arrival.actor, _nothing, arrival.ahead, ignored=True))

    def _traced(self, trace: Trace) -> None:
        if self._trace_handlers:
            self._call_soon(self._hand_trace_on, trace)

    def _call_soon(self, function: Callable[[Any], None], argument: Any) -> None:
        self._pending.append(lambda: function(argument))
        if len(self._pending) == 1:
            try:
                self._loop.call_soon_threadsafe(self._drain)
            except RuntimeError:
                _log.debug("a put came after the loop had closed")

    def _drain(self) -> None:
        while self._pending:
            call = self._pending[0]
            call()
            self._pending.popleft()

    def _hand_on(self, put: Put) -> None:
        handlers = self._put_handlers.get(put.name, ())
        if not handlers:
            _guarded(lambda unheard: unheard.complete(), put)
        for handler in handlers:
            _guarded(handler, put)

    def _hand_trace_on(self, trace: Trace) -> None:
        for handler in self._trace_handlers:
            _guarded(handler, trace)


def _guarded(handler: Callable[[Any], None], argument: Any) -> None:
    try:
        handler(argument)
    except Exception:  # noqa: BLE001 - a border: one handler's fault must not keep later puts from the others
        _log.exception("handler %r failed on %r", handler, argument)


def _nothing() -> None:
    """End a put that has ended already."""


def _delete(name: str) -> None:
    entry = ctypes.create_string_buffer(256)
    clib.init_entry(clib.DATABASE, entry)
    if not clib.find_record(entry, name.encode()):
        clib.delete_record(entry)
    clib.finish_entry(entry)
