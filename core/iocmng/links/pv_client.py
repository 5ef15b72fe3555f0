"""Get, put and monitor PVs elsewhere with plain functions, as iocmng 2.x plugins do.

In a host they go through the clients of its links: a PV is subscribed once, and PVs of the host itself need no network.
Keys of subscriptions belong to the instance whose code runs: two plugins never end each other's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from iocmng.links.clients import Links
from iocmng.names import Provider, parse_link
from iocmng.runtime.ports import DEFAULT_TIMEOUT, PvClient, Undo
from iocmng.runtime.streams import bind_thread, bound_instance
from iocmng.values import Reading

_lock = threading.Lock()
_provider = Provider.PVA
_links: Links | None = None
_adopted: PvClient | None = None
_monitors: dict[tuple[str | None, str], tuple[str, Undo]] = {}


def init(pva: bool = True) -> None:
    """Choose the provider of PVs that are named without a scheme; subscriptions made before end."""
    global _provider
    close()
    with _lock:
        _provider = Provider.PVA if pva else Provider.CA


def adopt(client: PvClient | None) -> None:
    """Let everything go through `client`, which takes names with a scheme and stays its owner's; None ends that."""
    global _adopted
    close()
    with _lock:
        _adopted = client


def get_provider() -> str:
    """Return "pva" or "ca"."""
    return _provider.value


def get(pv_name: str, timeout: float = DEFAULT_TIMEOUT) -> Any:
    """Return the present value of a PV: a number, a text, an array, the index of an enum.

    Args:
        pv_name: NAME, ca://NAME or pva://NAME.
        timeout: Seconds.

    Raises:
        TimeoutError: Nobody answered in time.
        LinkError: The server refused.
    """
    return _client().get(_address(pv_name), timeout=timeout).value


def put(pv_name: str, value: Any, timeout: float = DEFAULT_TIMEOUT) -> None:
    """Write a value to a PV, and return when its server has taken it.

    Args:
        pv_name: NAME, ca://NAME or pva://NAME.
        value: A number, a text, an array; the index or label of an enum.
        timeout: Seconds.

    Raises:
        TimeoutError: Nobody answered in time.
        LinkError: The server refused.
        ValueError: The PV cannot take that value.
    """
    _client().put(_address(pv_name), value, timeout=timeout)


def monitor(
    pv_name: str,
    callback: Callable[[Any], object],
    name: str | None = None,
    conn_callback: Callable[[bool], object] | None = None,
) -> str:
    """Call `callback` with each new value of a PV, one after another, in a thread of the client.

    Args:
        pv_name: NAME, ca://NAME or pva://NAME.
        callback: Gets the value.
        name: The key of the subscription, the PV's name by default; an earlier one with that key ends.
        conn_callback: Gets True when the PV answers and False when it stops answering.

    Returns:
        The key, for `unmonitor`.
    """
    key = name or pv_name
    caller = bound_instance()
    undo = _client().monitor(_address(pv_name), _Split(callback, conn_callback, caller))
    with _lock:
        replaced = _monitors.get((caller, key))
        _monitors[caller, key] = (pv_name, undo)
    if replaced:
        replaced[1]()
    return key


def unmonitor(key: str) -> bool:
    """End a subscription; return whether there was one."""
    with _lock:
        known = _monitors.pop((bound_instance(), key), None)
    if known:
        known[1]()
    return known is not None


def unmonitor_all() -> int:
    """End all subscriptions of the caller; return how many there were."""
    return release(bound_instance())


def active_monitors() -> dict[str, str]:
    """Return the PV of each of the caller's subscriptions by key."""
    with _lock:
        return {key: pv for (caller, key), (pv, _) in _monitors.items() if caller == bound_instance()}


def release(instance: str | None) -> int:
    """End all subscriptions of an instance; return how many there were."""
    with _lock:
        ended = [key for key in _monitors if key[0] == instance]
        undo = [_monitors.pop(key)[1] for key in ended]
    for end in undo:
        end()
    return len(undo)


def close() -> None:
    """End all subscriptions and the clients; the next call makes new ones."""
    global _links
    for instance in {caller for caller, _ in tuple(_monitors)}:
        release(instance)
    with _lock:
        links, _links = _links, None
    if links is not None:
        links.close()


def _address(pv_name: str) -> str:
    return str(parse_link(pv_name, _provider))


def _client() -> PvClient:
    global _links
    with _lock:
        if _adopted is not None:
            return _adopted
        if _links is None:
            _links = Links(_provider)
        return _links


class _Split:
    """Takes a reading apart for the two callbacks; what they print belongs to the instance that subscribed."""

    def __init__(
        self,
        callback: Callable[[Any], object],
        conn_callback: Callable[[bool], object] | None,
        caller: str | None,
    ) -> None:
        self._callback = callback
        self._conn_callback = conn_callback
        self._caller = caller
        self._connected: bool | None = None

    def __call__(self, reading: Reading) -> None:
        release_thread = bind_thread(self._caller) if self._caller is not None else None
        try:
            self._hand_on(reading)
        finally:
            if release_thread is not None:
                release_thread()

    def _hand_on(self, reading: Reading) -> None:
        if reading.connected is not self._connected:
            self._connected = reading.connected
            if self._conn_callback is not None:
                self._conn_callback(reading.connected)
        if reading.connected and reading.value is not None:
            self._callback(reading.value)
