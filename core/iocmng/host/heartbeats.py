"""The heartbeats that other IOCs see: each instance's `supervision.heartbeat_link`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from iocmng.errors import IocmngError
from iocmng.lifecycle import State
from iocmng.links import HeartbeatLink, Provider, PvClient, parse_link
from iocmng.runtime.clock import RealClock
from iocmng.runtime.instance import Instance
from iocmng.runtime.ports import Clock
from iocmng.runtime.task import TaskInstance
from iocmng.values import Reading

PATIENCE = 3
"""Beats that a target may miss before its instance is degraded."""
_SOURCE = "heartbeat_link"
_SHOWN = (State.RUN, State.PAUSED, State.STALLED)


@dataclass(frozen=True, slots=True)
class Due:
    """An instance with a heartbeat link, and whether it makes progress now."""

    instance: TaskInstance
    progress: bool

    @property
    def link(self) -> str:
        """The target as the config names it."""
        return self.instance.spec.supervision.heartbeat_link or ""


class Target:
    """One PV of another IOC: what it was sent, and what it shows.

    Args:
        pv: `ca://NAME` or `pva://NAME`.
        client: Writes and watches it.
    """

    def __init__(self, pv: str, client: PvClient) -> None:
        self.pv = pv
        self._link = HeartbeatLink(pv, client)
        self._value = False
        self._absent = 0
        self._ignored = 0
        self._connected = False
        self._shows: str | None = None
        self._undo = client.monitor(pv, self._seen)

    def _seen(self, reading: Reading) -> None:
        """On the client's thread."""
        self._connected = reading.connected
        shows = str(reading.value)
        if reading.connected and shows != self._shows:
            self._shows, self._ignored = shows, 0

    def beat(self, progress: bool) -> None:
        """One second has passed; toggle the PV if the instance makes progress and somebody is there."""
        if not self._connected:
            self._absent += 1
            self._ignored = 0
            return
        self._absent = 0
        if progress:
            self._value = not self._value
            self._ignored += 1
            self._link.beat(self._value)

    @property
    def complaint(self) -> str:
        """Why nobody sees the beats, or ""."""
        if self._absent >= PATIENCE:
            return f"{self.pv} does not answer (heartbeat_link)"
        if self._ignored > PATIENCE:
            return f"{self.pv} stays at {self._shows} (heartbeat_link): it refuses the writes of this host"
        return ""

    def close(self) -> None:
        """Watch no more."""
        self._undo()


class Heartbeats:
    """Beats the targets of all instances that have one; without any, no thread and no client library.

    A target is toggled once a second while its instance is in RUN and makes progress. One that does not answer
    or take the beats degrades its instance, and costs nothing else.

    Args:
        client: Reaches the targets.
        default: Provider of targets without a scheme, where the instance has no parameter `pva`.
        post: Queues a call for the supervising thread.
        clock: Makes the thread.
    """

    def __init__(
        self,
        client: PvClient,
        default: Provider,
        post: Callable[[Callable[[], None]], None],
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._default = default
        self._post = post
        self._clock = clock or RealClock()
        self._wakeup = self._clock.wakeup()
        self._thread: threading.Thread | None = None
        self._due: tuple[Due, ...] = ()
        self._targets: dict[tuple[TaskInstance, str], Target] = {}
        self._told: dict[TaskInstance, str] = {}
        self._closed = False

    def tick(self, instances: Iterable[Instance], now: float) -> None:
        """Once a second, on the watchdog's thread; never blocks.

        Args:
            instances: All instances of the host.
            now: Monotonic time, seconds.
        """
        due = tuple(
            Due(one, one.state is State.RUN and one.progressing(now))
            for one in instances
            if isinstance(one, TaskInstance) and one.spec.supervision.heartbeat_link
        )
        if self._closed or not (due or self._thread):
            return
        # A round that takes longer than a second is followed by the latest one only.
        self._due = due
        if self._thread is None:
            # Connecting for the first time imports a client library, for half a second.
            self._thread = self._clock.spawn(self._run, "iocmng-heartbeats")
        self._wakeup.set()

    def close(self) -> None:
        """Beat no more."""
        self._closed = True
        self._wakeup.set()

    def _run(self) -> None:
        while not self._closed:
            self._wakeup.wait(None)
            if not self._closed:
                self._round(self._due)
        for target in self._targets.values():
            target.close()

    def _round(self, due: tuple[Due, ...]) -> None:
        wanted = {(one.instance, one.link) for one in due}
        for key in [key for key in self._targets if key not in wanted]:
            self._targets.pop(key).close()
            self._told.pop(key[0], None)
        for one in due:
            complaint = self._beat(one)
            self._tell(one.instance, complaint if one.instance.state in _SHOWN else "")

    def _beat(self, due: Due) -> str:
        key = (due.instance, due.link)
        try:
            target = self._targets.get(key)
            if target is None:
                target = self._targets[key] = Target(self._address(due), self._client)
            target.beat(due.progress)
        except IocmngError as error:
            return f"{error} (heartbeat_link)"
        return target.complaint

    def _address(self, due: Due) -> str:
        """The target with its scheme: the link's own, else the instance's, else the host's.

        Raises:
            BadInput: The link names no PV, or an unknown scheme.
        """
        given = due.instance.spec.parameters.get("pva")
        if given is None or given.value is None:
            return str(parse_link(due.link, self._default))
        # `pva: off` is read as a word that knows its truth.
        pva = getattr(given.value, "truth", given.value)
        return str(parse_link(due.link, Provider.PVA if pva else Provider.CA))

    def _tell(self, instance: TaskInstance, complaint: str) -> None:
        if self._told.get(instance, "") != complaint:
            self._told[instance] = complaint
            self._post(lambda: instance.degrade(complaint, _SOURCE))
