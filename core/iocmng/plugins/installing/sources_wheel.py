"""A wheel file before it is trusted: whole, of this Python, and called what its metadata say."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from iocmng.errors import InstallRefused, NotFound
from iocmng.plugins.discovery import PLUGINS
from iocmng.plugins.environment import canonical

MOST_BYTES = 1 << 30
MOST_FILES = 50_000
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class WheelFile:
    """A wheel that was checked: canonical name and version of its distribution, and its entry points' text."""

    path: Path
    name: str
    version: str
    entry_points: str = ""


def take_wheel(source: Path, into: Path) -> WheelFile:
    """Copy a wheel into a folder and check the copy.

    Raises:
        NotFound: There is no such file.
        InstallRefused: It cannot be installed; nothing stays in the folder.
    """
    if not source.is_file():
        raise NotFound(f"there is no wheel {source} on the host's machine")
    copy = into / source.name
    if copy.resolve() == source.resolve():
        return check_wheel(copy)
    shutil.copyfile(source, copy)
    try:
        return check_wheel(copy)
    except BaseException:
        copy.unlink()
        raise


def check_wheel(path: Path) -> WheelFile:
    """Read all of a wheel.

    Raises:
        InstallRefused: It is damaged, leads outside, is for another Python, or its name is not its content's.
    """
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
    except (InvalidWheelFilename, InvalidVersion) as problem:
        raise _refused(path, f"is not called as wheels are: {problem}") from None
    if not tags & set(sys_tags()):
        listed = ", ".join(sorted(map(str, tags))[:4])
        raise _refused(path, f"is built for {listed}, which this Python is not")
    try:
        with zipfile.ZipFile(path) as archive:
            return _checked(path, archive, str(name), version)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as problem:
        raise _refused(path, f"is damaged: {problem}") from None


def entry_point_names(text: str) -> tuple[str, ...]:
    """Names of the plugins that an entry_points.txt advertises, sorted."""
    lines = text.partition(f"[{PLUGINS}]")[2].partition("\n[")[0].splitlines()
    return tuple(sorted(line.partition("=")[0].strip() for line in lines if "=" in line))


def _refused(path: Path, problem: str) -> InstallRefused:
    return InstallRefused(f"{path.name} {problem}", hint="build or fetch the wheel again")


def _checked(path: Path, archive: zipfile.ZipFile, name: str, version: Version) -> WheelFile:
    files = {entry.filename: entry for entry in archive.infolist() if not entry.is_dir()}
    size = sum(entry.file_size for entry in files.values())
    if len(files) > MOST_FILES or size > MOST_BYTES:
        raise _refused(path, f"holds more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB")
    for file in files:
        parts = PurePosixPath(file).parts
        if file.startswith("/") or ".." in parts or "\\" in file or not file.isprintable():
            raise _refused(path, f"holds a file that would lie elsewhere: {file!r}")
    folders = {file.partition("/")[0] for file in files if file.partition("/")[0].endswith(".dist-info")}
    if len(folders) != 1:
        raise _refused(path, f"has {len(folders)} folders of metadata, and one is needed")
    (meta,) = folders
    if missing := [one for one in ("METADATA", "WHEEL", "RECORD") if f"{meta}/{one}" not in files]:
        raise _refused(path, f"has no {meta}/{missing[0]}")
    for file, problem in _damaged(archive, files, f"{meta}/RECORD"):
        raise _refused(path, f"is damaged: {file} {problem}")
    head = HeaderParser().parsestr(archive.read(f"{meta}/METADATA").decode("utf-8", "replace"))
    try:
        stated = canonical(str(head["Name"])), Version(str(head["Version"]))
    except InvalidVersion as problem:
        raise _refused(path, f"has no usable version: {problem}") from None
    if stated != (canonical(name), version):
        raise _refused(path, f"says that it is {stated[0]} {stated[1]}")
    points = f"{meta}/entry_points.txt"
    text = archive.read(points).decode("utf-8", "replace") if points in files else ""
    return WheelFile(path, stated[0], str(stated[1]), text)


def _damaged(
    archive: zipfile.ZipFile, files: dict[str, zipfile.ZipInfo], record: str
) -> Iterator[tuple[str, str]]:
    """Read every file, against its own checksum and RECORD."""
    rows = csv.reader(io.StringIO(archive.read(record).decode("utf-8", "replace")))
    recorded = {row[0]: row[1] for row in rows if len(row) >= 2}
    for file, entry in files.items():
        digest = hashlib.sha256()
        with archive.open(entry) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
        if file not in recorded:
            if not file.startswith(f"{record.rpartition('/')[0]}/RECORD"):
                yield file, "is not in RECORD"
            continue
        kind, _, wanted = recorded[file].partition("=")
        found = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
        if kind == "sha256" and wanted != found:
            yield file, "is not what RECORD says"
