"""A package that a host can find although it is not installed: generated metadata beside its sources."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iocmng.errors import BadInput, InstallRefused

GROUP = "iocmng.plugins"


@dataclass(frozen=True, slots=True)
class Staged:
    """What stands ready: folders for the import path (metadata first), and the plugins' names."""

    import_path: tuple[Path, ...]
    plugins: tuple[str, ...]


def stage(project: Path, site: Path) -> Staged:
    """Write the metadata of an editable installation of `project` into the folder `site`.

    Raises:
        BadInput: Its pyproject.toml cannot be read, has no name or advertises no plugin.
    """
    file = project / "pyproject.toml"
    try:
        described = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{file}: {error}") from None
    metadata = described.get("project", {})
    name = metadata.get("name")
    points = metadata.get("entry-points", {})
    if not name:
        raise BadInput(f"{file}: has no [project] name")
    if not points.get(GROUP):
        raise BadInput(
            f'{file}: has no [project.entry-points."{GROUP}"]',
            hint='name the plugin there, for example my-plugin = "my_package.plugin:MyPlugin"',
        )
    sources = _source_folders(project)
    _write_metadata(site, project, str(name), str(metadata.get("version", "0")), metadata, sources)
    return Staged((site, *sources), tuple(points[GROUP]))


def stage_directory(name: str, directory: Path, site: Path) -> Staged:
    """Put a copy of a plugin directory into the folder `site`.

    Raises:
        BadInput: It cannot be read or copied, or holds too much.
    """
    from iocmng.plugins.directory import unpack

    try:
        return Staged((unpack(name, directory, site),), (name,))
    except (InstallRefused, OSError) as error:
        raise BadInput(f"{directory}: {error}") from None


def _source_folders(project: Path) -> tuple[Path, ...]:
    from iocmng.plugins.project import read_project

    plugins, _ = read_project(project)
    return tuple(dict.fromkeys(Path(root) for plugin in plugins for root in plugin.roots))


def _write_metadata(
    site: Path, project: Path, name: str, version: str, metadata: dict[str, Any], sources: tuple[Path, ...]
) -> None:
    stem = f"{re.sub(r'[-_.]+', '_', name)}-{version}.dist-info"
    folder = site / stem
    folder.mkdir(parents=True, exist_ok=True)
    required = "".join(f"Requires-Dist: {requirement}\n" for requirement in metadata.get("dependencies", ()))
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}"
    (folder / "METADATA").write_text(head, encoding="utf-8")
    sections = (
        f"[{group}]\n" + "".join(f"{point} = {target}\n" for point, target in points.items())
        for group, points in metadata.get("entry-points", {}).items()
    )
    (folder / "entry_points.txt").write_text("\n".join(sections), encoding="utf-8")
    origin = {"url": project.resolve().as_uri(), "dir_info": {"editable": True}}
    (folder / "direct_url.json").write_text(json.dumps(origin), encoding="utf-8")
    (site / "sources.pth").write_text("".join(f"{source}\n" for source in sources), encoding="utf-8")
    (folder / "RECORD").write_text(
        f"sources.pth,,\n{stem}/METADATA,,\n{stem}/entry_points.txt,,\n", encoding="utf-8"
    )
