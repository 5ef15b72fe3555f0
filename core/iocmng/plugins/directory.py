"""Plugin directories: a wheel is built around each, and unpacked in the state directory to be imported."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import re
import stat
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from importlib_metadata import EntryPoint
from packaging.requirements import InvalidRequirement, Requirement

from iocmng.config import read_document
from iocmng.errors import InstallRefused
from iocmng.plugins.classfinder import find_class
from iocmng.plugins.discovery import PLUGINS, Discovered, describe_point
from iocmng.plugins.environment import Environment, Installed, canonical
from iocmng.plugins.isolation import DISTRIBUTION, distribution_name, package_name
from iocmng.plugins.location import CONFIG_NAMES
from iocmng.settings.directories import PluginDirectory
from iocmng.spec import PluginRef
from iocmng.wire import Finding, Level, Where, from_plain, to_plain

FOLDER = "directories"
MOST_FILES = 2_000
MOST_BYTES = 128 << 20
TOLD = "iocmng.json"
"""The file of a wheel's metadata that keeps what reading the directory found."""
_FORM = 2
"""Raise it when wheels are built differently, so that old ones are not taken."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_REQUIRES = re.compile(r"^Requires-Dist:\s*(.+)$", re.MULTILINE)
_WHEEL = b"Wheel-Version: 1.0\nGenerator: iocmng\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@dataclass(frozen=True, kw_only=True)
class DirectoryPlugin:
    """A plugin directory as it is to be packed.

    Attributes:
        plugin: Name of the plugin.
        distribution, version: What its wheel is called; the version follows from the content.
        target: Its entry point.
        files: Every file that is packed, by its name in the directory.
        config: Its config, None without one.
        needed: What its requirements file asks for.
        content: Hash of it all.
        findings: What its modules and its requirements file tell; places are relative to the directory.
    """

    plugin: str
    distribution: str
    version: str
    target: str
    files: Mapping[str, Path]
    config: Path | None
    needed: tuple[Requirement, ...]
    content: str
    findings: tuple[Finding, ...]

    @property
    def wheel(self) -> str:
        """The wheel's file name."""
        return f"{self.distribution.replace('-', '_')}-{self.version}-py3-none-any.whl"


def read_directory(plugin: str, folder: Path, root: Path | None = None) -> DirectoryPlugin:
    """Read a plugin directory without running anything of it.

    Args:
        plugin: Name of the plugin.
        folder: The directory.
        root: What was named, a repository or the directory itself: its `requirements.txt` counts second.

    Raises:
        InstallRefused: It holds too much.
        OSError: It cannot be read.
    """
    files = dict(itertools.islice(_files(folder), MOST_FILES + 1))
    size = sum(file.stat().st_size for file in files.values())
    if len(files) > MOST_FILES or size > MOST_BYTES:
        text = f"{plugin}: {folder} holds more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB"
        raise InstallRefused(text, code="directory-too-large")
    requirements = _requirements_file(folder, root)
    content = hashlib.sha256(f"{_FORM} {plugin}\n".encode())
    for name, file in [*files.items(), ("requirements.txt", requirements)]:
        data = file.read_bytes() if file else b""
        program = " x" if file and _runs(file) else ""
        content.update(f"{name} {len(data)}{program}\n".encode() + data)
    config = next((folder / name for name in CONFIG_NAMES if name in files), None)
    found, findings = find_class(folder, _chosen(config))
    needed, complaints = _requirements(requirements)
    if config is None:
        text = f"{plugin}: there is no config.yaml; all defaults apply"
        complaints.append(Finding(Level.WARNING, "config-missing", text, Where(str(folder))))
    package = package_name(plugin)
    return DirectoryPlugin(
        plugin=plugin,
        distribution=distribution_name(plugin),
        version=f"0+{content.hexdigest()[:16]}",
        target=f"{package}.{found.module}:{found.name}" if found else package,
        files=files,
        config=config,
        needed=needed,
        content=content.hexdigest(),
        findings=tuple(_inside(one, folder) for one in (*findings, *complaints)),
    )


def _inside(finding: Finding, folder: Path) -> Finding:
    file = Path(finding.where.file)
    name = file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name
    return replace(finding, where=replace(finding.where, file=name))


def placed(findings: Iterable[Finding], folder: str) -> Iterator[Finding]:
    """Findings of a directory with their places in the folder that is to be shown."""
    for finding in findings:
        file = os.path.normpath(os.path.join(folder, finding.where.file))
        yield replace(finding, where=replace(finding.where, file=file))


def write_wheel(directory: DirectoryPlugin, into: Path) -> Path:
    """Pack a plugin directory: equal content gives equal bytes. Half-written wheels never count.

    Raises:
        OSError: A file cannot be read, or the wheel not be written.
    """
    package = package_name(directory.plugin)
    meta = f"{directory.wheel.removesuffix('-py3-none-any.whl')}.dist-info"
    contents = {f"{package}/{name}": file.read_bytes() for name, file in directory.files.items()}
    programs = {f"{package}/{name}" for name, file in directory.files.items() if _runs(file)}
    contents.setdefault(f"{package}/__init__.py", b"")
    if directory.config is None:
        contents[f"{package}/config.yaml"] = b"{}\n"
    contents[f"{meta}/METADATA"] = _metadata(directory).encode()
    contents[f"{meta}/WHEEL"] = _WHEEL
    points = f"[{PLUGINS}]\n{directory.plugin} = {directory.target}\n"
    contents[f"{meta}/entry_points.txt"] = points.encode()
    told = {"plugin": directory.plugin, "findings": to_plain(directory.findings)}
    contents[f"{meta}/{TOLD}"] = json.dumps(told, sort_keys=True).encode()
    record = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in contents.items()]
    contents[f"{meta}/RECORD"] = "\n".join([*record, f"{meta}/RECORD,,", ""]).encode()
    wheel = into / directory.wheel
    with tempfile.TemporaryDirectory(dir=into, prefix=".wheel-") as scratch:
        built = Path(scratch) / wheel.name
        with zipfile.ZipFile(built, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in contents.items():
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.external_attr = (0o100755 if name in programs else 0o100644) << 16
                archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
        built.replace(wheel)
    return wheel


def described(environment: Environment, distribution: Installed, *, folder: str = "") -> Discovered | None:
    """The plugin of an installed or unpacked plugin directory; None for any other distribution.

    Args:
        environment: Where it is installed.
        distribution: The distribution.
        folder: The author's directory; "" for that which `unpack` noted, if any.
    """
    if not canonical(distribution.name).startswith(DISTRIBUTION):
        return None
    point = next((found for _, found in distribution.points(PLUGINS)), None)
    if not isinstance(point, EntryPoint):
        return None
    # Not asked of the import system: that may still know an earlier version of the package.
    found = describe_point(environment, distribution, point, importable=False)
    package = str(Path(distribution.folder) / point.module.partition(".")[0])
    told = _told(distribution)
    folder = folder or str(told.get("folder", ""))
    return replace(
        found,
        plugin=replace(found.plugin, origin="directory", folder=folder),
        shown=(package, folder) if folder else None,
        lenient=True,
        first=False,
        findings=(
            *placed(_findings(told), folder or package),
            *_missing(found.plugin.name, distribution, environment),
            *found.findings,
        ),
    )


def _told(distribution: Installed) -> Mapping[str, Any]:
    try:
        told = json.loads(distribution.source.read_text(TOLD) or "{}")
    except ValueError:
        return {}
    return told if isinstance(told, Mapping) else {}


def _findings(told: Mapping[str, Any]) -> tuple[Finding, ...]:
    try:
        return tuple(from_plain(Finding, one) for one in told.get("findings", ()))
    except (ValueError, TypeError, KeyError):
        # Its RECORD vouches for the file; one of another version of this package may tell differently.
        return ()


def unpack(plugin: str, folder: Path, place: Path) -> Path:
    """Make a plugin directory importable without installing it: a copy that knows where its author's files are.

    Args:
        plugin: Name of the plugin.
        folder: The directory.
        place: Where the copy goes; it must not hold another of this name.

    Returns:
        The folder for the import path.

    Raises:
        InstallRefused: It holds too much.
        OSError: It cannot be read, or the copy not be written.
    """
    root = _unpacked(read_directory(plugin, folder, folder), place)
    (noted,) = root.glob(f"*.dist-info/{TOLD}")
    told = {**json.loads(noted.read_text(encoding="utf-8")), "folder": str(folder)}
    noted.write_text(json.dumps(told), encoding="utf-8")
    return root


def stage(source: PluginDirectory, state_dir: Path, base: Environment) -> Discovered:
    """Build and unpack a plugin directory's wheel, unless one of the same content is there; never raises.

    Args:
        source: The entry that names the directory.
        state_dir: Where to, below `directories`.
        base: What is installed.
    """
    plugin = PluginRef(name=source.name or "(no name)", target="", origin="directory")
    given = Discovered(plugin=plugin, lenient=True, site=source.settings, findings=source.findings)
    if source.directory is None or given.broken:
        return given
    try:
        directory = read_directory(source.name, source.directory, source.root)
        root = _unpacked(directory, state_dir / FOLDER)
    except InstallRefused as problem:
        return _refused(given, problem.error_code, problem.detail)
    except OSError as problem:
        return _refused(given, "directory-unreadable", f"{source.name}: {problem}")
    environment = base.plus([str(root)])
    distribution = environment.installed[directory.distribution]
    found = described(environment, distribution, folder=str(source.directory))
    assert found is not None
    return replace(
        found,
        site=source.settings,
        findings=(*given.findings, *found.findings),
    )


def _unpacked(directory: DirectoryPlugin, place: Path) -> Path:
    root = place / f"{directory.distribution}-{directory.version}"
    if not root.is_dir():
        place.mkdir(parents=True, exist_ok=True)
        wheel = write_wheel(directory, place)
        with tempfile.TemporaryDirectory(dir=place) as scratch:
            unpacked = Path(scratch) / "unpacked"
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(unpacked)
                for entry in archive.infolist():
                    (unpacked / entry.filename).chmod(entry.external_attr >> 16 & 0o777)
            unpacked.replace(root)
    return root


def _refused(given: Discovered, code: str, message: str) -> Discovered:
    finding = Finding(Level.ERROR, code, message, Where(key=given.plugin.name))
    return replace(given, findings=(*given.findings, finding))


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not left_out(Path(base) / name))
        for name in sorted(names):
            if not name.startswith(".") and not name.endswith((".pyc", ".pyo")):
                file = Path(base) / name
                if file.is_file():
                    yield file.relative_to(folder).as_posix(), file


def _runs(file: Path) -> bool:
    return bool(file.stat().st_mode & stat.S_IXUSR)


def left_out(folder: Path) -> bool:
    """Whether a folder is no part of a source: hidden, a cache, an environment."""
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


def _missing(plugin: str, distribution: Installed, environment: Environment) -> Iterator[Finding]:
    for requirement in map(Requirement, _REQUIRES.findall(distribution.head)):
        if canonical(requirement.name) == "iocmng" or (
            requirement.marker and not requirement.marker.evaluate()
        ):
            continue
        there = environment.installed.get(canonical(requirement.name))
        if there and requirement.specifier.contains(there.version, prereleases=True):
            continue
        has = f"{there.name} {there.version} is installed" if there else "it is not installed"
        text = f"{plugin} requires {requirement}, and {has}"
        hint = f"install it into the host's environment: pip install '{requirement}'"
        yield Finding(Level.ERROR, "requirement-missing", text, Where(key=plugin), hint)


def _metadata(directory: DirectoryPlugin) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {directory.distribution}", f"Version: {directory.version}"]
    lines += ["Summary: A plugin directory", "Requires-Dist: iocmng"]
    return "\n".join([*lines, *(f"Requires-Dist: {requirement}" for requirement in directory.needed), ""])


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
