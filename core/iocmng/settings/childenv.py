"""The environment of a child process: the host's without its secrets and without what is meant for the host alone."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SECRET = re.compile(
    r"(?i)(^|_)(token|tokens|password|passwd|pass|pat|secret|secrets|credentials?|"
    r"api_?key|private_?key|access_?key)(_|$)"
)
_LOGIN = re.compile(r"://[^/@\s:]*:[^/@\s]+@")
_OF_THE_HOST = frozenset(
    {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}
)


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What a child may see: no variable whose name speaks of a secret or whose value holds a login."""
    return {
        name: value
        for name, value in environ.items()
        if name not in _OF_THE_HOST and not _SECRET.search(name) and not _LOGIN.search(value)
    }
