"""Which class of a plugin directory is the plugin: read from the source, nothing is imported."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from iocmng.names import did_you_mean
from iocmng.wire import Finding, Level, Where

_ROOTS = frozenset({"TaskBase", "JobBase", "DeclarativeTask", "ScriptJob", "BridgeTask", "BridgeDaemon"})
_NOT_PLUGINS = ("_", "test_", "conftest.", "setup.")


@dataclass(frozen=True, slots=True)
class FoundClass:
    """A class that derives, directly or not, from one of the base classes, at a line of a module."""

    module: str
    name: str
    line: int


@dataclass(frozen=True, slots=True)
class _ClassDef:
    name: str
    line: int
    bases: tuple[str, ...]


def read_source(path: Path) -> tuple[ast.Module | None, tuple[Finding, ...]]:
    """Parse a Python file; a syntax error is a finding with its place."""
    try:
        data = path.read_bytes()
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return ast.parse(data.decode(encoding), filename=str(path)), ()
    except SyntaxError as problem:
        where = Where(str(path), problem.lineno or 0, problem.offset or 0)
        return None, (Finding(Level.ERROR, "syntax-error", f"{path.name}: {problem.msg}", where),)
    except (OSError, ValueError) as problem:
        text = f"{path.name} cannot be read: {problem}"
        return None, (Finding(Level.ERROR, "syntax-error", text, Where(str(path))),)


def find_class(folder: Path, chosen: str | None) -> tuple[FoundClass | None, tuple[Finding, ...]]:
    """Find the plugin's class among the modules of a folder.

    Args:
        folder: The plugin directory.
        chosen: `class:` of its config.yaml.

    Returns:
        The class, None for a folder without Python or with errors, and findings.
    """
    modules = sorted(file for file in folder.glob("*.py") if not file.name.startswith(_NOT_PLUGINS))
    found: list[FoundClass] = []
    used: set[str] = set()
    findings: list[Finding] = []
    known: dict[tuple[str, str], bool] = {}
    trees: dict[str, ast.Module] = {}
    for file in modules:
        tree, problems = read_source(file)
        findings.extend(problems)
        if tree is not None:
            trees[file.stem] = tree
    for module, tree in trees.items():
        names = _imported(tree)
        for definition in _classes(tree):
            if _derives(module, definition.name, trees, known):
                found.append(FoundClass(module, definition.name, definition.line))
                used.update(names.get(base, (module, base))[1] for base in definition.bases)
    leaves = [one for one in found if one.name not in used]
    if chosen is not None:
        return _choose(folder, found, chosen, findings)
    if not leaves and modules and not findings:
        listed = ", ".join(file.name for file in modules[:6]) + (", …" if len(modules) > 6 else "")
        text = f"no class in {listed} derives from TaskBase or JobBase"
        hint = "derive the plugin's class from iocmng.TaskBase or iocmng.JobBase, or remove the modules"
        findings.append(Finding(Level.ERROR, "base-class", text, Where(str(folder)), hint))
    if len(leaves) > 1:
        listed = ", ".join(f"{one.name} ({one.module}.py:{one.line})" for one in leaves)
        first = _first(leaves)
        text = f"several classes could be the plugin: {listed}; {first.name} is taken"
        hint = f"write 'class: {first.name}' into config.yaml"
        findings.append(Finding(Level.WARNING, "class-ambiguous", text, Where(str(folder)), hint))
    return (_first(leaves) if leaves else None), tuple(findings)


def classes_in(file: Path) -> tuple[tuple[FoundClass, ...], tuple[Finding, ...]]:
    """The classes of one module that derive from a base class of ours, as far as that module tells."""
    tree, findings = read_source(file)
    if tree is None:
        return (), findings
    trees, known = {file.stem: tree}, dict[tuple[str, str], bool]()
    return tuple(
        FoundClass(file.stem, one.name, one.line)
        for one in _classes(tree)
        if _derives(file.stem, one.name, trees, known)
    ), findings


def _first(found: list[FoundClass]) -> FoundClass:
    return min(found, key=lambda one: (one.module, one.name))


def _choose(
    folder: Path, found: list[FoundClass], chosen: str, findings: list[Finding]
) -> tuple[FoundClass | None, tuple[Finding, ...]]:
    for one in found:
        if one.name == chosen:
            return one, tuple(findings)
    text = f"class {chosen!r} of config.yaml is defined in no module of {folder.name}"
    hint = did_you_mean(chosen, [one.name for one in found])
    findings.append(Finding(Level.ERROR, "class-missing", text, Where(str(folder), key="class"), hint))
    return None, tuple(findings)


def _classes(tree: ast.Module) -> Iterable[_ClassDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield _ClassDef(node.name, node.lineno, tuple(ast.unparse(base) for base in node.bases))


def _imported(tree: ast.Module) -> dict[str, tuple[str, str]]:
    """What names that a module imports stand for: local name → (module, name there)."""
    names: dict[str, tuple[str, str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                names[alias.asname or alias.name] = (node.module or "", alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name] = (alias.name, "")
    return names


def _derives(
    module: str, name: str, trees: dict[str, ast.Module], known: dict[tuple[str, str], bool]
) -> bool:
    """Whether a class of a module of the folder derives from a base class of ours."""
    if (module, name) in known:
        return known[module, name]
    known[module, name] = False
    tree = trees.get(module)
    definition = next((one for one in _classes(tree) if one.name == name), None) if tree else None
    if tree is None or definition is None:
        return False
    names = _imported(tree)
    known[module, name] = any(_is_base(base, module, names, trees, known) for base in definition.bases)
    return known[module, name]


def _is_base(
    base: str,
    module: str,
    names: dict[str, tuple[str, str]],
    trees: dict[str, ast.Module],
    known: dict[tuple[str, str], bool],
) -> bool:
    home, _, attribute = base.rpartition(".")
    source, original = names.get(home, (home, "")) if home else names.get(base, (module, base))
    original = attribute if home else original
    if original in _ROOTS and source.partition(".")[0] == "iocmng":
        return True
    return _derives(source, original, trees, known)
