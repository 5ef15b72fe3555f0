"""The command line of a script: which file is meant, whether it may be run, and its words."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from iocmng.spec.script import EXTRA, PATH, ArgumentSpec, ScriptSpec

PYTHON = "python"
PLACE = "{path}"


def path_problem(spec: ScriptSpec, path: str, roots: Sequence[Path]) -> str:
    """Why a request may not name this script, as far as its text tells; "" when it may. Touches no disk."""
    if not spec.path_parameter:
        return "this job's script is fixed"
    if ".." in Path(path).parts or "\0" in path or not path:
        return f"{path!r} is no plain path"
    if not roots:
        return "no folder is allowed for scripts: add it to scripts.roots of the site file"
    if os.path.isabs(path) and not any(Path(path).is_relative_to(root) for root in roots):
        return f"{path} lies under none of the allowed folders: {', '.join(map(str, roots))}"
    return ""


def find_script(spec: ScriptSpec, requested: str | None, roots: Sequence[Path]) -> Path | None:
    """The script's file with all links resolved; None for a config that names only words to run.

    Args:
        spec: The script job's script.
        requested: What the request names, None for nothing.
        roots: Folders under which it may lie when it is not part of the plugin.

    Raises:
        ValueError: It is not there, or lies where no script may.
    """
    if requested is not None:
        if problem := path_problem(spec, requested, roots):
            raise ValueError(f"script: {problem}")
        candidates = [Path(requested)] if os.path.isabs(requested) else [root / requested for root in roots]
        allowed = roots
    elif spec.path is not None:
        absolute = os.path.isabs(spec.path)
        candidates = [Path(spec.path) if absolute else Path(spec.root, spec.path)]
        allowed = roots if absolute else (Path(spec.root),)
    elif spec.argv:
        return None
    else:
        raise ValueError("script: the request has to name one (path), or the config")
    return _allowed(next((one for one in candidates if one.is_file()), candidates[0]), allowed)


def _allowed(path: Path, folders: Sequence[Path]) -> Path:
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"script {path}: {getattr(error, 'strerror', None) or error}") from None
    if not real.is_file():
        raise ValueError(f"script {path} is no file")
    if not any(real.is_relative_to(folder.resolve()) for folder in folders):
        named = f"{path}, which is {real}," if real != path else str(path)
        raise ValueError(
            f"script {named} lies outside of {', '.join(map(str, folders)) or 'every allowed folder'}: "
            "add its folder to scripts.roots of the site file"
        )
    return real


def command_line(spec: ScriptSpec, arguments: Mapping[str, Any], path: Path | None) -> list[str]:
    """The words to run: interpreter, script, declared arguments in order, inputs, and what the request adds."""
    return [*_head(spec, path), *_words(spec, arguments)]


def _head(spec: ScriptSpec, path: Path | None) -> list[str]:
    if spec.argv:
        words = [word.replace(PLACE, str(path)) if path else word for word in spec.argv]
        placed = any(PLACE in word for word in spec.argv)
        return [*words, str(path)] if path is not None and not placed else words
    interpreter = [sys.executable, "-u"] if spec.interpreter == PYTHON else [spec.interpreter]
    return [*interpreter, *([str(path)] if path else [])]


def _words(spec: ScriptSpec, arguments: Mapping[str, Any]) -> Iterator[str]:
    declared = {one.name for one in spec.args}
    for argument in sorted(spec.args, key=lambda one: one.positional):
        if argument.name in arguments:
            yield from argument.words(arguments[argument.name])
    for name, value in arguments.items():
        if name not in declared and name not in (EXTRA, PATH):
            yield from _of_input(name, value)
    if spec.extra_args:
        yield from arguments.get(EXTRA, ())


def _of_input(name: str, value: Any) -> list[str]:
    if hasattr(value, "tolist"):
        value = value.tolist()
    one = value[0] if isinstance(value, list) and value else value
    kind = next((word for word, cls in _TYPES if isinstance(one, cls)), "str")
    many = "_list" if isinstance(value, list) else ""
    return ArgumentSpec(name=name, type=f"{kind}{many}").words(value)


_TYPES: tuple[tuple[str, type], ...] = (("bool", bool), ("int", int), ("float", float))


def uses_python(spec: ScriptSpec) -> bool:
    """Whether the interpreter is the one that runs the plugin."""
    return not spec.argv and spec.interpreter == PYTHON
