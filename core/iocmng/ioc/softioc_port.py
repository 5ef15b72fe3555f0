"""The records of this process through softioc: loaded from `.db` text, served until the process ends."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import time
from typing import Any

import pvxslibs.path  # type: ignore[import-untyped]
from setuptools_dso.runtime import find_dso  # type: ignore[import-untyped]

from iocmng.errors import RecordError
from iocmng.ioc import clib
from iocmng.ioc.access import access_groups, access_text, unaudited
from iocmng.ioc.dbtext import SEEDED_TYPES, database_text
from iocmng.ioc.locksets import python_stays_alone
from iocmng.ioc.messages import captured_messages
from iocmng.ioc.publish import NativeRecord, ServedRecord, keep_gil
from iocmng.ioc.trace import Arrival, WriteListener
from iocmng.ioc.watching import Watches
from iocmng.ioc.writable import WritableRecord, add_device_support
from iocmng.runtime.ports import Endpoints, Put, Trace, Undo
from iocmng.spec import RecordSpec
from iocmng.values import Reading, Value
from iocmng.wire import Actor

_log = logging.getLogger("iocmng.ioc")
_CALLBACK_QUEUE = 20_000
_CA_PORT, _CA_PORT_VARIABLES = 5064, ("EPICS_CAS_SERVER_PORT", "EPICS_CA_SERVER_PORT")
_PVA_PORT, _PVA_PORT_VARIABLES = 5075, ("EPICS_PVAS_SERVER_PORT", "EPICS_PVA_SERVER_PORT")
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
        self._writable: dict[int, WritableRecord] = {}
        self._listener = WriteListener(self._traced, self._ignored, self._writable)
        self._watches = Watches()
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
                raise RecordError(
                    f"record {spec.name} of {source} exists already in {self._sources.get(spec.name, source)}"
                )
            if spec.access and spec.access not in self._groups:
                raise RecordError(f"record {spec.name}: no access-security group {spec.access!r}",
                                  hint=f"defined: {', '.join(sorted(self._groups))}")  # fmt: skip
            records[spec.name] = self._make(spec)
        self._load_text(database_text(specs), source, records)
        self._records.update(records)
        self._sources.update(dict.fromkeys(records, source))

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
        self._database.close()
        os.close(self._memory_file)
        access = self._directory / "access.acf"
        access.write_text(self._access)
        clib.set_callback_queue(_CALLBACK_QUEUE)
        clib.set_access_file(str(access.resolve()).encode())
        clib.check_client_ip.value = 1
        with captured_messages(1, 2) as messages:
            if self._pva:
                _add_pva()
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
        return self._endpoints()

    def _endpoints(self) -> Endpoints:
        ca_port = _real_port("RSRV_SERVER_PORT")
        pva_port = _real_port("PVAS_SERVER_PORT") if self._pva else 0
        notes = [_moved("CA", ca_port, _CA_PORT_VARIABLES, _CA_PORT)]
        if self._pva:
            notes.append(_moved("PVA", pva_port, _PVA_PORT_VARIABLES, _PVA_PORT))
        if unaudited(self._access):
            notes.append(
                "rules of the access-security file lack TRAPWRITE: puts that they allow are not audited"
            )
        return Endpoints(ca_port, pva_port, tuple(note for note in notes if note))

    def _prepare(self) -> None:
        """Bind what clients write, and put first values where `.db` text cannot, before clients come."""
        now = time()
        keep_gil(python_stays_alone(record.spec for record in self._records.values()))
        for record in self._records.values():
            spec = record.spec
            if isinstance(record, WritableRecord):
                record.locate()
                self._writable[record.record_address] = record
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
        return self._watches.add(name, self._records[name].read, handler)

    def _deliver(self, record: WritableRecord, value: Value, complete: Callable[[], None]) -> None:
        spec = record.spec
        arrival = self._listener.take(record.record_address)
        actor = arrival.actor if arrival else Actor(via="pv")
        if arrival and record.running:
            self._listener.started(arrival, spec.labels[1] if len(spec.labels) > 1 else "1")
        self._call_soon(
            self._hand_on, Put(spec.name, value, actor, complete, arrival.ahead if arrival else 0)
        )

    def _ignored(self, arrival: Arrival) -> None:
        name = self._writable[arrival.record].spec.name
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


def _add_pva() -> None:
    if clib.load_database(b"pvxsIoc.dbd", pvxslibs.path.dbd_path.encode(), None):
        raise RecordError(f"EPICS cannot read pvxsIoc.dbd in {pvxslibs.path.dbd_path}")
    ctypes.CDLL(find_dso("pvxslibs.lib.pvxsIoc"), ctypes.RTLD_GLOBAL)
    if clib.register_drivers(clib.DATABASE):
        raise RecordError("EPICS cannot register the PVA server")


def _real_port(variable: str) -> int:
    return int(clib.get_env(variable.encode()) or 0)


def _moved(protocol: str, real: int, variables: Sequence[str], default: int) -> str:
    """Say that a server moved to another port, or "": it does so silently when its own is busy."""
    asked = next((value for variable in variables if (value := os.environ.get(variable))), str(default))
    if asked in ("0", str(real)):
        return ""
    return f"{protocol} port {asked} is busy; serving on {real}, which clients find by searching only"
