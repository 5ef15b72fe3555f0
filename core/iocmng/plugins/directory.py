"""Plugin directories: a wheel is built around each, and unpacked in the state directory to be imported."""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from importlib_metadata import EntryPoint
from packaging.requirements import InvalidRequirement, Requirement

from iocmng.config import read_document
from iocmng.plugins.classfinder import find_class
from iocmng.plugins.discovery import PLUGINS, Discovered, describe_point
from iocmng.plugins.environment import Environment, canonical
from iocmng.plugins.isolation import distribution_name, package_name
from iocmng.plugins.location import CONFIG_NAMES
from iocmng.settings.directories import PluginDirectory
from iocmng.spec import PluginRef
from iocmng.wire import Finding, Level, Where

FOLDER = "directories"
MOST_FILES = 2_000
MOST_BYTES = 128 << 20
_FORM = 1
"""Raise it when wheels are built differently, so that old ones are not taken."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_WHEEL = b"Wheel-Version: 1.0\nGenerator: iocmng\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def stage(source: PluginDirectory, state_dir: Path, base: Environment) -> Discovered:
    """Build and unpack a plugin directory's wheel, unless one of the same content is there; never raises.

    Args:
        source: The entry that names the directory.
        state_dir: The host's state directory.
        base: What is installed.
    """
    plugin = PluginRef(name=source.name or "(no name)", target="", origin="directory")
    given = Discovered(plugin=plugin, lenient=True, site=source.settings, findings=source.findings)
    if source.directory is None or given.broken:
        return given
    try:
        return _stage(source, source.directory, state_dir, base, given)
    except OSError as problem:
        return _refused(given, "directory-unreadable", f"{source.name}: {problem}")


def _refused(given: Discovered, code: str, message: str) -> Discovered:
    finding = Finding(Level.ERROR, code, message, Where(key=given.plugin.name))
    return replace(given, findings=(*given.findings, finding))


def _stage(
    source: PluginDirectory, folder: Path, state_dir: Path, base: Environment, given: Discovered
) -> Discovered:
    files = dict(itertools.islice(_files(folder), MOST_FILES + 1))
    size = sum(file.stat().st_size for file in files.values())
    if len(files) > MOST_FILES or size > MOST_BYTES:
        text = f"{source.name}: {folder} holds more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB"
        return _refused(given, "directory-too-large", text)
    requirements = _requirements_file(folder, source.root)
    content = hashlib.sha256(f"{_FORM} {source.name}\n".encode())
    for name, file in [*files.items(), ("requirements.txt", requirements)]:
        data = file.read_bytes() if file else b""
        content.update(f"{name} {len(data)}\n".encode() + data)
    version = f"0+{content.hexdigest()[:16]}"
    distribution = distribution_name(source.name)
    config = next((folder / name for name in CONFIG_NAMES if name in files), None)
    found, findings = find_class(folder, _chosen(config))
    needed, complaints = _requirements(requirements)
    package = package_name(source.name)
    target = f"{package}.{found.module}:{found.name}" if found else package
    root = state_dir / FOLDER / f"{distribution}-{version}"
    if not root.is_dir():
        _build(root, package, _metadata(distribution, version, needed), source.name, target, files, config)
    environment = base.plus([str(root)])
    point = EntryPoint(source.name, target, PLUGINS)
    unpacked = describe_point(environment, environment.installed[distribution], point, importable=False)
    if config is None:
        text = f"{source.name}: no config.yaml in {folder}; all defaults apply"
        complaints.append(Finding(Level.WARNING, "config-missing", text, Where(str(folder))))
    return replace(
        given,
        plugin=replace(unpacked.plugin, origin="directory", folder=str(folder)),
        file=unpacked.file,
        roots=unpacked.roots,
        shown=(str(root / package), str(folder)),
        fingerprint=unpacked.fingerprint,
        findings=(
            *given.findings,
            *findings,
            *complaints,
            *_missing(source.name, needed, base),
            *unpacked.findings,
        ),
    )


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _left_out(Path(base) / name))
        for name in sorted(names):
            if not name.startswith(".") and not name.endswith((".pyc", ".pyo")):
                file = Path(base) / name
                if file.is_file():
                    yield file.relative_to(folder).as_posix(), file


def _left_out(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name == "__pycache__" or (folder / "pyvenv.cfg").exists()


def _requirements_file(folder: Path, root: Path | None) -> Path | None:
    """The directory's own, else that of what the entry points to (a repository's root)."""
    files = (place / "requirements.txt" for place in (folder, root or folder))
    return next((file for file in files if file.is_file()), None)


def _chosen(config: Path | None) -> str | None:
    """`class:` of the config, as it stands there: the config is judged later."""
    if config is None:
        return None
    try:
        text = config.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return None
    value = read_document(text, is_json=config.suffix == ".json").value
    chosen = value.get("class") if isinstance(value, Mapping) else None
    return chosen if isinstance(chosen, str) else None


def _requirements(file: Path | None) -> tuple[tuple[Requirement, ...], list[Finding]]:
    needed: list[Requirement] = []
    complaints: list[Finding] = []
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines() if file else []
    for number, raw in enumerate(lines, 1):
        line = raw.partition(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            text = f"{line!r} is no requirement by name and version, and is passed over"
            hint = "write it as NAME or NAME>=VERSION"
            complaints.append(Finding(Level.WARNING, "requirement", text, Where(str(file), number, 1), hint))
        else:
            if canonical(requirement.name) != "iocmng":
                needed.append(requirement)
    return tuple(needed), complaints


def _missing(plugin: str, needed: tuple[Requirement, ...], base: Environment) -> Iterator[Finding]:
    for requirement in needed:
        if requirement.marker and not requirement.marker.evaluate():
            continue
        there = base.installed.get(canonical(requirement.name))
        if there and requirement.specifier.contains(there.version, prereleases=True):
            continue
        has = f"{there.name} {there.version} is installed" if there else "it is not installed"
        text = f"{plugin} requires {requirement}, and {has}"
        hint = f"install it into the host's environment: pip install '{requirement}'"
        yield Finding(Level.ERROR, "requirement-missing", text, Where(key=plugin), hint)


def _metadata(distribution: str, version: str, needed: tuple[Requirement, ...]) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
    lines += ["Summary: A plugin directory", "Requires-Dist: iocmng"]
    return "\n".join([*lines, *(f"Requires-Dist: {requirement}" for requirement in needed), ""])


def _build(
    root: Path,
    package: str,
    metadata: str,
    plugin: str,
    target: str,
    files: Mapping[str, Path],
    config: Path | None,
) -> None:
    """Write the wheel beside `root`, then unpack it there; half-written ones never count."""
    distribution, version = root.name.rsplit("-", 1)
    meta = f"{distribution.replace('-', '_')}-{version}.dist-info"
    contents = {f"{package}/{name}": file.read_bytes() for name, file in files.items()}
    contents.setdefault(f"{package}/__init__.py", b"")
    if config is None:
        contents[f"{package}/config.yaml"] = b"{}\n"
    contents[f"{meta}/METADATA"] = metadata.encode()
    contents[f"{meta}/WHEEL"] = _WHEEL
    contents[f"{meta}/entry_points.txt"] = f"[{PLUGINS}]\n{plugin} = {target}\n".encode()
    record = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in contents.items()]
    contents[f"{meta}/RECORD"] = "\n".join([*record, f"{meta}/RECORD,,", ""]).encode()
    root.parent.mkdir(parents=True, exist_ok=True)
    wheel = root.parent / f"{distribution.replace('-', '_')}-{version}-py3-none-any.whl"
    with tempfile.TemporaryDirectory(dir=root.parent) as scratch:
        built = Path(scratch) / wheel.name
        with zipfile.ZipFile(built, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in contents.items():
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
        unpacked = Path(scratch) / "unpacked"
        with zipfile.ZipFile(built) as archive:
            archive.extractall(unpacked)
        built.replace(wheel)
        unpacked.replace(root)


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def prune(state_dir: Path, keep: frozenset[str]) -> None:
    """Remove what was unpacked for earlier contents.

    Args:
        state_dir: The host's state directory.
        keep: Roots that are in use: modules may be imported from there at any time.
    """
    folder = state_dir / FOLDER
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir() and str(entry) not in keep:
            shutil.rmtree(entry, ignore_errors=True)
            distribution, _, version = entry.name.rpartition("-")
            wheel = folder / f"{distribution.replace('-', '_')}-{version}-py3-none-any.whl"
            wheel.unlink(missing_ok=True)
