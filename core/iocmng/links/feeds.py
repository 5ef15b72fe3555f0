"""From one subscription to many callbacks, each in order: in a thread for callbacks, or right where it comes."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from iocmng.links.worker import Worker
from iocmng.values import Reading

DEPTH = 256
"""Readings that wait for one callback; beyond that the oldest are dropped."""


logger = logging.getLogger(__name__)


class Sink(Protocol):
    """What readings of one subscription go to."""

    def push(self, reading: Reading) -> None:
        """Take a reading; from any thread, never blocks."""

    def close(self) -> None:
        """Take no more."""


class Direct:
    """Calls back at once on the thread that brings a reading.

    Args:
        callback: Called with each reading; it must only enqueue.
    """

    def __init__(self, callback: Callable[[Reading], None]) -> None:
        self._callback = callback
        self._closed = False

    def push(self, reading: Reading) -> None:
        """Call back with `reading`."""
        if self._closed:
            return
        try:
            self._callback(reading)
        except Exception:
            # The thread belongs to the client library, and others wait for the same reading.
            logger.exception("a callback failed")

    def close(self) -> None:
        """Call back no more."""
        self._closed = True


class Feed:
    """The readings that wait for one callback.

    Args:
        callback: Called with each reading in the worker's thread.
        worker: The thread that calls it.
        depth: How many readings wait at most.

    Attributes:
        dropped: How many were dropped because the callback was slow.
    """

    def __init__(self, callback: Callable[[Reading], None], worker: Worker, depth: int = DEPTH) -> None:
        self._callback = callback
        self._worker = worker
        self._waiting: deque[Reading] = deque(maxlen=depth)
        self._lock = threading.Lock()
        self._scheduled = False
        self._closed = False
        self.dropped = 0

    def push(self, reading: Reading) -> None:
        """Let `reading` wait for its turn; from any thread, never blocks."""
        with self._lock:
            if len(self._waiting) == self._waiting.maxlen:
                self.dropped += 1
            self._waiting.append(reading)
            if self._scheduled:
                return
            self._scheduled = True
        self._worker.submit(self._deliver)

    def close(self) -> None:
        """Call the callback no more."""
        self._closed = True

    def _deliver(self) -> None:
        # One at a time, so that a busy feed does not hold up the others of this worker.
        with self._lock:
            reading = self._waiting.popleft()
            self._scheduled = bool(self._waiting)
        if self._scheduled:
            self._worker.submit(self._deliver)
        if not self._closed:
            self._callback(reading)


class Fanout:
    """One subscription of a PV and all the feeds that it serves.

    Args:
        first: What is known of the PV before its server answers.
    """

    def __init__(self, first: Reading) -> None:
        self._lock = threading.Lock()
        self._last = first
        self._feeds: tuple[Sink, ...] = ()

    @property
    def last(self) -> Reading:
        """The latest reading."""
        return self._last

    @property
    def empty(self) -> bool:
        """Whether nobody listens."""
        return not self._feeds

    def publish(self, reading: Reading) -> None:
        """Give `reading` to all."""
        with self._lock:
            self._last = reading
            for feed in self._feeds:
                feed.push(reading)

    def add(self, feed: Sink) -> None:
        """Give the latest reading and all further ones to `feed`."""
        with self._lock:
            self._feeds = (*self._feeds, feed)
            feed.push(self._last)

    def remove(self, feed: Sink) -> None:
        """Give `feed` no more."""
        with self._lock:
            self._feeds = tuple(other for other in self._feeds if other is not feed)
