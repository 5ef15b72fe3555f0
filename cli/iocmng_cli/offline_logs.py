"""Logs as they lie in the state directory, without a host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from iocmng.errors import NotFound
from iocmng.wire import LogLine


def read(name: str, *, since: float, level: str, limit: int) -> tuple[LogLine, ...]:
    """Read the log of an instance from the first directory that has one.

    First comes that of the host that would be started from here, then those of this user's other hosts.

    Raises:
        NotFound: None has one; names the directories, and the nearest name in the first.
    """
    from iocmng.runtime.logfiles import read_offline

    missing: NotFound | None = None
    places = list(dict.fromkeys(_log_directories()))
    for place in places:
        try:
            return read_offline(place, name, since=since, level=level, limit=limit)
        except NotFound as error:
            missing = missing or error
    hint = (missing.hint if missing else "") or "name the place with IOCMNG_STATE_DIR"
    looked = ", ".join(map(str, places))
    raise NotFound(f"no log of {name!r} in {looked}", hint=hint)


def _log_directories() -> Iterator[Path]:
    from iocmng.client.token import state_directories
    from iocmng_cli.commands.config import settings_here

    yield settings_here().log_dir
    for directory in state_directories():
        yield directory / "log"
