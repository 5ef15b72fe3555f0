"""A folder made into one wheel: a package project by its build backend, a plugin directory by ourselves."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from uv import find_uv_bin

from iocmng.errors import InstallFailed, InstallRefused
from iocmng.names import plugin_name_problem
from iocmng.plugins.directory import left_out, read_directory, write_wheel
from iocmng.plugins.installing.child import Ended, run_child
from iocmng.plugins.installing.model import Tell
from iocmng.plugins.installing.sources_path import refuse_links_out
from iocmng.plugins.installing.sources_wheel import WheelFile, check_wheel
from iocmng.plugins.location import CONFIG_NAMES
from iocmng.plugins.project import FILE, read_project
from iocmng.settings.childenv import child_environment

BUILD_TIMEOUT = 300.0
MOST_FILES = 20_000
MOST_BYTES = 512 << 20
_EPOCH = "315532800"
"""1980, the first year of a zip file: equal files give equal wheels."""
_READS_GIT = ("scm", "vcs", "versioningit", "pbr", "versioneer", "dunamai")


@dataclass(frozen=True, slots=True)
class FolderWheel:
    """A wheel that was made of a folder; `plugin` is the name of a plugin directory's plugin."""

    file: WheelFile
    content: str
    plugin: str = ""


def build_folder(
    folder: Path,
    root: Path,
    into: Path,
    tell: Tell,
    *,
    environ: Mapping[str, str],
    plugin: str,
) -> FolderWheel:
    """Make a wheel of a folder.

    Args:
        folder: Where the project or the plugin is.
        root: The top of the source: links may lead there, and its `requirements.txt` may count.
        into: Where the wheel is put.
        tell: Called with lines of progress; what it raises ends the work.
        environ: The host's environment.
        plugin: Name of the plugin of a plugin directory.

    Raises:
        InstallRefused: It is nothing that can be built, too large, or a link leads out of it.
        InstallFailed: The build backend failed.
        OSError: It cannot be read.
    """
    refuse_links_out(folder, root)
    if is_project(folder):
        return _build_project(folder, into, tell, environ)
    if problem := plugin_name_problem(plugin):
        raise InstallRefused(
            f"a plugin directory is called as its plugin: {problem}", hint="rename the folder"
        )
    directory = read_directory(plugin, folder, root)
    if not holds_plugin(folder):
        raise InstallRefused(
            f"{folder.name} is no package project and no plugin directory",
            hint=f"it needs a {FILE} with entry points, or a module and {CONFIG_NAMES[0]}",
        )
    wheel = write_wheel(directory, into)
    return FolderWheel(check_wheel(wheel), directory.content, plugin)


def is_project(folder: Path) -> bool:
    """Whether a folder is a package project, rather than a plugin directory beside some tools' settings."""
    if not (folder / FILE).is_file():
        return False
    points, problems = read_project(folder)
    if points or problems:
        return True
    described = tomllib.loads((folder / FILE).read_text(encoding="utf-8"))
    beside = any((folder / name).is_file() for name in CONFIG_NAMES)
    return bool({"project", "build-system"} & described.keys()) and not beside


def holds_plugin(folder: Path) -> bool:
    """Whether a folder could be a plugin directory or a project: it has a module or a config at its top."""
    names = (FILE, *CONFIG_NAMES)
    return folder.is_dir() and (any((folder / name).is_file() for name in names) or any(folder.glob("*.py")))


def _build_project(folder: Path, into: Path, tell: Tell, environ: Mapping[str, str]) -> FolderWheel:
    required = _build_requirements(folder)
    with tempfile.TemporaryDirectory(dir=into, prefix=".build-") as place:
        scratch = Path(place)
        copy = scratch / (folder.name or "source")
        content = _copy(folder, copy, keep_git=any(word in one for one in required for word in _READS_GIT))
        wheel = check_wheel(_run_backend(copy, scratch, tell, environ, required))
        target = into / wheel.path.name
        wheel.path.replace(target)
    return FolderWheel(check_wheel(target), content)


def _build_requirements(folder: Path) -> tuple[str, ...]:
    try:
        described = tomllib.loads((folder / FILE).read_text(encoding="utf-8"))
    except ValueError as problem:
        raise InstallRefused(f"{FILE} of {folder.name} cannot be read: {problem}") from None
    system = described.get("build-system", {})
    required: Any = system.get("requires", ["setuptools"]) if isinstance(system, dict) else []
    return tuple(one for one in required if isinstance(one, str)) if isinstance(required, list) else ()


def _copy(folder: Path, target: Path, *, keep_git: bool) -> str:
    """Copy a project without caches and environments: its build may write what it likes. Returns a hash."""
    digest = hashlib.sha256()
    size = 0
    files = list(itertools.islice(_files(folder, keep_git=keep_git), MOST_FILES + 1))
    for file in files:
        size += file.stat().st_size
        if len(files) > MOST_FILES or size > MOST_BYTES:
            raise InstallRefused(
                f"{folder.name} holds more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB"
            )
        name = file.relative_to(folder)
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target / name)
        shutil.copymode(file, target / name)
        if ".git" not in name.parts:
            data = (target / name).read_bytes()
            digest.update(f"{name.as_posix()} {len(data)}\n".encode() + data)
    return digest.hexdigest()


def _files(folder: Path, *, keep_git: bool) -> Iterator[Path]:
    for base, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(
            name for name in folders if (name == ".git" and keep_git) or not left_out(Path(base, name))
        )
        for name in sorted(names):
            file = Path(base, name)
            if file.is_file() and not name.endswith((".pyc", ".pyo")):
                yield file


def _run_backend(
    project: Path, scratch: Path, tell: Tell, environ: Mapping[str, str], required: tuple[str, ...]
) -> Path:
    out = scratch / "out"
    env = {**child_environment(environ), "SOURCE_DATE_EPOCH": _EPOCH, "PYTHONDONTWRITEBYTECODE": "1"}
    env = {
        name: value for name, value in env.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    }
    # A backend that is here needs neither an index nor an environment of its own.
    here = all(map(_is_here, required))
    ended = _built(project, out, scratch, env, tell, isolated=not here)
    if ended.code and here and "ModuleNotFoundError" in ended.output:
        # It asks for more than pyproject.toml says.
        shutil.rmtree(out, ignore_errors=True)
        ended = _built(project, out, scratch, env, tell, isolated=True)
    built = sorted(out.glob("*.whl")) if out.is_dir() else []
    if ended.code or len(built) != 1:
        words = ended.output.strip()[-1500:] or f"the build ended with code {ended.code}"
        raise InstallFailed(
            f"{project.name} cannot be built: {words}",
            hint="build the wheel where its build requirements are, and install that",
        )
    return built[0]


def _built(
    project: Path, out: Path, scratch: Path, env: Mapping[str, str], tell: Tell, *, isolated: bool
) -> Ended:
    what = f"building {project.name}"
    tell(what)
    argv = _uv(out) or _pip(out)
    options = () if isolated else ("--no-build-isolation",)
    return run_child(
        [*argv, *options, "--", str(project)],
        what=what,
        env=env,
        cwd=scratch,
        timeout=BUILD_TIMEOUT,
        tell=tell,
    )


def _is_here(text: str) -> bool:
    try:
        requirement = Requirement(text)
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except (InvalidRequirement, PackageNotFoundError):
        return False


def _uv(out: Path) -> list[str]:
    try:
        program = find_uv_bin()
    except FileNotFoundError:
        return []
    fixed = ["--no-config", "--no-progress", "--no-python-downloads", "--python", sys.executable]
    return [program, "build", "--wheel", *fixed, "--out-dir", str(out)]


def _pip(out: Path) -> list[str]:
    fixed = ["--no-deps", "--no-input", "--disable-pip-version-check", "--no-cache-dir"]
    return [sys.executable, "-m", "pip", "wheel", *fixed, "--wheel-dir", str(out)]
