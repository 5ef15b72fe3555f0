"""What the clients of both protocols share: one thread that talks to the library, one that calls back."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import ClassVar

from iocmng.errors import LinkError, LinkTimeout
from iocmng.links.feeds import Fanout, Feed
from iocmng.links.outbox import Outbox, Write
from iocmng.links.worker import Worker
from iocmng.names import Provider
from iocmng.runtime.ports import DEFAULT_TIMEOUT, Undo
from iocmng.values import Reading, Severity, Status, Value

_MANY = 1000


@dataclass(eq=False, slots=True)
class Question:
    """One get that is under way: who asks what, and who waits for the answer."""

    pv: str
    answer: Future[Reading] = field(default_factory=Future)

    def settle(self, outcome: Reading | Exception) -> None:
        """Answer, unless it was answered or given up before."""
        if not self.answer.set_running_or_notify_cancel():
            return
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


def disconnected(last: Value | None = None, message: str = "not connected") -> Reading:
    """Return the reading of a PV that does not answer, with the last known value."""
    return Reading(last, Severity.INVALID, Status.COMM, time.time(), connected=False, message=message)


class ThreadedClient(ABC):
    """A PvClient whose methods hand everything to one thread, which alone calls the client library."""

    provider: ClassVar[Provider]

    def __init__(self) -> None:
        self._worker = Worker(f"{self.provider} links")
        self._callbacks = Worker(f"{self.provider} callbacks")
        self._fanouts: dict[str, Fanout] = {}
        self._outboxes: dict[str, Outbox] = {}
        self._closed = False

    def get(self, pv: str, *, timeout: float = DEFAULT_TIMEOUT) -> Reading:
        """See `PvClient.get`."""
        (outcome,) = self.get_many([pv], timeout=timeout)
        if isinstance(outcome, LinkError):
            raise outcome
        return outcome

    def get_many(self, pvs: Sequence[str], *, timeout: float = DEFAULT_TIMEOUT) -> list[Reading | LinkError]:
        """See `PvClient.get_many`."""
        questions = [Question(pv) for pv in pvs]
        self._submit(lambda: self._ask_all(questions))
        futures.wait([question.answer for question in questions], timeout)
        late = [question for question in questions if question.answer.cancel()]
        if late:
            self._submit(lambda: [self._forget(question) for question in late])
        return [self._outcome(question, timeout) for question in questions]

    def put(self, pv: str, value: Value, *, timeout: float = DEFAULT_TIMEOUT, wait: bool = False) -> None:
        """See `PvClient.put`."""
        result: Future[None] = Future()
        write = Write(value, time.monotonic() + timeout, wait, result)
        self._submit(lambda: self._outbox(pv).add(write))
        try:
            # The outbox keeps the deadline; the second more is for a thread that is busy.
            result.result(timeout + 1.0)
        except futures.TimeoutError as error:
            if isinstance(error, LinkError):
                raise
            raise LinkTimeout(f"{self.provider}://{pv}: the thread that writes is stuck") from None

    def post(self, pv: str, value: Value, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """See `PvClient.post`."""
        write = Write(value, time.monotonic() + timeout)
        self._submit(lambda: self._outbox(pv).add(write))

    def monitor(self, pv: str, callback: Callable[[Reading], None]) -> Undo:
        """See `PvClient.monitor`."""
        feed = Feed(callback, self._callbacks)
        self._submit(lambda: self._attach(pv, feed))

        def undo() -> None:
            feed.close()
            if not self._closed:
                self._worker.submit(lambda: self._detach(pv, feed))

        return undo

    def close(self) -> None:
        """See `PvClient.close`."""
        if self._closed:
            return
        self._closed = True
        self._worker.submit(self._shut_down)
        self._worker.close()
        self._callbacks.close()

    @abstractmethod
    def _ask(self, question: Question) -> None:
        """Begin a get; `question.settle` ends it."""

    @abstractmethod
    def _forget(self, question: Question) -> None:
        """Nobody waits for this get any more."""

    @abstractmethod
    def _begin_write(self, pv: str, write: Write) -> None:
        """Begin a write; `_written` ends it."""

    @abstractmethod
    def _cancel_write(self, pv: str, write: Write) -> None:
        """Give a write up, so that it is not sent later."""

    @abstractmethod
    def _subscribe(self, pv: str, fanout: Fanout) -> None:
        """Publish what the PV does to `fanout`."""

    @abstractmethod
    def _unsubscribe(self, pv: str) -> None:
        """End that."""

    @abstractmethod
    def _shut_down(self) -> None:
        """Give back all that the library holds for this client."""

    def _written(self, pv: str, write: Write, error: Exception | None = None) -> None:
        """A write is over; from any thread."""
        self._worker.submit(lambda: self._finish(pv, write, error))

    def _submit(self, job: Callable[[], object]) -> None:
        if self._closed:
            raise LinkError(f"the {self.provider} client is closed")
        self._worker.submit(job)

    def _finish(self, pv: str, write: Write, error: Exception | None) -> None:
        outbox = self._outboxes.get(pv)
        if outbox is not None:
            outbox.done(write, error)

    def _ask_all(self, questions: Sequence[Question]) -> None:
        for question in questions:
            try:
                self._ask(question)
            except LinkError as error:
                question.settle(error)

    def _start_write(self, pv: str, write: Write) -> None:
        try:
            self._begin_write(pv, write)
        except LinkError as error:
            self._written(pv, write, error)

    def _outbox(self, pv: str) -> Outbox:
        if pv not in self._outboxes:
            if len(self._outboxes) >= _MANY:
                self._outboxes = {name: outbox for name, outbox in self._outboxes.items() if not outbox.idle}
            self._outboxes[pv] = Outbox(
                f"{self.provider}://{pv}",
                self._worker,
                lambda write: self._start_write(pv, write),
                lambda write: self._cancel_write(pv, write),
            )
        return self._outboxes[pv]

    def _attach(self, pv: str, feed: Feed) -> None:
        known = self._fanouts.get(pv)
        fanout = known or self._fanouts.setdefault(pv, Fanout(disconnected()))
        fanout.add(feed)
        if known is None:
            self._subscribe(pv, fanout)

    def _detach(self, pv: str, feed: Feed) -> None:
        fanout = self._fanouts.get(pv)
        if fanout is None:
            return
        fanout.remove(feed)
        if fanout.empty:
            del self._fanouts[pv]
            self._unsubscribe(pv)

    def _outcome(self, question: Question, timeout: float) -> Reading | LinkError:
        if question.answer.cancelled():
            return LinkTimeout(
                f"{self.provider}://{question.pv} did not answer within {timeout:g} s",
                hint=f"is its server running, and in EPICS_{self.provider.upper()}_ADDR_LIST?",
            )
        error = question.answer.exception()
        if isinstance(error, LinkError):
            return error
        return question.answer.result()


def lost(fanout: Fanout, message: str = "disconnected") -> None:
    """Tell everyone that the PV does not answer any more, unless they know."""
    if fanout.last.connected:
        fanout.publish(disconnected(fanout.last.value, message))
