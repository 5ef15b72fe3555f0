"""What a client of PVs elsewhere does, and how a link names its PV and provider."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from iocmng.errors import BadInput
from iocmng.links.errors import LinkError
from iocmng.names import did_you_mean
from iocmng.values import Reading, Value

Undo = Callable[[], None]

DEFAULT_TIMEOUT = 5.0


class Provider(StrEnum):
    """The protocols over which PVs elsewhere are reached, as written in a link's scheme."""

    CA = "ca"
    PVA = "pva"


@dataclass(frozen=True, slots=True)
class LinkAddress:
    """A PV and the protocol over which to reach it; as text `ca://NAME` or `pva://NAME`."""

    provider: Provider
    pv: str

    def __str__(self) -> str:
        return f"{self.provider}://{self.pv}"


def parse_link(link: str, default: Provider) -> LinkAddress:
    """Read `NAME`, `ca://NAME` or `pva://NAME`.

    Args:
        link: The link as written.
        default: The provider of a link without a scheme.

    Raises:
        BadInput: The scheme is unknown, or there is no usable PV name.
    """
    scheme, separator, rest = link.strip().partition("://")
    name = rest if separator else scheme
    if separator and scheme not in list(Provider):
        raise BadInput(
            f"link {link!r}: scheme {scheme!r} is unknown", hint=did_you_mean(scheme, list(Provider))
        )
    if not name or any(character.isspace() or not character.isprintable() for character in name):
        raise BadInput(f"link {link!r} names no PV", hint="write NAME, ca://NAME or pva://NAME")
    return LinkAddress(Provider(scheme) if separator else default, name)


class PvClient(Protocol):
    """A client of PVs elsewhere; every method may be called from any thread.

    The value of a reading is a float, int, bool or str, or a read-only numpy array (an enum is its index; an
    array of texts has elements of type str). A PV whose name ends in `$` is a text over CA.
    """

    def get(self, pv: str, *, timeout: float = DEFAULT_TIMEOUT) -> Reading:
        """Ask the server for value and quality now.

        Raises:
            LinkTimeout: It did not answer within `timeout` seconds.
            LinkRefused: It refused.
        """

    def get_many(self, pvs: Sequence[str], *, timeout: float = DEFAULT_TIMEOUT) -> list[Reading | LinkError]:
        """Ask for several PVs at once; return for each, in order, its reading or what went wrong.

        All of it takes `timeout` seconds at most; a dead one does not delay the others.
        """

    def put(self, pv: str, value: Value, *, timeout: float = DEFAULT_TIMEOUT, wait: bool = False) -> None:
        """Write a value and return when the server has taken it.

        Args:
            pv: The PV; an enum takes a label as well as an index.
            value: What to write.
            timeout: Seconds.
            wait: Return only when the record has been processed to its end (a put with callback over CA).

        Raises:
            LinkTimeout: The server did not answer in time. The value may arrive yet.
            LinkRefused: It refused.
            LinkValueError: The PV cannot take that value.
        """

    def post(self, pv: str, value: Value, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Hand over a value to be written, without waiting and without raising for anything that the PV does.

        One write per PV is under way; while it is, only the latest of later values is kept. What could
        not be written within `timeout` seconds is dropped.
        """

    def monitor(self, pv: str, callback: Callable[[Reading], None]) -> Undo:
        """Call `callback` for every change of value or quality, one after another, in a thread of its own.

        The first call comes at once: the present reading if known, else one that is not connected. When
        the connection is lost it is called with the last value, INVALID and not connected; it recovers by
        itself. When the callback is slow, the oldest of many waiting readings are dropped.

        Returns:
            What ends the subscription; a call that is under way may still finish after that.
        """

    def close(self) -> None:
        """End all subscriptions and threads; everything afterwards raises LinkError."""
