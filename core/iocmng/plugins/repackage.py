"""A plugin directory written as a package project: its files, its imports by their new names, a pyproject.toml."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from iocmng.config import load_config
from iocmng.errors import BadInput, IocmngError
from iocmng.plugins.classfinder import read_source
from iocmng.plugins.directory import DirectoryPlugin, read_directory
from iocmng.plugins.discovery import PLUGINS
from iocmng.plugins.environment import canonical
from iocmng.plugins.isolation import package_name
from iocmng.wire import Finding, Level, Where

FIRST_VERSION = "1.0.0"
_MODULE_SUFFIX = ".py"
_TRIGGERED = re.compile(r"\btriggered\s*:\s*(true|yes|on)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Repackaged:
    """A project that was written: its folder, its distribution, and what was left to its author."""

    folder: Path
    distribution: str
    findings: tuple[Finding, ...] = ()


def repackage(plugin: str, directory: Path, out: Path, *, root: Path | None = None) -> Repackaged:
    """Write a plugin directory as a package project `out / PLUGIN`.

    Args:
        plugin: Name of the plugin, which stays.
        directory: The plugin directory.
        out: Where the project's folder is made.
        root: What was named; its `requirements.txt` counts second.

    Raises:
        BadInput: The folder exists already.
        InstallRefused: The directory holds too much.
        OSError: It cannot be read, or the project not be written.
    """
    target = out / plugin
    if target.exists():
        raise BadInput(f"{target} exists already", hint="name another folder with --out, or remove it")
    read = read_directory(plugin, directory, root)
    package = package_name(plugin).replace("iocmng_dir_", "iocmng_", 1)
    home = target / "src" / package
    own = _own_modules(read)
    findings: list[Finding] = [one for one in read.findings if one.code == "requirement"]
    for name, file in read.files.items():
        if name in ("requirements.txt", "pyproject.toml"):
            continue
        copy = home / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
        shutil.copymode(file, copy)
        if name.endswith(_MODULE_SUFFIX):
            findings += _rename_imports(copy, package, own)
    (home / "__init__.py").touch()
    config = home / read.config.name if read.config else home / "config.yaml"
    if read.config is None:
        config.write_text("{}\n", encoding="utf-8")
    _made_strict(config)
    distribution = f"iocmng-{canonical(plugin)}"
    (target / "pyproject.toml").write_text(_pyproject(read, distribution, package, config), encoding="utf-8")
    return Repackaged(target, distribution, tuple(findings))


def _own_modules(read: DirectoryPlugin) -> frozenset[str]:
    """First parts of what modules of the directory import by bare name and find beside themselves."""
    tops = {name.partition("/")[0] for name in read.files if name.endswith(_MODULE_SUFFIX)}
    return frozenset(name.removesuffix(_MODULE_SUFFIX) for name in tops) - {"__init__"}


def _rename_imports(file: Path, package: str, own: frozenset[str]) -> Iterator[Finding]:
    tree, problems = read_source(file)
    if tree is None or problems:
        return
    text = file.read_text(encoding="utf-8-sig")
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    content = text.encode()
    changes: list[tuple[int, int, bytes]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(_first(alias.name) in own for alias in node.names):
            begin = starts[node.lineno - 1] + node.col_offset
            end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
            before = lines[node.lineno - 1].encode()[: node.col_offset].decode()
            between = "; " if before.strip() or _more_follows(content, end) else f"\n{before}"
            changes.append((begin, end, between.join(_imported(node, package, own)).encode()))
        elif isinstance(node, ast.ImportFrom) and not node.level and _first(node.module or "") in own:
            begin = starts[node.lineno - 1] + node.col_offset
            head = re.compile(rb"from\s+" + re.escape((node.module or "").encode())).match(content, begin)
            if head is not None:
                changes.append((begin, head.end(), f"from {package}.{node.module}".encode()))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            where = Where(str(file), node.lineno, node.col_offset + 1)
            message = f"modules of the plugin are called {package}.NAME now; this call may not find them"
            yield Finding(Level.WARNING, "changed", message, where)
    for begin, end, new in sorted(changes, reverse=True):
        content = content[:begin] + new + content[end:]
    if changes:
        file.write_bytes(content)


def _more_follows(content: bytes, end: int) -> bool:
    """Whether the line goes on with another statement."""
    return content[end:].partition(b"\n")[0].lstrip().startswith(b";")


def _first(module: str) -> str:
    return module.partition(".")[0]


def _imported(node: ast.Import, package: str, own: frozenset[str]) -> Iterator[str]:
    for alias in node.names:
        if _first(alias.name) not in own:
            yield f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
            continue
        above, _, last = f"{package}.{alias.name}".rpartition(".")
        if alias.asname:
            yield f"from {above} import {last} as {alias.asname}"
        else:
            if "." in alias.name:
                yield f"import {package}.{alias.name}"
            yield f"from {package} import {_first(alias.name)}"


def _made_strict(config: Path) -> None:
    """Write what only the previous system understood in the words of this one.

    Top-level keys that a directory only warns of, and a package refuses, become comments.
    """
    if config.suffix == ".json":
        return
    try:
        findings = load_config(config).findings
    except IocmngError:
        return
    unknown = [one for one in findings if one.code == "unknown-key"]
    gone = [one for one in findings if one.code == "gone" and one.where.key == "parameters.triggered"]
    lines = config.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    for finding in unknown:
        begin = finding.where.line - 1
        if "." in finding.where.key or not 0 <= begin < len(lines) or not lines[begin][:1].strip():
            continue
        end = begin + 1
        while end < len(lines) and (not lines[end].strip() or lines[end][:1] in (" ", "\t", "-")):
            end += 1
        for number in range(begin, end):
            lines[number] = f"# {lines[number]}"
    for finding in gone:
        line = lines[finding.where.line - 1]
        lines[finding.where.line - 1] = _TRIGGERED.sub("mode: triggered", line, count=1)
    config.write_text("".join(lines), encoding="utf-8")


def _pyproject(read: DirectoryPlugin, distribution: str, package: str, config: Path) -> str:
    description, version = _about(config)
    module = read.target.partition(".")[2]
    target = f"{package}.{module}" if module else package
    needed = ["iocmng>=3", *map(str, read.needed)]
    return "\n".join(
        [
            "[build-system]",
            'requires = ["hatchling"]',
            'build-backend = "hatchling.build"',
            "",
            "[project]",
            f"name = {_toml(distribution)}",
            f"version = {_toml(version)}",
            f"description = {_toml(description or f'The plugin {read.plugin}')}",
            'requires-python = ">=3.11"',
            f"dependencies = {_toml_list(needed)}",
            "",
            f'[project.entry-points."{PLUGINS}"]',
            f"{read.plugin} = {_toml(target)}",
            "",
            "[tool.hatch.build.targets.wheel]",
            f"packages = {_toml_list([f'src/{package}'])}",
            "",
        ]
    )


def _about(config: Path) -> tuple[str, str]:
    try:
        loaded = load_config(config, lenient=True).config
    except IocmngError:
        loaded = None
    if loaded is None:
        return "", FIRST_VERSION
    try:
        version = str(Version(str(loaded.parameters.version)))
    except InvalidVersion:
        version = FIRST_VERSION
    return " ".join(loaded.description.split()), version


def _toml(text: str) -> str:
    # A JSON text is a TOML text.
    return json.dumps(text, ensure_ascii=False)


def _toml_list(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(_toml, texts))}]"


def instances_of(entries: Sequence[Mapping[str, object]]) -> str:
    """The `instances:` of a site file, for what plugins.yaml said about plugins; JSON, which is YAML."""
    lines = [f"  - {json.dumps(entry)}" for entry in entries]
    return "\n".join(["instances:", *lines, ""]) if lines else ""
