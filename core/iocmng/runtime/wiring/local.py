"""PVs of this host as links see them: what a record shows after processing, and what a client could put."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from queue import SimpleQueue

from iocmng.errors import LinkError, LinkRefused, LinkTimeout, LinkValueError
from iocmng.runtime.ports import DEFAULT_TIMEOUT, Record, RecordPort, Undo
from iocmng.runtime.wiring.source import UNKNOWN
from iocmng.spec.convert import convert
from iocmng.values import PortType, Reading, Value

DEPTH = 256


class LocalPvs:
    """A PvClient over the records of this process: no network, and nothing waits.

    A put obeys what a client's put would: read-only records refuse it, labels are understood, values that the record
    cannot hold are refused. Names may have a scheme, which does not matter. Answers come on the caller's thread.

    Args:
        records: The records.
        put: Writes a value, as the record holds it, on behalf of a client inside.
    """

    def __init__(self, records: RecordPort, put: Callable[[str, Value], None]) -> None:
        self._records = records
        self._put = put
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def serves(self, pv: str) -> bool:
        """Whether a record of this host has that name; a field of one (`X.HIGH`) is not a record."""
        return self._has(record_name(pv))

    def owns(self, pv: str) -> bool:
        """Whether it is a record of this host or a field of one."""
        return self.serves(pv) or self._has(record_name(pv).partition(".")[0])

    def _has(self, name: str) -> bool:
        try:
            self._records.record(name)
        except KeyError:
            return False
        return True

    def get(self, pv: str, *, timeout: float = DEFAULT_TIMEOUT) -> Reading:
        """See `PvClient.get`."""
        record = self._record(pv)
        reading = _labelled(record, record.read())
        if not reading.connected:
            raise LinkTimeout(f"{pv}: records are not served yet")
        return reading

    def get_many(self, pvs: Sequence[str], *, timeout: float = DEFAULT_TIMEOUT) -> list[Reading | LinkError]:
        """See `PvClient.get_many`."""
        outcomes: list[Reading | LinkError] = []
        for pv in pvs:
            self.ask(pv, outcomes.append)
        return outcomes

    def ask(
        self, pv: str, answer: Callable[[Reading | LinkError], None], *, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        """See `PvClient.ask`."""
        outcome: Reading | LinkError
        try:
            outcome = self.get(pv)
        except LinkError as error:
            outcome = error
        answer(outcome)

    def put(self, pv: str, value: Value, *, timeout: float = DEFAULT_TIMEOUT, wait: bool = False) -> None:
        """See `PvClient.put`; it does not wait for what the put causes."""
        record = self._record(pv)
        if not record.spec.writable:
            raise LinkRefused(f"{pv}: clients may not write it", hint="it is an output or a linked input")
        try:
            made = convert(record.spec, value)
        except (TypeError, ValueError) as error:
            raise LinkValueError(f"{pv}: {error}") from None
        self._put(record.spec.name, made)

    def post(self, pv: str, value: Value, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """See `PvClient.post`."""
        self.send(pv, value, _unheard)

    def send(
        self,
        pv: str,
        value: Value,
        done: Callable[[LinkError | LinkValueError | None], None],
        *,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """See `PvClient.send`."""
        outcome: LinkError | LinkValueError | None = None
        try:
            self.put(pv, value)
        except (LinkError, LinkValueError) as error:
            outcome = error
        done(outcome)

    def listen(self, pv: str, callback: Callable[[Reading], None]) -> Undo:
        """See `PvClient.listen`."""
        record = self._record(pv)
        if not record.read().connected:
            callback(UNKNOWN)
        return self._records.watch(record.spec.name, lambda reading: callback(_labelled(record, reading)))

    def monitor(self, pv: str, callback: Callable[[Reading], None]) -> Undo:
        """See `PvClient.monitor`."""
        waiting: deque[Reading] = deque(maxlen=DEPTH)
        ended = threading.Event()

        def deliver() -> None:
            if waiting and not ended.is_set():
                callback(waiting.popleft())

        def arrived(reading: Reading) -> None:
            waiting.append(reading)
            self._calls.put(deliver)

        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._call, name="local callbacks", daemon=True)
                self._thread.start()
        undo = self.listen(pv, arrived)

        def end() -> None:
            ended.set()
            undo()

        return end

    def close(self) -> None:
        """See `PvClient.close`."""
        self._calls.put(None)

    def _call(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    def _record(self, pv: str) -> Record:
        try:
            return self._records.record(record_name(pv))
        except KeyError:
            raise LinkError(f"{pv} is no PV of this host") from None


def record_name(pv: str) -> str:
    """Return a PV's name without scheme and without what means the record's value all the same: `.VAL`, and `$`."""
    return pv.rpartition("://")[2].removesuffix("$").removesuffix(".VAL")


def _labelled(record: Record, reading: Reading) -> Reading:
    spec = record.spec
    if spec.type not in (PortType.BOOL, PortType.ENUM) or not isinstance(reading.value, (bool, int)):
        return reading
    index = int(reading.value)
    return replace(reading, label=spec.labels[index]) if index < len(spec.labels) else reading


def _unheard(outcome: LinkError | LinkValueError | None) -> None:
    """Nobody wants to know."""
