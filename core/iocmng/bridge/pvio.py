"""Reading and writing records of other IOCs without exceptions: what fails is None, or False."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import overload

from iocmng.errors import LinkError, LinkValueError
from iocmng.links import Links, Provider, PvClient, parse_link
from iocmng.runtime.clock import RealClock
from iocmng.runtime.ports import DEFAULT_TIMEOUT, Clock
from iocmng.values import Reading, Value

_log = logging.getLogger(__name__)
_SLACK = 0.5


class BridgeIO:
    """Gets and puts of PVs elsewhere.

    Args:
        client: Reaches them; a new one when None.
        provider: Provider of names without a scheme.
        clock: Whose seconds count.
        logger: Told of what fails.
        level: The level of that.
    """

    def __init__(
        self,
        client: PvClient | None = None,
        provider: Provider = Provider.PVA,
        clock: Clock | None = None,
        logger: logging.Logger = _log,
        level: int = logging.WARNING,
    ) -> None:
        self._client = client
        self._own: Links | None = None
        self._provider = provider
        self._clock = clock or RealClock()
        self._logger, self._level = logger, level
        self._lock = threading.Lock()

    @overload
    def pvget(self, pvs: str, timeout: float = ...) -> Value | None: ...

    @overload
    def pvget(self, pvs: list[str] | tuple[str, ...], timeout: float = ...) -> dict[str, Value | None]: ...

    def pvget(
        self, pvs: str | list[str] | tuple[str, ...], timeout: float = DEFAULT_TIMEOUT
    ) -> Value | dict[str, Value | None] | None:
        """Read one PV, or several at once.

        Args:
            pvs: A name, or a list of names.
            timeout: Seconds for all of them.

        Returns:
            The value (a number, a text, an array, the index of an enum), None when it could not be read; for a
            list a dict of these by name.
        """
        if isinstance(pvs, str):
            reading = self.reading(pvs, timeout)
            return None if reading is None else reading.value
        answers = self._reach().get_many([self._address(pv) for pv in pvs], timeout=timeout)
        values: dict[str, Value | None] = {}
        for pv, answer in zip(pvs, answers, strict=True):
            if isinstance(answer, LinkError):
                self._logger.log(self._level, "pvget %s: %s", pv, answer)
            values[pv] = None if isinstance(answer, LinkError) else answer.value
        return values

    def pvput(self, values: Mapping[str, Value], timeout: float = DEFAULT_TIMEOUT) -> bool:
        """Write PVs at the same time, and wait until their servers have taken the values.

        Args:
            values: Values by name; an enum takes a label as well as an index.
            timeout: Seconds for all of them.

        Returns:
            Whether all were taken.
        """
        put = _Put(len(values), self._clock)
        client = self._reach()
        for pv, value in values.items():
            try:
                client.send(self._address(pv), value, partial(put.done, pv), timeout=timeout)
            except (LinkError, LinkValueError) as error:
                put.done(pv, error)
        failed = put.wait(timeout + _SLACK, list(values))
        for pv, reason in failed.items():
            self._logger.log(self._level, "pvput %s: %s", pv, reason)
        return not failed

    def reading(
        self, pv: str, timeout: float = DEFAULT_TIMEOUT, *, level: int | None = None
    ) -> Reading | None:
        """Read one PV with its quality and the label of its state; None when it could not be read.

        `level` is that at which a failure is logged.
        """
        try:
            return self._reach().get(self._address(pv), timeout=timeout)
        except LinkError as error:
            self._logger.log(self._level if level is None else level, "pvget %s: %s", pv, error)
            return None

    def listen(self, pv: str, callback: Callable[[Reading], None]) -> Callable[[], None]:
        """Call `callback` for every change of a PV, on a thread of the client: it must only enqueue."""
        return self._reach().listen(self._address(pv), callback)

    def close(self) -> None:
        """Let go of a client of its own."""
        with self._lock:
            own, self._own = self._own, None
        if own is not None:
            own.close()

    def _address(self, pv: str) -> str:
        return str(parse_link(pv, self._provider))

    def _reach(self) -> PvClient:
        if self._client is not None:
            return self._client
        with self._lock:
            if self._own is None:
                self._own = Links(self._provider)
            return self._own


class _Put:
    """Collects how several writes went."""

    def __init__(self, count: int, clock: Clock) -> None:
        self._lock = threading.Lock()
        self._left = count
        self._clock = clock
        self._over = clock.wakeup()
        self._told: dict[str, LinkError | LinkValueError | None] = {}

    def done(self, pv: str, error: LinkError | LinkValueError | None) -> None:
        """One write is over."""
        with self._lock:
            self._told.setdefault(pv, error)
            over = len(self._told) >= self._left
        if over:
            self._over.set()

    def wait(self, timeout: float, wanted: Sequence[str]) -> dict[str, str]:
        """Wait for all; return the reasons of those that failed."""
        if wanted:
            self._over.wait(timeout)
        with self._lock:
            return {
                pv: str(self._told.get(pv) or "no answer")
                for pv in wanted
                if pv not in self._told or self._told[pv] is not None
            }
