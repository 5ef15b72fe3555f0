"""Which value of a setting counts, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from iocmng import names
from iocmng.errors import BadInput
from iocmng.settings.environment import read_flag, read_port
from iocmng.settings.settings import COMMAND_LINE, ENVIRONMENT, SITE
from iocmng.settings.site import AdminSettings, SiteFile

M = TypeVar("M", bound=BaseModel)

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

VARIABLES = {
    "prefix": "IOCMNG_PREFIX",
    "admin.host": "IOCMNG_HOST",
    "admin.port": "IOCMNG_PORT",
    "log.level": "IOCMNG_LOG_LEVEL",
    "state_dir": "IOCMNG_STATE_DIR",
    "pva": "IOCMNG_PVA",
    "disable_ophyd": "IOCMNG_DISABLE_OPHYD",
    "plugins_dir": "IOCMNG_PLUGINS_DIR",
    "plugins_config": "IOCMNG_PLUGINS_CONFIG",
    "beamline_config": "IOCMNG_BEAMLINE_CONFIG",
    "token": "IOCMNG_TOKEN",
}
"""Environment variables by the setting's key."""

OPTIONS = {
    "prefix": "prefix",
    "name": "name",
    "host": "admin.host",
    "port": "admin.port",
    "state_dir": "state_dir",
    "log_level": "log.level",
    "log_format": "log.format",
    "pva": "pva",
    "only": "only",
    "safe_mode": "safe_mode",
    "plugins_dir": "plugins_dir",
    "plugins_config": "plugins_config",
    "beamline_config": "beamline_config",
}
"""Settings by the name of their command line option."""


def _log_level(name: str, text: str) -> str:
    level = text.strip().upper()
    if level not in LEVELS:
        hint = names.did_you_mean(level, LEVELS)
        raise BadInput(f"{name}={text!r} is no log level; levels are {', '.join(LEVELS)}", hint=hint)
    return level


_READERS: dict[str, Callable[[str, str], Any]] = {
    "admin.port": read_port,
    "pva": read_flag,
    "disable_ophyd": read_flag,
    "log.level": _log_level,
}


class Layers:
    """Command line over environment over site file; remembers the origin of what it is asked for.

    Args:
        given: Options of the command line.
        environ: The environment; an empty variable counts as not set.
        site: The site file.
        cwd: What relative paths of command line and environment count from.
        base: The folder of the site file, what its relative paths count from.
    """

    def __init__(
        self, given: Mapping[str, Any], environ: Mapping[str, str], site: SiteFile, *, cwd: Path, base: Path
    ) -> None:
        self._options = {OPTIONS[name]: value for name, value in given.items() if name in OPTIONS}
        self._environ = environ
        self._site = site
        self._cwd = cwd
        self._base = base
        self.origins: dict[str, str] = dict.fromkeys(_stated("", site), SITE)

    def origin(self, key: str) -> str:
        """Where the value of `key` came from, or "" when it is the default."""
        return self.origins.get(key, "")

    def pick(self, key: str) -> Any:
        """The value that counts, None when nobody states one."""
        if key in self._options:
            self.origins[key] = COMMAND_LINE
            return self._options[key]
        variable = VARIABLES.get(key, "")
        text = self._environ.get(variable, "")
        if text.strip():
            self.origins[key] = f"{ENVIRONMENT} {variable}"
            reader = _READERS.get(key)
            return reader(variable, text) if reader else text.strip()
        value: Any = self._site
        for part in key.split("."):
            value = getattr(value, part, None)
        return value if key in self.origins else None

    def text(self, key: str) -> str | None:
        """A text, None when nobody states one."""
        value = self.pick(key)
        return None if value is None else str(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """A truth value."""
        value = self.pick(key)
        return default if value is None else bool(value)

    def path(self, key: str) -> Path | None:
        """An absolute path, None when nobody states one."""
        value = self.pick(key)
        if value is None:
            return None
        return self._absolute(str(value), self._base if self.origin(key) == SITE else self._cwd)

    def section(self, name: str, section: M, *keys: str, paths: tuple[str, ...] = ()) -> M:
        """A section of the site file with the overrides of `keys`, and `paths` made absolute.

        Raises:
            BadInput: An override does not fit.
        """
        stated = {key: getattr(section, key) for key in section.model_fields_set}
        for key in keys:
            value = self.pick(f"{name}.{key}")
            if value is not None:
                stated[key] = _log_level(f"{name}.{key}", str(value)) if key == "level" else value
        for key in paths:
            if stated.get(key) is not None:
                stated[key] = str(self._absolute(stated[key], self._base))
        try:
            return type(section).model_validate(stated)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            key = f"{name}.{detail['loc'][0]}"
            wanted = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
            raise BadInput(
                f"{key} ({self.origin(key) or 'default'}) {wanted}; it is {detail['input']!r}"
            ) from None

    def absolute_admin(self, admin: AdminSettings) -> AdminSettings:
        """The endpoint's settings with the paths of its files made absolute."""
        tokens = tuple(
            token.model_copy(update={"token_file": str(self._absolute(token.token_file, self._base))})
            for token in admin.tokens
        )
        tls = admin.tls and admin.tls.model_copy(
            update={
                "certificate": str(self._absolute(admin.tls.certificate, self._base)),
                "key": str(self._absolute(admin.tls.key, self._base)),
            }
        )
        return admin.model_copy(update={"tokens": tokens, "tls": tls})

    @staticmethod
    def _absolute(text: str, base: Path) -> Path:
        return (base / Path(text).expanduser()).absolute()


def _stated(base: str, section: BaseModel) -> list[str]:
    found: list[str] = []
    for name in section.model_fields_set:
        value = getattr(section, name)
        key = f"{base}{name}"
        found += _stated(f"{key}.", value) if isinstance(value, BaseModel) else [key]
    return found
