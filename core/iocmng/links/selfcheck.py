"""Does this host serve what it should and refuse what it must: asked over its own CA and PVA ports."""

from __future__ import annotations

import time
from collections.abc import Callable

from iocmng.errors import RecordError
from iocmng.links.ca_wire import ChannelAccess
from iocmng.links.pva_wire import PvAccess


def check_served(
    pv: str,
    readonly_pv: str,
    ca_port: int,
    pva_port: int,
    timeout: float = 5.0,
    *,
    address: str = "127.0.0.1",
) -> None:
    """Read `pv` over CA and PVA and make sure that a put to `readonly_pv` is refused on both.

    It speaks to the servers directly, without a name search, so neither a client library is imported nor
    the address lists of the environment matter. It blocks, for some milliseconds when all is well.

    Args:
        pv: A PV of this process.
        readonly_pv: A PV of this process that clients must not write; it loses its value if they may.
        ca_port: TCP port of the CA server.
        pva_port: TCP port of the PVA server.
        timeout: Seconds for everything.
        address: Where the servers listen.

    Raises:
        RecordError: What does not answer or is not protected, and over which protocol.
    """
    deadline = time.monotonic() + timeout
    _tell_which(_check_ca, "CA", pv, readonly_pv, (address, ca_port), deadline)
    _tell_which(_check_pva, "PVA", pv, readonly_pv, (address, pva_port), deadline)


Check = Callable[[str, str, tuple[str, int], float], None]


def _tell_which(
    check: Check, protocol: str, pv: str, readonly_pv: str, address: tuple[str, int], deadline: float
) -> None:
    try:
        check(pv, readonly_pv, address, deadline)
    except OSError as error:
        host, port = address
        raise RecordError(
            f"{pv} and {readonly_pv} were not answered over {protocol} at {host}:{port}: {error}",
            hint="another program may hold the port, or the interface list leaves this address out",
        ) from error


def _check_ca(pv: str, readonly_pv: str, address: tuple[str, int], deadline: float) -> None:
    with ChannelAccess(address, deadline) as server:
        if server.read(_found(server.channel(pv), pv, "CA")) is None:
            raise RecordError(f"{pv} cannot be read over CA", hint="the access security file refuses READ")
        channel = _found(server.channel(readonly_pv), readonly_pv, "CA")
        status = server.write(channel, server.read(channel) or b"")
        if not server.refused(status):
            raise _unprotected(readonly_pv, "CA", f"status {status}")


def _check_pva(pv: str, readonly_pv: str, address: tuple[str, int], deadline: float) -> None:
    with PvAccess(address, deadline) as server:
        if complaint := server.read(_found(server.channel(pv), pv, "PVA")):
            raise RecordError(
                f"{pv} cannot be read over PVA: {complaint}", hint="the access security file refuses READ"
            )
        if not server.write_empty(_found(server.channel(readonly_pv), readonly_pv, "PVA")):
            raise _unprotected(readonly_pv, "PVA", "accepted")


def _found(channel: int | None, pv: str, protocol: str) -> int:
    if channel is None:
        raise RecordError(f"{pv} is not served over {protocol}", hint="iocInit failed, see the lines above")
    return channel


def _unprotected(pv: str, protocol: str, answer: str) -> RecordError:
    return RecordError(
        f"a put to the read-only {pv} was not refused over {protocol}: {answer}",
        hint="the access security file was not loaded or does not define the group of read-only records",
    )
