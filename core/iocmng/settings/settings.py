"""The settings of one host, each value with its origin."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from iocmng.settings.directories import PluginDirectory
from iocmng.settings.instances import InstanceSettings
from iocmng.settings.site import (
    AdminSettings,
    AutosaveSettings,
    InstallSettings,
    LogSettings,
    RunSettings,
    ScriptSettings,
    SpareSettings,
)
from iocmng.wire import Finding

DEFAULT, SITE, ENVIRONMENT, COMMAND_LINE = "default", "site", "environment", "command line"
HIDDEN = "(hidden)"
_SECRET = re.compile(
    r"(?i)(^|[_-])(token|password|passwd|pass|pat|secret|credentials?|api_?key|private_?key)$"
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a host is told before it starts. Paths are absolute.

    Attributes:
        prefix: Prefix of the host; `default_prefix` says that nobody chose it.
        name: The host's name in listings.
        state_dir: Where it keeps its state.
        admin, log, autosave, install, runs, scripts, spares: Sections of the site file.
        instances: What the site file says about instances; `only_listed`, `exclude` as there.
        plugins: Entries of plugins.yaml; `takeover` is an autostart list of iocmng 2, if there is one.
        only: Instances named on the command line, () for all.
        safe_mode: Start no plugin.
        pva: Provider of links without a scheme.
        access_security: The site's access security file.
        beamline: Content of the beamline file.
        environ: Environment with the `.env` file beneath it.
        token: The admin token of IOCMNG_TOKEN.
        file: The site file, None without one.
        origins: Where each value comes from, by dotted key.
        findings: Warnings.
    """

    prefix: str
    default_prefix: bool = False
    name: str = ""
    state_dir: Path
    admin: AdminSettings = field(default_factory=AdminSettings)
    log: LogSettings = field(default_factory=LogSettings)
    autosave: AutosaveSettings = field(default_factory=AutosaveSettings)
    install: InstallSettings = field(default_factory=InstallSettings)
    runs: RunSettings = field(default_factory=RunSettings)
    scripts: ScriptSettings = field(default_factory=ScriptSettings)
    spares: SpareSettings = field(default_factory=SpareSettings)
    instances: tuple[InstanceSettings, ...] = ()
    only_listed: bool = False
    exclude: tuple[str, ...] = ()
    plugins: tuple[PluginDirectory, ...] = ()
    plugins_dir: Path | None = None
    takeover: Path | None = None
    only: tuple[str, ...] = ()
    safe_mode: bool = False
    pva: bool = True
    disable_ophyd: bool = True
    access_security: Path | None = None
    ioc_stats: bool = False
    fleet: Mapping[str, Any] | None = None
    beamline: Mapping[str, Any] = field(default_factory=dict, repr=False)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: str | None = field(default=None, repr=False)
    file: Path | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def autosave_dir(self) -> Path:
        """Where autosave files are."""
        return Path(self.autosave.dir) if self.autosave.dir else self.state_dir / "autosave"

    @property
    def log_dir(self) -> Path:
        """Where log files are."""
        return Path(self.log.dir) if self.log.dir else self.state_dir / "log"

    def of_instance(self, name: str) -> InstanceSettings | None:
        """What the site file says about the instance `name`, else what plugins.yaml does."""
        for entry in self.instances:
            if entry.instance == name:
                return entry
        for directory in self.plugins:
            if directory.name == name:
                return directory.settings
        return None

    def describe(self) -> dict[str, dict[str, Any]]:
        """Every value by dotted key as `{value, origin}`, secrets hidden."""
        shown: dict[str, Any] = {"site_file": None if self.file is None else str(self.file)}
        for key in _SHOWN:
            shown.update((name, _shown(name, value)) for name, value in _flat(key, getattr(self, key)))
        shown["plugins"] = [str(entry) for entry in self.plugins]
        shown["token"] = HIDDEN if self.token else None
        return {key: {"value": value, "origin": self._origin(key)} for key, value in sorted(shown.items())}

    def values(self) -> dict[str, Any]:
        """Every value by dotted key, secrets too: to compare settings, not to show them."""
        found = {name: value for key in _SHOWN for name, value in _flat(key, getattr(self, key))}
        return {**found, "plugins": self.plugins, "beamline": dict(self.beamline), "token": self.token}

    def _origin(self, key: str) -> str:
        parts = key.split(".")
        for length in range(len(parts), 0, -1):
            if origin := self.origins.get(".".join(parts[:length])):
                return origin
        return DEFAULT


_KEYS = (
    "prefix name state_dir admin log autosave install runs scripts spares instances only_listed exclude "
    "plugins_dir only safe_mode pva disable_ophyd access_security ioc_stats fleet"
)
_SHOWN = tuple(_KEYS.split())


def _flat(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _flat(f"{key}.{name}", getattr(value, name))
    else:
        yield key, value


def _shown(key: str, value: Any) -> Any:
    if value is None:
        return None
    if _SECRET.search(key.rpartition(".")[2]) and isinstance(value, (str, int)):
        return HIDDEN
    if isinstance(value, BaseModel):
        return {name: _shown(name, getattr(value, name)) for name in value.model_fields_set}
    if isinstance(value, Mapping):
        return {str(name): _shown(str(name), item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown(key, item) for item in value]
    if isinstance(value, str) and "://" in value:
        return _without_password(value)
    return str(value) if isinstance(value, Path) else value


def _without_password(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return HIDDEN
    if "@" not in parts.netloc:
        return address
    return parts._replace(netloc=f"{HIDDEN}@{parts.netloc.rpartition('@')[2]}").geturl()
