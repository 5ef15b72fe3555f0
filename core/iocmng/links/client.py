"""What the clients of both protocols share: one thread that talks to the library, one that calls back."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import Future
from typing import ClassVar

from iocmng.errors import LinkError, LinkTimeout, LinkValueError
from iocmng.links.feeds import Direct, Fanout, Feed, Sink
from iocmng.links.outbox import Outbox, Write
from iocmng.links.worker import Worker
from iocmng.names import Provider
from iocmng.runtime.ports import DEFAULT_TIMEOUT, Undo
from iocmng.values import Reading, Severity, Status, Value

_MANY = 1000


class Question:
    """One get that is under way.

    Args:
        pv: Who is asked.
        told: Called once with the answer, or with what went wrong.
    """

    __slots__ = ("_told", "pv")

    def __init__(self, pv: str, told: Callable[[Reading | LinkError], None]) -> None:
        self.pv = pv
        # Of several threads that settle at once one only can take the function out of the list.
        self._told = [told]

    @property
    def settled(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return not self._told

    def settle(self, outcome: Reading | LinkError) -> None:
        """Answer, unless it was answered or given up before."""
        try:
            told = self._told.pop()
        except IndexError:
            return
        told(outcome)


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
        self._open_questions: dict[float, deque[tuple[float, Question]]] = {}
        self._closed = False

    def get(self, pv: str, *, timeout: float = DEFAULT_TIMEOUT) -> Reading:
        """See `PvClient.get`."""
        (outcome,) = self.get_many([pv], timeout=timeout)
        if isinstance(outcome, LinkError):
            raise outcome
        return outcome

    def get_many(self, pvs: Sequence[str], *, timeout: float = DEFAULT_TIMEOUT) -> list[Reading | LinkError]:
        """See `PvClient.get_many`."""
        answers: list[Future[Reading | LinkError]] = [Future() for _ in pvs]
        questions = [Question(pv, answer.set_result) for pv, answer in zip(pvs, answers, strict=True)]
        self._submit(lambda: self._ask_all(questions))
        _, late = futures.wait(answers, timeout)
        if late:
            self._submit(lambda: self._give_up(questions, timeout))
        return [
            self._too_late(pv, timeout) if answer in late else answer.result()
            for pv, answer in zip(pvs, answers, strict=True)
        ]

    def ask(
        self, pv: str, answer: Callable[[Reading | LinkError], None], *, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        """See `PvClient.ask`."""
        question = Question(pv, answer)
        self._submit(lambda: self._ask_or_refuse(question, timeout))

    def put(self, pv: str, value: Value, *, timeout: float = DEFAULT_TIMEOUT, wait: bool = False) -> None:
        """See `PvClient.put`."""
        result: Future[Exception | None] = Future()
        write = Write(value, time.monotonic() + timeout, wait, result.set_result)
        self._submit(lambda: self._outbox(pv).add(write))
        try:
            # The outbox keeps the deadline; the second more is for a thread that is busy.
            error = result.result(timeout + 1.0)
        except futures.TimeoutError:
            raise LinkTimeout(f"{self.provider}://{pv}: the thread that writes is stuck") from None
        if error is not None:
            raise error

    def send(
        self,
        pv: str,
        value: Value,
        done: Callable[[LinkError | LinkValueError | None], None],
        *,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """See `PvClient.send`."""
        write = Write(value, time.monotonic() + timeout, told=lambda error: done(_as_link_error(error)))
        self._submit(lambda: self._outbox(pv).add(write))

    def post(self, pv: str, value: Value, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """See `PvClient.post`."""
        write = Write(value, time.monotonic() + timeout)
        self._submit(lambda: self._outbox(pv).add(write))

    def monitor(self, pv: str, callback: Callable[[Reading], None]) -> Undo:
        """See `PvClient.monitor`."""
        return self._feed(pv, Feed(callback, self._callbacks))

    def listen(self, pv: str, callback: Callable[[Reading], None]) -> Undo:
        """See `PvClient.listen`."""
        return self._feed(pv, Direct(callback))

    def close(self) -> None:
        """See `PvClient.close`."""
        if self._closed:
            return
        self._closed = True
        self._worker.submit(self._shut_down)
        self._worker.submit(self._answer_all)
        self._worker.close()
        self._callbacks.close()

    @abstractmethod
    def _ask(self, question: Question) -> None:
        """Begin a get; `question.settle` ends it."""

    @abstractmethod
    def _is_down(self, pv: str) -> bool:
        """Whether a PV is known not to be connected."""

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

    def _answer_all(self) -> None:
        error = LinkError(self._closed_text)
        for open_ones in self._open_questions.values():
            for _, question in open_ones:
                question.settle(error)
        for outbox in self._outboxes.values():
            outbox.close(error)

    @property
    def _closed_text(self) -> str:
        return f"the {self.provider} client is closed"

    def _submit(self, job: Callable[[], object]) -> None:
        if self._closed:
            raise LinkError(self._closed_text)
        self._worker.submit(job)

    def _finish(self, pv: str, write: Write, error: Exception | None) -> None:
        outbox = self._outboxes.get(pv)
        if outbox is not None:
            outbox.done(write, error)

    def _feed(self, pv: str, feed: Sink) -> Undo:
        self._submit(lambda: self._attach(pv, feed))

        def undo() -> None:
            feed.close()
            if not self._closed:
                self._worker.submit(lambda: self._detach(pv, feed))

        return undo

    def _ask_or_refuse(self, question: Question, timeout: float) -> None:
        if self._is_down(question.pv):
            question.settle(LinkError(f"{self.provider}://{question.pv} is not connected"))
            return
        open_ones = self._open_questions.setdefault(timeout, deque())
        if not open_ones:
            # One timer serves all questions of equal patience: they are late in the order in which they came.
            self._worker.after(timeout, lambda: self._look_for_late(timeout))
        open_ones.append((time.monotonic() + timeout, question))
        self._ask_all([question])

    def _look_for_late(self, timeout: float) -> None:
        open_ones, now = self._open_questions[timeout], time.monotonic()
        while open_ones and (open_ones[0][1].settled or open_ones[0][0] <= now):
            self._give_up([open_ones.popleft()[1]], timeout)
        if open_ones:
            self._worker.after(open_ones[0][0] - now, lambda: self._look_for_late(timeout))

    def _give_up(self, questions: Sequence[Question], timeout: float) -> None:
        for question in questions:
            if not question.settled:
                self._forget(question)
                question.settle(self._too_late(question.pv, timeout))

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

    def _attach(self, pv: str, feed: Sink) -> None:
        known = self._fanouts.get(pv)
        fanout = known or self._fanouts.setdefault(pv, Fanout(disconnected()))
        fanout.add(feed)
        if known is None:
            self._subscribe(pv, fanout)

    def _detach(self, pv: str, feed: Sink) -> None:
        fanout = self._fanouts.get(pv)
        if fanout is None:
            return
        fanout.remove(feed)
        if fanout.empty:
            del self._fanouts[pv]
            self._unsubscribe(pv)

    def _too_late(self, pv: str, timeout: float) -> LinkTimeout:
        return LinkTimeout(
            f"{self.provider}://{pv} did not answer within {timeout:g} s",
            hint=f"is its server running, and in EPICS_{self.provider.upper()}_ADDR_LIST?",
        )


def _as_link_error(error: Exception | None) -> LinkError | LinkValueError | None:
    if error is None or isinstance(error, (LinkError, LinkValueError)):
        return error
    return LinkValueError(str(error))


def lost(fanout: Fanout, message: str = "disconnected") -> None:
    """Tell everyone that the PV does not answer any more, unless they know."""
    if fanout.last.connected:
        fanout.publish(disconnected(fanout.last.value, message))
