"""Whether the ports a host wants are free, and who is likely to hold them."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Mapping

from iocmng.wire import Finding, Level


def check_ports(host: str, port: int, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Try to bind the ports of the admin endpoint and of the CA and PVA servers, and let them go again."""
    problem = _problem(host, port)
    if problem is None:
        yield Finding(Level.NOTE, "ports", f"HTTP {host}:{port} is free")
    elif problem == errno.EADDRINUSE:
        yield Finding(
            Level.WARNING,
            "ports",
            f"HTTP {host}:{port} is in use by a program that does not answer as an iocmng host",
            hint=f"ss -ltnp 'sport = :{port}' names it; or choose another with --port or IOCMNG_PORT",
        )
    else:
        yield Finding(
            Level.ERROR,
            "ports",
            f"HTTP {host}:{port} cannot be bound: {errno.errorcode.get(problem, problem)}",
            hint="choose another address with --host or another port with --port",
        )
    for family, names, default in (
        ("CA", ("EPICS_CAS_SERVER_PORT", "EPICS_CA_SERVER_PORT"), 5064),
        ("PVA", ("EPICS_PVAS_SERVER_PORT", "EPICS_PVA_SERVER_PORT"), 5075),
    ):
        wanted = next((int(environ[name]) for name in names if environ.get(name, "").isdigit()), default)
        if _problem("", wanted) == errno.EADDRINUSE:
            yield Finding(
                Level.NOTE,
                "ports",
                f"{family} TCP {wanted} is in use by another IOC; a host started now takes a free one",
                hint=f"set {names[0]} when its port must be known, for example to gateways",
            )


def _problem(host: str, port: int) -> int | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error.errno or errno.EINVAL
    return None
