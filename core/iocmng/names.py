"""The grammar of names: plugins, instances, prefixes, ports, the PV names they make, and links to PVs elsewhere."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from iocmng.errors import BadInput

MAX_PV = 60
MAX_PLUGIN = 128
HOST_SEGMENT = "HOST"

_PLUGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\Z")
_PORT = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_SEGMENT = re.compile(r"[A-Za-z0-9_\-+\[\]<>;]+(?::[A-Za-z0-9_\-+\[\]<>;]+)*\Z")

REFUSED_PORTS = frozenset({"STATUS", "MESSAGE", "ENABLE", "RUN", "CYCLE_COUNT", "CLEAR", "RESET", "VERSION"})
REFUSED_PORT_PREFIX = "CONN_"


def pv_name(*segments: str) -> str:
    """Join the non-empty segments of a PV name with colons."""
    return ":".join(segment for segment in segments if segment)


def plugin_name_problem(name: str) -> str | None:
    """Say why `name` cannot name a plugin or an instance, or None."""
    if not _PLUGIN.match(name):
        return f"name {name!r} does not match [A-Za-z0-9][A-Za-z0-9_-]*"
    if len(name) > MAX_PLUGIN:
        return f"name {name[:20]!r}… has {len(name)} characters, at most {MAX_PLUGIN} are allowed"
    return None


def prefix_problem(prefix: str) -> str | None:
    """Say why `prefix` cannot be (part of) a PV prefix, or None."""
    if not _SEGMENT.match(prefix):
        return f"prefix {prefix!r} may hold letters, digits and _-+[]<>; in segments joined by single colons"
    return None


def instance_prefix_problem(prefix: str) -> str | None:
    """Say why `prefix` cannot be the prefix of an instance, or None."""
    if prefix == HOST_SEGMENT:
        return f"prefix {prefix!r} belongs to the host itself"
    return prefix_problem(prefix)


def is_refused_port(name: str) -> bool:
    """Whether `name` belongs to a default PV whose place no port may take."""
    return name in REFUSED_PORTS or name.startswith(REFUSED_PORT_PREFIX)


def port_name_problem(name: str) -> str | None:
    """Say why `name` cannot name a port, or None."""
    if not _PORT.match(name):
        return f"port name {name!r} does not match [A-Za-z][A-Za-z0-9_]*"
    if is_refused_port(name):
        return f"port name {name!r} belongs to a default PV"
    return None


def pv_name_problem(name: str) -> str | None:
    """Say why `name` cannot be a PV name of this host, or None."""
    if len(name) > MAX_PV:
        return f"PV name {name!r} has {len(name)} characters, at most {MAX_PV} are allowed"
    return None


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like `name`, or None when none is near."""
    candidates = list(known)
    folded = {candidate.casefold(): candidate for candidate in candidates}
    if exact := folded.get(name.casefold()):
        return exact
    found = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?" for the nearest known name, else the known names, else ""."""
    candidates = sorted(known)
    if near := nearest(name, candidates):
        return f"did you mean {near!r}?"
    if not candidates:
        return ""
    shown = ", ".join(candidates[:12])
    return f"known: {shown}{', …' if len(candidates) > 12 else ''}"


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
            f"link {link!r}: scheme {scheme!r} is unknown",
            hint=did_you_mean(scheme, [one.value for one in Provider]),
        )
    if not name or any(character.isspace() or not character.isprintable() for character in name):
        raise BadInput(f"link {link!r} names no PV", hint="write NAME, ca://NAME or pva://NAME")
    return LinkAddress(Provider(scheme) if separator else default, name)
