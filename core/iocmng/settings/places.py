"""What a host derives from its surroundings: its prefix and its state directory."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from platformdirs import user_state_path

from iocmng import names
from iocmng.config import read_document
from iocmng.config.document import plain
from iocmng.errors import BadInput
from iocmng.settings.layers import Layers
from iocmng.wire import Finding, Level, Where

MACHINE = 20


def read_beamline(file: Path | None, findings: list[Finding]) -> Mapping[str, Any]:
    """The content of the beamline file; a missing one is a warning, as the earlier system went on without.

    Raises:
        BadInput: It cannot be read; names file, line and column.
    """
    if file is None:
        return {}
    if not file.exists():
        message = f"beamline file {file} does not exist"
        findings.append(Finding(Level.WARNING, "missing-file", message, Where(str(file))))
        return {}
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file}: beamline file cannot be read: {error}") from None
    document = read_document(text, str(file))
    if document.findings:
        raise BadInput(str(document.findings[0]))
    if not isinstance(document.value or {}, Mapping):
        raise BadInput(f"{file}:1:1: a beamline file is a mapping with beamline: and namespace:")
    return plain(document.value or {}) or {}


def host_prefix(layers: Layers, beamline: Mapping[str, Any]) -> tuple[str, bool]:
    """The host's prefix, and whether somebody chose it.

    Raises:
        BadInput: It cannot stand in a PV name.
    """
    if given := layers.text("prefix"):
        source, prefix, chosen = layers.origin("prefix"), given.rstrip(":"), True
    elif found := _beamline_prefix(beamline):
        source, prefix, chosen = "beamline file", found, True
        layers.origins["prefix"] = source
    else:
        machine = re.sub(r"[^A-Z0-9_-]", "-", socket.gethostname().partition(".")[0].upper()) or "HOST"
        # Names of containers can be long, and a default must leave room for the PVs of every plugin.
        machine = machine[:MACHINE]
        source, prefix, chosen = "host name", f"IOCMNG:{machine}", False
    longest = names.MAX_PV - len(":HOST:RESTART_REQUIRED")
    problem = names.prefix_problem(prefix)
    if problem is None and len(prefix) > longest:
        problem = f"prefix {prefix!r} has {len(prefix)} characters, at most {longest} leave room for PV names"
    if problem:
        raise BadInput(f"{problem} (from {source})", hint="choose one with --prefix", code="prefix")
    return prefix, chosen


def _beamline_prefix(beamline: Mapping[str, Any]) -> str:
    parts = [str(beamline[key]).strip().upper() for key in ("beamline", "namespace") if beamline.get(key)]
    return ":".join(dict.fromkeys(part for part in parts if part))


def state_directory(layers: Layers, plugins_dir: Path | None, prefix: str) -> Path:
    """Where the host keeps its state: as told, `.iocmng` in the plugin directory, the user's state folder."""
    if given := layers.path("state_dir"):
        return given
    if plugins_dir is not None:
        layers.origins["state_dir"] = layers.origin("plugins_dir")
        return plugins_dir / ".iocmng"
    return user_state_path("iocmng", appauthor=False) / prefix
