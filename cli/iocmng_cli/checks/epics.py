"""Whether the EPICS environment variables make sense, and clients on this machine can find the host."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping

from iocmng.wire import Finding, Level

_PORTS = {
    "EPICS_CA_SERVER_PORT": 5064,
    "EPICS_CA_REPEATER_PORT": 5065,
    "EPICS_CAS_SERVER_PORT": 5064,
    "EPICS_PVA_SERVER_PORT": 5075,
    "EPICS_PVA_BROADCAST_PORT": 5076,
    "EPICS_PVAS_SERVER_PORT": 5075,
    "EPICS_PVAS_BROADCAST_PORT": 5076,
}
_LISTS = ("EPICS_CA_ADDR_LIST", "EPICS_PVA_ADDR_LIST", "EPICS_CA_NAME_SERVERS", "EPICS_PVA_NAME_SERVERS")
_YES_NO = ("EPICS_CA_AUTO_ADDR_LIST", "EPICS_PVA_AUTO_ADDR_LIST", "EPICS_PVAS_AUTO_BEACON_ADDR_LIST")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def check_epics(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Look at the variables that EPICS reads from `environ`."""
    findings = [*_ports(environ), *_yes_no(environ), *_addresses(environ), *_reach(environ)]
    if not findings:
        given = sorted(name for name in environ if name.startswith("EPICS_"))
        findings = [
            Finding(Level.NOTE, "epics", f"environment: {', '.join(given) if given else 'EPICS defaults'}")
        ]
    yield from findings


def _ports(environ: Mapping[str, str]) -> Iterator[Finding]:
    for name in _PORTS:
        text = environ.get(name)
        if text is not None and not (text.strip().isdigit() and 0 < int(text) < 65536):
            yield Finding(
                Level.ERROR,
                "epics",
                f"{name}={text!r} is no port number",
                hint="give 1 to 65535, or unset it",
            )


def _yes_no(environ: Mapping[str, str]) -> Iterator[Finding]:
    for name in _YES_NO:
        text = environ.get(name)
        if text is not None and text.strip().upper() not in ("YES", "NO"):
            yield Finding(
                Level.WARNING, "epics", f"{name}={text!r} is neither YES nor NO", hint="EPICS takes it as YES"
            )


def _addresses(environ: Mapping[str, str]) -> Iterator[Finding]:
    for name in _LISTS:
        for entry in environ.get(name, "").replace(",", " ").split():
            host, _, port = entry.partition(":") if entry.count(":") <= 1 else (entry, "", "")
            if port and not (port.isdigit() and 0 < int(port) < 65536):
                yield Finding(Level.ERROR, "epics", f"{name} has {entry!r}: {port!r} is no port number")
                continue
            try:
                socket.getaddrinfo(host.strip("[]"), None)
            except OSError as error:
                yield Finding(
                    Level.WARNING,
                    "epics",
                    f"{name} has {entry!r}: {error.strerror or error}",
                    hint="correct or remove it",
                )


def _reach(environ: Mapping[str, str]) -> Iterator[Finding]:
    for family, server in (("CA", "EPICS_CAS_SERVER_PORT"), ("PVA", "EPICS_PVAS_BROADCAST_PORT")):
        addresses = environ.get(f"EPICS_{family}_ADDR_LIST", "").split()
        automatic = environ.get(f"EPICS_{family}_AUTO_ADDR_LIST", "YES").strip().upper() != "NO"
        if not addresses and not automatic:
            yield Finding(
                Level.WARNING,
                "epics",
                f"EPICS_{family}_AUTO_ADDR_LIST=NO and EPICS_{family}_ADDR_LIST is empty:"
                " clients started from here find nothing",
                hint=f"set EPICS_{family}_ADDR_LIST",
            )
            continue
        port = _server_port(environ, family, server)
        reached = {
            _client_port(environ, family, entry)
            for entry in addresses
            if entry.partition(":")[0] in _LOOPBACK
        }
        if reached and port not in reached:
            yield Finding(
                Level.WARNING,
                "epics",
                f"EPICS_{family}_ADDR_LIST names this machine at port {', '.join(map(str, sorted(reached)))},"
                f" and a host started from here would listen at {port}",
                hint=f"add 127.0.0.1:{port} to EPICS_{family}_ADDR_LIST",
            )


def _server_port(environ: Mapping[str, str], family: str, name: str) -> int:
    fallback = "EPICS_CA_SERVER_PORT" if family == "CA" else "EPICS_PVA_BROADCAST_PORT"
    return _number(environ, name) or _number(environ, fallback) or _PORTS[name]


def _client_port(environ: Mapping[str, str], family: str, entry: str) -> int:
    port = entry.partition(":")[2]
    default = "EPICS_CA_SERVER_PORT" if family == "CA" else "EPICS_PVA_BROADCAST_PORT"
    return int(port) if port.isdigit() else _number(environ, default) or _PORTS[default]


def _number(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "").strip()
    return int(text) if text.isdigit() else None
