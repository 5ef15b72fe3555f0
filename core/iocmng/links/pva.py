"""A client of PVs over PV Access. Importing this module imports p4p (0.5 s)."""

from __future__ import annotations

import threading
import time
from typing import Any

import iocmng.dso  # noqa: F401

# isort: split
from p4p.client.raw import Cancelled, Context, Disconnected, Finished, RemoteError

from iocmng.errors import LinkError, LinkRefused, LinkValueError
from iocmng.links.client import Question, ThreadedClient, lost
from iocmng.links.feeds import Fanout
from iocmng.links.outbox import Write
from iocmng.links.pva_values import fill, reading
from iocmng.links.thread_state import keep_thread_state
from iocmng.names import Provider

_FIELDS = "field(value,alarm,timeStamp)"
_BURST = f"{_FIELDS}record[queueSize=32]"
_FOUND_WITHIN = 1.0
_TO_THE_END = "field()record[block=true,process=passive]"


class _Monitor:
    """A subscription; p4p says in its own thread that there is something, and it is taken right there."""

    def __init__(self, pv: str, fanout: Fanout) -> None:
        self.pv = pv
        self.fanout = fanout
        self.subscription: Any = None
        self.made = time.monotonic()
        self.was_connected = False
        self._lock = threading.Lock()

    def begin(self, subscription: Any) -> None:
        self.subscription = subscription
        self.take()

    def told(self) -> None:
        keep_thread_state()
        self.take()

    def take(self) -> None:
        if self.subscription is None:
            return
        with self._lock:
            while (update := self.subscription.pop()) is not None:
                self._publish(update)

    def _publish(self, update: Any) -> None:
        if isinstance(update, (Disconnected, Finished, Cancelled)):
            lost(self.fanout)
        elif isinstance(update, Exception):
            lost(self.fanout, str(update))
        else:
            self.was_connected = True
            self.fanout.publish(reading(update))

    @property
    def is_down(self) -> bool:
        if self.fanout.last.connected:
            return False
        return self.was_connected or self.made + _FOUND_WITHIN < time.monotonic()


class PvaClient(ThreadedClient):
    """PVs over PV Access; p4p's operations are begun and ended by the worker thread."""

    provider = Provider.PVA

    def __init__(self) -> None:
        super().__init__()
        # Its own values, not p4p's wrappers of them: they cost 10 microseconds more for each event.
        self._context = Context("pva", useenv=True, nt=False)
        self._fields = Context.makeRequest(_FIELDS)
        self._burst = Context.makeRequest(_BURST)
        self._monitors: dict[str, _Monitor] = {}
        self._operations: dict[Question | Write, Any] = {}

    def _subscribe(self, pv: str, fanout: Fanout) -> None:
        monitor = self._monitors[pv] = _Monitor(pv, fanout)
        monitor.begin(self._context.monitor(pv, monitor.told, request=self._burst))

    def _unsubscribe(self, pv: str) -> None:
        self._monitors.pop(pv).subscription.close()

    def _is_down(self, pv: str) -> bool:
        monitor = self._monitors.get(pv)
        return monitor is not None and monitor.is_down

    def _ask(self, question: Question) -> None:
        def answered(outcome: Any) -> None:
            keep_thread_state()
            if not isinstance(outcome, Cancelled):
                question.settle(
                    self._error(question.pv, outcome) if isinstance(outcome, Exception) else reading(outcome)
                )
                self._worker.submit(lambda: self._forget(question))

        self._operations[question] = self._context.get(question.pv, answered, request=self._fields)

    def _forget(self, question: Question) -> None:
        self._end(question)

    def _begin_write(self, pv: str, write: Write) -> None:
        def build(target: Any) -> None:
            try:
                fill(target, write.value)
            except LinkValueError as error:
                # p4p makes a new exception of it, which has lost what this one says.
                write.complaint = error
                raise

        def written(outcome: Any) -> None:
            if not isinstance(outcome, Cancelled):
                failed = isinstance(outcome, Exception) and not write.complaint
                self._written(pv, write, self._error(pv, outcome) if failed else None)

        self._operations[write] = self._context.put(
            pv,
            written,
            builder=build,
            request=_TO_THE_END if write.wait else None,
            # Only a label needs the choices that the server has.
            get=isinstance(write.value, str),
        )

    def _cancel_write(self, pv: str, write: Write) -> None:
        self._end(write)

    def _finish(self, pv: str, write: Write, error: Exception | None) -> None:
        self._end(write)
        super()._finish(pv, write, error)

    def _end(self, subject: Question | Write) -> None:
        operation = self._operations.pop(subject, None)
        if operation is not None:
            operation.close()

    def _shut_down(self) -> None:
        for monitor in self._monitors.values():
            monitor.subscription.close()
        for operation in self._operations.values():
            operation.close()
        self._monitors.clear()
        self._operations.clear()
        self._context.close()

    def _error(self, pv: str, error: Exception) -> LinkError:
        if isinstance(error, RemoteError):
            return LinkRefused(f"pva://{pv}: {error}", hint="its server answered that")
        return LinkError(f"pva://{pv}: {error}")
