"""What a request names (a requirement, a wheel, a folder, a git repository), and one wheel file made of it."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from iocmng.errors import BadInput, InstallFailed, InstallRefused
from iocmng.names import plugin_name_problem
from iocmng.plugins.environment import canonical
from iocmng.plugins.installing.git import GitSource, fetched, git_address, git_requirement
from iocmng.plugins.installing.model import LISTED, Origin, OriginKind, Root, Tell
from iocmng.plugins.installing.sources_folder import FolderWheel, build_folder
from iocmng.plugins.installing.sources_path import inner_folder, outer_path, path_parts
from iocmng.plugins.installing.sources_wheel import WheelFile, entry_point_names, take_wheel
from iocmng.plugins.isolation import DISTRIBUTION
from iocmng.wire import InstallRequest, SourceRequest

_FORMS = "write NAME, NAME>=VERSION, the absolute path of a wheel or folder, or git+https://…"
MOST_TEXT = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One thing that is to be installed.

    Attributes:
        text: How messages call it; without secrets.
        requirement: A requirement for the index, "" for what has to be built.
        name: Canonical name of the distribution, "" where only building tells.
        origin: Where it is; KIND is the nearest that can be told before looking.
        plugin: Name of the plugin, "" where only building tells.
        instance: What the request says about the instance, {} for nothing.
        token: Password of an https git source.
    """

    text: str
    requirement: str = ""
    name: str = ""
    origin: Origin = field(default_factory=Origin)
    plugin: str = ""
    instance: Mapping[str, Any] = field(default_factory=dict)
    token: str = field(default="", repr=False)

    @property
    def from_index(self) -> bool:
        """Whether the resolver finds it: there is nothing to build."""
        return self.origin.kind is OriginKind.INDEX


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A wheel that was built or copied.

    Attributes:
        wheel: The file.
        name: Canonical name of the distribution.
        version: Its version.
        sha256: Hash of the file, hex.
        origin: Where it comes from, with the commit or a hash of the files.
        plugin: Name of the plugin of a plugin directory (or that a request asked for), else "".
    """

    wheel: Path
    name: str
    version: str
    sha256: str
    origin: Origin
    plugin: str = ""


def parse(text: str) -> Wanted:
    """Read what a person or program asks to install.

    Args:
        text: An index requirement, the absolute path of a wheel or folder, `git+https://…[@BRANCH]`,
            `git+ssh://…[@BRANCH]` with `#subdirectory=PATH` where the plugin is not at the top.

    Raises:
        BadInput: It is none of these, or holds a secret; the secret is not repeated.
    """
    given = text.strip()
    if not given or len(given) > MOST_TEXT or not given.isprintable():
        raise BadInput("a requirement is one line of text", hint=_FORMS)
    if given.startswith("-"):
        raise BadInput(f"{given[:60]!r} is an option, not a requirement", hint=_FORMS)
    name, separator, address = given.partition("@")
    if separator and _is_address(address.strip()):
        expected = _index(name.strip()).name
        wanted = parse(address.strip())
        if wanted.from_index:
            raise BadInput(f"{address.strip()!r} is no address", hint=_FORMS)
        return Wanted(text=wanted.text, name=expected, origin=wanted.origin)
    if given.startswith("git+") or "://" in given:
        source = git_requirement(given)
        return Wanted(text=str(source.origin), origin=source.origin)
    if given.startswith(("/", "./", "../", "~")) or given in (".", "..") or _looks_like_path(given):
        path = outer_path(given)
        kind = OriginKind.WHEEL if path.suffix == ".whl" else OriginKind.PROJECT
        return Wanted(text=str(path), origin=Origin(kind=kind, address=str(path)))
    return _index(given)


def _is_address(text: str) -> bool:
    return text.startswith("/") or "://" in text.partition("@")[0]


def _looks_like_path(text: str) -> bool:
    return text.endswith(".whl") or "/" in text.partition(";")[0].partition("[")[0]


def _index(text: str) -> Wanted:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as problem:
        reason = str(problem).partition("\n")[0]
        raise BadInput(f"{text[:120]!r} is no requirement: {reason}", hint=_FORMS) from None
    if requirement.url:
        raise BadInput(f"{requirement.name} names an address that cannot be fetched", hint=_FORMS)
    return Wanted(text=text, requirement=str(requirement), name=canonical(requirement.name))


def of_source(source: SourceRequest) -> Wanted:
    """Read the previous system's way to name a plugin.

    Raises:
        BadInput: Name, address, branch or path cannot be used, or the address holds a secret.
    """
    if problem := plugin_name_problem(source.name):
        raise BadInput(problem)
    if bool(source.git_url) == bool(source.local_path):
        given = "both" if source.git_url else "neither"
        raise BadInput(f"{source.name}: {given} of git_url and local_path is given", hint="give one of them")
    path = "/".join(path_parts(source.path))
    if source.git_url:
        address = git_address(source.git_url)
        origin = GitSource(address, source.branch, path).origin
    else:
        if source.branch:
            raise BadInput(f"{source.name}: branch goes with git_url, and local_path is given")
        origin = Origin(
            kind=OriginKind.PLUGIN_DIRECTORY, address=str(outer_path(source.local_path)), path=path
        )
    instance = {
        "auto_start": source.auto_start,
        "auto_start_on_boot": source.auto_start_on_boot,
        "autostart_order": source.autostart_order,
        "parameters": dict(source.parameters),
        **({LISTED: True} if source.listed else {}),
    }
    return Wanted(
        text=f"{source.name} from {origin}",
        origin=origin,
        plugin=source.name,
        instance=instance,
        # Elsewhere it means nothing, as in the previous system.
        token=source.token if origin.address.startswith("https://") else "",
    )


def git_source(wanted: Wanted) -> GitSource:
    """The repository of what comes from git."""
    return GitSource(wanted.origin.address, wanted.origin.branch, wanted.origin.path)


def of_root(root: Root, token: str = "") -> Wanted:
    """What was installed once, to look at its source again; its instance and plugin stay as they were."""
    return Wanted(
        text=f"{root.plugin or root.name} from {root.origin}",
        requirement=root.requirement if root.origin.kind is OriginKind.INDEX else "",
        name=root.name,
        origin=root.origin,
        plugin=root.plugin,
        instance=root.instance,
        token=token,
    )


def wanted_of(request: InstallRequest) -> tuple[Wanted, ...]:
    """Everything that a request names, in its order.

    Raises:
        BadInput: One of them cannot be used.
    """
    sources = (*filter(None, (request.source,)), *request.sources)
    return (*map(parse, request.requirements), *map(of_source, sources))


def build(wanted: Wanted, into: Path, tell: Tell, *, environ: Mapping[str, str]) -> Built:
    """Make one wheel file of what is not on an index.

    Args:
        wanted: What to build; its paths are on this machine.
        into: A folder of the caller's; the wheel is put there, and nothing else stays.
        tell: Called with lines of progress; what it raises ends the work.
        environ: The host's environment; children get it without its secrets.

    Raises:
        NotFound: There is no such file or folder.
        InstallRefused: It is no wheel, no project and no plugin directory, is too large, leads outside, or is not
            what the request named.
        InstallFailed: It cannot be read, fetched or built; says what git or the backend said.
        Aborted: `tell` said so.
    """
    if wanted.from_index:
        raise ValueError(f"{wanted.text} comes from an index: there is nothing to build")
    into.mkdir(parents=True, exist_ok=True)
    try:
        return _build(wanted, into, tell, environ)
    except OSError as problem:
        raise _unreadable(wanted, problem) from problem


def _build(wanted: Wanted, into: Path, tell: Tell, environ: Mapping[str, str]) -> Built:
    origin, plugin = wanted.origin, ""
    if origin.kind is OriginKind.WHEEL:
        wheel = take_wheel(Path(origin.address), into)
        content = _hash(wheel.path)
    elif origin.kind in _GIT:
        with fetched(git_source(wanted), into, tell, environ=environ, token=wanted.token) as tree:
            made = _of_folder(wanted, tree.folder, into, tell, environ)
        wheel, plugin, content = made.file, made.plugin, tree.commit
    else:
        made = _of_folder(wanted, Path(origin.address), into, tell, environ)
        wheel, plugin, content = made.file, made.plugin, made.content
    if wanted.name and wheel.name != wanted.name:
        wheel.path.unlink()
        raise InstallRefused(f"{wanted.text} is {wheel.name}, not {wanted.name}")
    if wanted.plugin and not plugin:
        _advertises(wheel, wanted)
        plugin = wanted.plugin
    kind = origin.kind
    if kind is not OriginKind.WHEEL:
        kinds = _GIT if kind in _GIT else _FOLDERS
        kind = kinds[wheel.name.startswith(DISTRIBUTION)]
    tell(f"{wanted.text}: {wheel.name} {wheel.version}")
    return Built(
        wheel=wheel.path,
        name=wheel.name,
        version=wheel.version,
        sha256=_hash(wheel.path),
        origin=replace(origin, kind=kind, content=content),
        plugin=plugin,
    )


_GIT = (OriginKind.GIT, OriginKind.GIT_PLUGIN_DIRECTORY)
_FOLDERS = (OriginKind.PROJECT, OriginKind.PLUGIN_DIRECTORY)


def _of_folder(wanted: Wanted, root: Path, into: Path, tell: Tell, environ: Mapping[str, str]) -> FolderWheel:
    folder = inner_folder(root, wanted.origin.path)
    place = wanted.origin.path or wanted.origin.address.rstrip("/")
    plugin = wanted.plugin or PurePosixPath(place).name.removesuffix(".git")
    return build_folder(folder, root, into, tell, environ=environ, plugin=plugin)


def _advertises(wheel: WheelFile, wanted: Wanted) -> None:
    """See that a package brings the plugin that the request calls by name."""
    points = entry_point_names(wheel.entry_points)
    if wanted.plugin not in points:
        wheel.path.unlink()
        brings = f"brings {', '.join(points)}" if points else "advertises no plugin"
        raise InstallRefused(
            f"{wanted.text} is the package {wheel.name}, which {brings}",
            hint=f"give its plugin's name: {points[0]}" if points else "name a folder with a plugin",
        )


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unreadable(wanted: Wanted, problem: OSError) -> InstallFailed:
    full = problem.errno == errno.ENOSPC
    where = f" ({problem.filename})" if problem.filename and not full else ""
    return InstallFailed(
        f"{wanted.text}: {problem.strerror or problem}{where}",
        hint="make room, and try again" if full else "see that the user who runs the host may read it",
    )
