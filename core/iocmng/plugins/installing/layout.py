"""What a wheel would put where: its files, scripts and modules, and paths that lead elsewhere refused."""

from __future__ import annotations

import stat
import sysconfig
import zipfile
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from iocmng.errors import InstallRefused
from iocmng.plugins.installing.base import requirements_in
from iocmng.plugins.installing.model import Locked
from iocmng.plugins.installing.sources_wheel import check_wheel, entry_point_names

Module = tuple[str, ...]
SITE, PREFIX = "site", "prefix"
_SUFFIXES = (".py", ".pyc", ".so", ".pyd")
_SCHEMES = {"purelib": SITE, "platlib": SITE, "data": PREFIX, "scripts": "bin", "headers": "include"}
_OWN = ("pyvenv.cfg", "bin/python", "bin/activate", "lib64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A wheel, as it would lie in an environment.

    Attributes:
        name: Canonical name of the distribution.
        version: Its version.
        head: The text of METADATA before the description.
        requires: Its requirements, as they are written.
        plugins: Names of the plugins it advertises.
        files: Every file relative to the environment's folder for packages (`site/…`) or to the environment.
        modules: The outermost modules and packages it brings, namespace packages left out.
    """

    name: str
    version: str
    head: str
    requires: tuple[str, ...]
    plugins: tuple[str, ...]
    files: tuple[str, ...]
    modules: tuple[Module, ...]

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"


def read_layout(path: Path) -> Layout:
    """Check a wheel (its RECORD, its names, where its files would lie) and say what it brings.

    Raises:
        InstallRefused: It is damaged, not what its name says, or leads out of the environment.
        OSError: It cannot be read.
    """
    checked = check_wheel(path)
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if len(entries) != len(archive.infolist()):
            raise _refused(path, "holds a file twice")
        for entry in entries.values():
            if (mode := entry.external_attr >> 16) and stat.S_IFMT(mode) not in (
                0,
                stat.S_IFREG,
                stat.S_IFDIR,
            ):
                raise _refused(path, f"holds {entry.filename!r}, which is a link or a device")
        names = [name for name, entry in entries.items() if not entry.is_dir()]
        (meta,) = {name.partition("/")[0] for name in names if name.partition("/")[0].endswith(".dist-info")}
        head = archive.read(f"{meta}/METADATA").decode("utf-8", "replace").replace("\r\n", "\n")
    head = head.partition("\n\n")[0] + "\n"
    placed = sorted({_placed(path, name, meta) for name in names} | set(_scripts(path, checked.entry_points)))
    inside = [PurePosixPath(name).relative_to(SITE) for name in placed if name.startswith(f"{SITE}/")]
    return Layout(
        name=checked.name,
        version=checked.version,
        head=head,
        requires=requirements_in(head),
        plugins=entry_point_names(checked.entry_points),
        files=tuple(placed),
        modules=tuple(sorted(set(_modules(inside)))),
    )


def read_locked(path: Path, locked: Locked) -> Layout:
    """`read_layout` of a wheel that is to be the locked distribution.

    Raises:
        InstallRefused: It is another one, or see `read_layout`.
        OSError: It cannot be read.
    """
    layout = read_layout(path)
    if (layout.name, layout.version) != (locked.name, locked.version):
        raise _refused(path, f"is {layout.title}, locked is {locked.name} {locked.version}")
    return layout


def real_files(layout: Layout, environment: Path) -> Iterator[Path]:
    """Where the files of a layout lie in an environment."""
    for name in layout.files:
        yield environment / _site() / name.removeprefix(f"{SITE}/") if _in_site(name) else environment / name


def site_of(environment: Path) -> Path:
    """The folder for packages of an environment."""
    return environment / _site()


def _site() -> str:
    prefix = Path("/prefix")
    found = sysconfig.get_path("purelib", "venv", vars={"base": str(prefix)})
    return Path(found).relative_to(prefix).as_posix()


def _in_site(name: str) -> bool:
    return name.startswith(f"{SITE}/")


def _refused(path: Path, problem: str) -> InstallRefused:
    return InstallRefused(f"{path.name} {problem}", hint="ask its author; nothing of it was unpacked")


def _placed(path: Path, name: str, meta: str) -> str:
    """Where a file of a wheel goes: most into the folder for packages, those of `NAME.data` by their kind."""
    parts = PurePosixPath(name).parts
    if not parts or parts[0] != f"{meta.removesuffix('.dist-info')}.data":
        if any(part.endswith(".data") for part in parts[:1]):
            raise _refused(path, f"holds {name!r}, a folder of another distribution")
        return f"{SITE}/{PurePosixPath(*parts)}"
    kind = _SCHEMES.get(parts[1] if len(parts) > 2 else "")
    if kind is None:
        raise _refused(path, f"holds {name!r}, which has no place in an environment")
    target = PurePosixPath(*parts[2:]).as_posix()
    if kind == SITE:
        return f"{SITE}/{target}"
    placed = target if kind == PREFIX else f"{kind}/{target}"
    if placed.startswith(f"{_site()}/"):
        return f"{SITE}/{placed.removeprefix(f'{_site()}/')}"
    if placed.startswith(_OWN):
        raise _refused(path, f"would replace {placed} of the environment")
    return placed


def _scripts(path: Path, entry_points: str) -> Iterator[str]:
    """Programs that the installer writes for entry points."""
    parser = ConfigParser(delimiters=("=",), strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(entry_points)
    except ConfigError as problem:
        raise _refused(path, f"has an entry_points.txt that cannot be read: {problem}") from None
    for group in ("console_scripts", "gui_scripts"):
        for name in parser[group] if parser.has_section(group) else ():
            placed = f"bin/{name}"
            if "/" in name or "\\" in name or not name.isprintable() or name in (".", ".."):
                raise _refused(path, f"names a program {name!r}, which is no file name")
            if placed.startswith(_OWN):
                raise _refused(path, f"would replace {placed} of the environment")
            yield placed


def _modules(files: list[PurePosixPath]) -> Iterator[Module]:
    """The outermost module of each file: a folder with __init__, or the file itself in namespace packages."""
    packages = {file.parent.parts for file in files if file.name.split(".")[0] == "__init__"}
    for file in files:
        if file.suffix not in _SUFFIXES or file.parts[0].endswith((".dist-info", ".libs")):
            continue
        folders = file.parent.parts
        outermost = next((folders[:n] for n in range(1, len(folders) + 1) if folders[:n] in packages), None)
        yield outermost or (*folders, file.name.split(".")[0])


def clashes(layouts: Mapping[str, Layout]) -> Iterator[tuple[str, str, str]]:
    """Pairs of distributions of one environment that bring the same file or module: (one, other, what)."""
    files: dict[str, str] = {}
    modules: dict[Module, str] = {}
    for name, layout in layouts.items():
        for file in layout.files:
            if (other := files.setdefault(file, name)) != name:
                yield other, name, file.removeprefix(f"{SITE}/")
        for module in layout.modules:
            modules.setdefault(module, name)
    for name, layout in layouts.items():
        for module in layout.modules:
            for length in range(1, len(module) + 1):
                other = modules.get(module[:length], name)
                if other != name:
                    yield other, name, ".".join(module[:length])
