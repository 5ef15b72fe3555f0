"""Wheels written by zipfile in milliseconds, and folders of them that serve as an index."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

CODE = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def execute(self):
        self.set_pv("COUNT", self.cycle_count)
"""
CONFIG = """
parameters: {interval: 0.1}
arguments: {outputs: {COUNT: {type: int}}}
"""


def wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    requires: Iterable[str] = (),
    files: Mapping[str, str | bytes] | None = None,
    plugin: str | Mapping[str, str] = "",
    scripts: Mapping[str, str] | None = None,
    hooks: Mapping[str, str] | None = None,
    tag: str = "py3-none-any",
    extras: Mapping[str, Iterable[str]] | None = None,
) -> Path:
    """Write a wheel and return its path; equal arguments give an equal file.

    Args:
        folder: Where to put it; it is made when it is not there.
        name: Name of the distribution; its package is called the same with underscores.
        version: Its version; `PACKAGE.VERSION` holds it too.
        requires: Requirements (`Requires-Dist`).
        files: Further files, or others in place of those written by default (`PACKAGE/__init__.py`,
            with a plugin also `PACKAGE/plugin.py` and `PACKAGE/config.yaml`).
        plugin: Name of a plugin, a task that counts its cycles in the output COUNT; or name → `module:Class` of
            several, whose files `files` gives.
        scripts: Console scripts, name → `module:function`.
        hooks: Entry points of the group `iocmng.hooks`.
        tag: Python, ABI and platform.
        extras: Requirements of extras.
    """
    package, stem = name.replace("-", "_").replace(".", "_"), f"{name.replace('-', '_')}-{version}"
    meta = f"{stem}.dist-info"
    inside: dict[str, str | bytes] = {f"{package}/__init__.py": f"VERSION = {version!r}\n"}
    if isinstance(plugin, str) and plugin:
        inside |= {f"{package}/plugin.py": CODE, f"{package}/config.yaml": CONFIG}
        plugin = {plugin: f"{package}.plugin:Plugin"}
    inside |= files or {}
    inside[f"{meta}/METADATA"] = _metadata(name, version, requires, extras or {})
    inside[f"{meta}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n"
    groups = {"iocmng.plugins": plugin or {}, "console_scripts": scripts or {}, "iocmng.hooks": hooks or {}}
    points = "".join(
        f"[{group}]\n" + "".join(f"{key} = {target}\n" for key, target in entries.items()) + "\n"
        for group, entries in groups.items()
        if isinstance(entries, Mapping) and entries
    )
    if points:
        inside[f"{meta}/entry_points.txt"] = points
    return write_wheel(folder / f"{stem}-{tag}.whl", inside, f"{meta}/RECORD")


def write_wheel(path: Path, files: Mapping[str, str | bytes], record: str, *, wrong: str = "") -> Path:
    """Write a wheel of just these files and their RECORD, in which the hash of `wrong` is that of something else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        f"{name},{'sha256=' + 43 * 'A' if name == wrong else _hash(text)}" for name, text in files.items()
    ]
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, record: "\n".join([*lines, f"{record},,", ""])}.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), text)
    return path


def files_of(path: Path) -> dict[str, bytes]:
    """Every file of a wheel but its RECORD, to write a changed one."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}


def rewrite(path: Path, changed: Mapping[str, str | bytes], *, wrong: str = "") -> Path:
    """Write a wheel anew with other or further files; `wrong` as for `write_wheel`."""
    record = f"{'-'.join(path.name.split('-')[:2])}.dist-info/RECORD"
    return write_wheel(path, {**files_of(path), **changed}, record, wrong=wrong)


def simple_index(folder: Path, wheels: Iterable[Path]) -> Path:
    """Arrange wheels as an index is arranged (a folder with a page for each name) and return the folder."""
    for path in wheels:
        home = folder / path.name.split("-")[0].replace("_", "-").lower()
        home.mkdir(parents=True, exist_ok=True)
        (home / path.name).write_bytes(path.read_bytes())
        links = [
            f'<a href="{one.name}#sha256={hashlib.sha256(one.read_bytes()).hexdigest()}">{one.name}</a>'
            for one in sorted(home.glob("*.whl"))
        ]
        (home / "index.html").write_text("<!DOCTYPE html>\n" + "\n".join(links))
    return folder


def _metadata(name: str, version: str, requires: Iterable[str], extras: Mapping[str, Iterable[str]]) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    for extra, more in extras.items():
        lines.append(f"Provides-Extra: {extra}")
        lines += [f'Requires-Dist: {requirement} ; extra == "{extra}"' for requirement in more]
    return "\n".join([*lines, "", ""])


def _hash(content: str | bytes) -> str:
    raw = content.encode() if isinstance(content, str) else content
    digest = base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode()
    return f"sha256={digest},{len(raw)}"
