"""Paths that a request names: absolute ones of this machine, and those inside of a folder or repository."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from iocmng.errors import BadInput, InstallRefused, NotFound
from iocmng.plugins.directory import left_out


def outer_path(text: str) -> Path:
    """An absolute path of the host's machine.

    Raises:
        BadInput: It is relative, or goes up.
    """
    path = PurePosixPath(text)
    if not text.isprintable() or "\\" in text:
        raise BadInput("a path is one line of printable text with / between its parts")
    if not path.is_absolute():
        raise BadInput(
            f"{text!r} is no absolute path", hint="a host does not know the caller's folder: write it from /"
        )
    if ".." in path.parts:
        raise BadInput(f"{text!r} goes up with '..'", hint="write the path that is meant")
    return Path(path)


def path_parts(text: str) -> tuple[str, ...]:
    """The parts of a path inside of a source.

    Raises:
        BadInput: It is absolute, goes up, names git's own folder, or hides its meaning.
    """
    if not text.isprintable() or "\\" in text or "%" in text or ":" in text:
        raise BadInput(f"path {text[:60]!r} holds a character that a path here may not hold")
    path = PurePosixPath(text)
    if path.is_absolute() or text.startswith("~"):
        raise BadInput(f"path {text!r} is not inside of the source", hint="write it from the source's top")
    if ".." in path.parts:
        raise BadInput(f"path {text!r} goes up with '..'", hint="write it from the source's top")
    if any(part.lower() == ".git" for part in path.parts):
        raise BadInput(f"path {text!r} is git's own folder")
    return path.parts


def inner_folder(root: Path, path: str) -> Path:
    """The folder `path` of the folder `root`.

    Raises:
        NotFound: One of them is no folder.
        InstallRefused: A link on the way leads out.
    """
    if not root.is_dir():
        raise NotFound(f"there is no folder {root} on the host's machine")
    folder = root.joinpath(*path_parts(path))
    if not folder.is_dir():
        raise NotFound(f"there is no folder {path} in the source")
    if not folder.resolve().is_relative_to(root.resolve()):
        raise InstallRefused(f"path {path} is a link out of the source")
    return folder


def refuse_links_out(folder: Path, root: Path) -> None:
    """Look at every link below `folder` that would be followed.

    Raises:
        InstallRefused: One leads out of `root`.
    """
    top = root.resolve()
    for link in _links(folder):
        target = link.resolve()
        if target.exists() and not target.is_relative_to(top):
            raise InstallRefused(
                f"{link.relative_to(folder)} is a link out of the source",
                hint="put a copy of what it points at in its place",
            )


def _links(folder: Path) -> Iterator[Path]:
    for base, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not left_out(Path(base, name))]
        for name in (*folders, *names):
            path = Path(base, name)
            if path.is_symlink():
                yield path
