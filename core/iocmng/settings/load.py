"""Settings from command line, environment, site file and defaults, in this order."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iocmng import names
from iocmng.errors import BadInput
from iocmng.settings.check import check_admin
from iocmng.settings.directories import PluginDirectory, read_plugins_file
from iocmng.settings.layers import OPTIONS, Layers
from iocmng.settings.places import host_prefix, read_beamline, state_directory
from iocmng.settings.settings import Settings
from iocmng.settings.sitefile import find_site_file, read_site_file, with_dotenv
from iocmng.wire import Finding, Level, Where

AUTOSTART_FILE = "autostart_plugins.yaml"


def load_settings(overrides: Mapping[str, Any], environ: Mapping[str, str], cwd: Path) -> Settings:
    """Read the settings of a host.

    Args:
        overrides: Options of the command line: config, prefix, name, host, port, state_dir, log_level,
            log_format, pva, only, safe_mode, plugins_dir, plugins_config, beamline_config; None is not given.
        environ: The environment.
        cwd: What relative paths of command line and environment count from.

    Returns:
        The settings; warnings are in their `findings`.

    Raises:
        BadInput: Something cannot be used; names file:line:column, variable or option.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    if unknown := sorted(given.keys() - OPTIONS.keys() - {"config"}):
        known = names.did_you_mean(unknown[0], [*OPTIONS, "config"])
        raise BadInput(f"there is no setting {unknown[0]!r}", hint=known)
    file = find_site_file(given.get("config"), environ, cwd)
    environ = with_dotenv(file, environ)
    site, document, warnings = read_site_file(file, environ)
    layers = Layers(given, environ, site, cwd=cwd, base=file.parent if file else cwd)
    findings = list(warnings)
    beamline = read_beamline(layers.path("beamline_config"), findings)
    prefix, chosen = host_prefix(layers, beamline)
    plugins_dir = layers.path("plugins_dir")
    admin = layers.section("admin", site.admin, "host", "port")
    token = layers.text("token")
    check_admin(admin, token, layers, document)
    takeover = plugins_dir / AUTOSTART_FILE if plugins_dir else None
    return Settings(
        prefix=prefix,
        default_prefix=not chosen,
        name=layers.text("name") or socket.gethostname(),
        state_dir=state_directory(layers, plugins_dir, prefix),
        admin=layers.absolute_admin(admin),
        log=layers.section("log", site.log, "level", "format", paths=("dir",)),
        autosave=layers.section("autosave", site.autosave, paths=("dir",)),
        install=site.install,
        runs=site.runs,
        scripts=site.scripts,
        spares=site.spares,
        instances=site.instances,
        only_listed=site.only_listed,
        exclude=site.exclude,
        plugins=_plugins(layers, environ, findings),
        plugins_dir=plugins_dir,
        takeover=takeover if takeover and takeover.is_file() else None,
        only=tuple(layers.pick("only") or ()),
        safe_mode=bool(layers.pick("safe_mode")),
        pva=layers.flag("pva", default=True),
        disable_ophyd=layers.flag("disable_ophyd", default=True),
        access_security=layers.path("access_security"),
        ioc_stats=site.ioc_stats,
        fleet=site.fleet,
        beamline=beamline,
        environ=environ,
        token=token,
        file=file,
        origins=layers.origins,
        findings=tuple(findings),
    )


def _plugins(
    layers: Layers, environ: Mapping[str, str], findings: list[Finding]
) -> tuple[PluginDirectory, ...]:
    file = layers.path("plugins_config")
    if file is None:
        return ()
    if not file.exists():
        findings.append(
            Finding(Level.WARNING, "missing-file", f"list of plugins {file} does not exist", Where(str(file)))
        )
        return ()
    return read_plugins_file(file, environ)
