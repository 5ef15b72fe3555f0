"""A package project that is not installed: what its pyproject.toml advertises, and where its modules are."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from iocmng.plugins.discovery import PLUGINS, Discovered, find_files
from iocmng.spec import PluginRef
from iocmng.wire import Finding, Level, Where

FILE = "pyproject.toml"


def read_project(folder: Path) -> tuple[tuple[Discovered, ...], tuple[Finding, ...]]:
    """The plugins that a project advertises, and what is wrong with its pyproject.toml."""
    file = folder / FILE
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        return (), (Finding(Level.ERROR, "pyproject", f"{FILE} cannot be read: {problem}", Where(str(file))),)
    points = dict(_points(project))
    roots = tuple(dict.fromkeys(str(root) for root in _roots(folder, project) if root.is_dir()))
    about = _table(project, "project")
    return tuple(
        find_files(
            PluginRef(
                name=name,
                target=target,
                distribution=str(about.get("name", "")),
                version=str(about.get("version", "")),
            ),
            target.partition(":")[0].strip(),
            roots,
            importable=False,
        )
        for name, target in sorted(points.items())
    ), ()


def requirements(folder: Path) -> tuple[str, ...]:
    """What the project depends on, as written; () when pyproject.toml does not say."""
    try:
        project = tomllib.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    needed = _table(project, "project").get("dependencies", ())
    return tuple(one for one in needed if isinstance(one, str)) if isinstance(needed, list) else ()


def _points(project: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for path in (("project", "entry-points"), ("tool", "poetry", "plugins")):
        for name, target in _table(project, *path, PLUGINS).items():
            if isinstance(target, str):
                yield name, target


def _roots(folder: Path, project: Mapping[str, Any]) -> Iterator[Path]:
    """Folders that hold the project's top-level modules, the ones its build backend names first."""
    wheel = _table(project, "tool", "hatch", "build", "targets", "wheel")
    for package in _texts(wheel.get("packages")):
        yield (folder / package).parent
    for source in _texts(wheel.get("sources")):
        yield folder / source
    setuptools = _table(project, "tool", "setuptools")
    for where in _texts(_table(setuptools, "packages", "find").get("where")):
        yield folder / where
    top = _table(setuptools, "package-dir").get("")
    if isinstance(top, str):
        yield folder / top
    uv = _table(project, "tool", "uv", "build-backend").get("module-root")
    if isinstance(uv, str):
        yield folder / uv
    yield folder / "src"
    yield folder


def _table(tables: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    for part in path:
        inner = tables.get(part)
        if not isinstance(inner, Mapping):
            return {}
        tables = inner
    return tables


def _texts(value: object) -> Sequence[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
