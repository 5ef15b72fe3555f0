"""Importing a plugin's class into this process: what its code does is an error with its place."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module, invalidate_caches
from importlib.util import cache_from_source
from pathlib import Path
from types import ModuleType

from iocmng.base import DeclarativeTask, ScriptJob
from iocmng.errors import IocmngError, Refused
from iocmng.names import did_you_mean
from iocmng.plugins.isolation import PACKAGE, finder
from iocmng.spec import PluginRef
from iocmng.wire import Finding, Level, Where


class LoadFailed(IocmngError):
    """A plugin's code cannot be imported.

    Args:
        detail: What happened.
        where: The line of the plugin's own code that raised, when there is one.
        trace: The traceback's text.
    """

    code = "import-failed"

    def __init__(
        self,
        detail: str,
        *,
        hint: str = "",
        code: str | None = None,
        where: Where | None = None,
        trace: str = "",
    ) -> None:
        super().__init__(detail, hint=hint, code=code)
        self.where = where or Where()
        self.trace = trace

    @property
    def finding(self) -> Finding:
        """The same as a finding."""
        return Finding(Level.ERROR, self.error_code, self.detail, self.where, self.hint)


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did: the class, and the files whose changes it took over."""

    cls: type
    changed: tuple[str, ...] = field(default=())


def prepare(roots: Sequence[str], target: str, *, first: bool = False) -> None:
    """Make the folders of a plugin importable in this process.

    Args:
        roots: The folders.
        target: The plugin's entry point.
        first: They come before everything else on the import path.
    """
    package = target.partition(":")[0].partition(".")[0]
    if package.startswith(PACKAGE):
        for root in roots:
            finder.serve(package, root)
    elif first:
        sys.path[:0] = roots
    else:
        sys.path.extend(root for root in roots if root not in sys.path)
    invalidate_caches()


def load_class(plugin: PluginRef, *, script: bool = False) -> type:
    """Import the class of a plugin; DeclarativeTask for one without a class, ScriptJob where its config has a script.

    Raises:
        LoadFailed: The import raised, asked to exit, or there is no such class.
    """
    if ":" not in plugin.target:
        return ScriptJob if script else DeclarativeTask
    thing = load_object(plugin)
    if not isinstance(thing, type):
        raise LoadFailed(
            f"{plugin.name}: {plugin.target} is a {type(thing).__name__}, not a class",
            hint="let the entry point name the class itself",
            code="class-missing",
        )
    if plugin.editable:
        _remember()
    return thing


def load_object(plugin: PluginRef) -> object:
    """Import what an entry point names: a module, or something in it.

    Raises:
        LoadFailed: The import raised, asked to exit, or there is no such thing.
    """
    module_name, _, attribute = (part.strip() for part in plugin.target.partition(":"))
    if plugin.folder:
        finder.folders[module_name.partition(".")[0]] = plugin.folder
    module = _import(plugin, module_name)
    thing: object = module
    for part in attribute.partition("[")[0].strip().split(".") if attribute else ():
        try:
            thing = getattr(thing, part)
        except AttributeError:
            raise LoadFailed(
                f"{plugin.name}: {module_name} has no {attribute!r}",
                hint=did_you_mean(part, _classes(module)),
                code="class-missing",
                where=Where(module.__file__ or ""),
            ) from None
    return thing


def _classes(module: ModuleType) -> list[str]:
    return [name for name, value in vars(module).items() if isinstance(value, type)]


def _import(plugin: PluginRef, module: str) -> ModuleType:
    try:
        return import_module(module)
    except SystemExit as leave:
        text = f"{plugin.name}: importing {module} calls sys.exit({leave.code!r})"
        hint = "put what ends the process under 'if __name__ == \"__main__\":'"
        raise _failure(text, leave, plugin, hint, "import-exit") from None
    except ModuleNotFoundError as missing:
        text = f"{plugin.name}: importing {module} needs a module {missing.name!r} that is not installed"
        hint = "add its distribution to the plugin's dependencies and install it"
        raise _failure(text, missing, plugin, hint, "import-missing") from None
    except KeyboardInterrupt:
        raise
    except MemoryError as problem:
        text = f"{plugin.name}: importing {module} needs more memory than a probe may take"
        hint = "load large data in initialize(), not at import"
        raise _failure(text, problem, plugin, hint, "import-memory") from None
    except BaseException as problem:  # noqa: BLE001 - a border: a module may raise anything
        text = f"{plugin.name}: importing {module} raises {type(problem).__name__}: {problem}"
        raise _failure(text, problem, plugin, "", "import-failed") from None


def _failure(text: str, problem: BaseException, plugin: PluginRef, hint: str, code: str) -> LoadFailed:
    trace = "".join(traceback.format_exception(problem))
    frames = traceback.extract_tb(problem.__traceback__)
    own = [frame for frame in frames if plugin.owns(frame.filename)]
    where = Where()
    if isinstance(problem, SyntaxError) and problem.filename:
        where = Where(problem.filename, problem.lineno or 0, problem.offset or 0)
    elif own:
        where = Where(own[-1].filename, own[-1].lineno or 0, 1)
    return LoadFailed(text, hint=hint, code=code, where=where, trace=trace)


def reload(plugin: PluginRef, project: str) -> Reloaded:
    """Import the changed code of an editable installation.

    All modules that come from the project are imported anew, so that none keeps objects of an old one; when
    that fails the old ones are back.

    Args:
        plugin: The plugin.
        project: The source folder of its editable installation.

    Raises:
        Refused: It is not an editable installation.
        LoadFailed: The changed code cannot be imported.
    """
    if not plugin.editable or not project:
        hint = f"use upgrade: pip install -U {plugin.distribution}, then restart the host"
        raise Refused(f"{plugin.name}: code unchanged", hint=hint)
    changed = changed_files(project)
    for file in changed:
        # Python tells a stale cache by size and whole seconds: two edits within one would go unnoticed.
        with suppress(OSError, NotImplementedError):
            Path(cache_from_source(file)).unlink()
    old = {name: module for name, module in sys.modules.items() if _belongs(module, project)}
    for name, module in old.items():
        del sys.modules[name]
        _seen.pop(module.__file__ or "", None)
    invalidate_caches()
    try:
        cls = load_class(plugin)
    except LoadFailed:
        for name in [name for name, module in sys.modules.items() if _belongs(module, project)]:
            del sys.modules[name]
        sys.modules.update(old)
        raise
    return Reloaded(cls, changed)


FileState = tuple[int, int]
_seen: dict[str, FileState] = {}
_looked_at = [0]


def file_state(file: str) -> FileState:
    """What tells one content of a file from another: its time and size, zeros without a file."""
    try:
        stat = Path(file).stat()
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size


def _remember() -> None:
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file not in _seen:
            _seen[file] = file_state(file)
    _looked_at[0] = time.time_ns()


def changed_files(project: str) -> tuple[str, ...]:
    """Files of a project that were imported into this process and look different now."""
    files = {module.__file__ or "" for module in list(sys.modules.values()) if _belongs(module, project)}
    return tuple(file for file in sorted(files) if _differs(file))


def _differs(file: str) -> bool:
    now = file_state(file)
    if file in _seen:
        return now != _seen[file]
    # Imported by code that ran later: nobody looked at it then, so only what was written since counts.
    return now[0] > _looked_at[0]


def _belongs(module: object, project: str) -> bool:
    """Whether a module's file lies in a project; an environment inside of the project is not part of it."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or getattr(module, "__name__", "").partition(".")[0] == "iocmng":
        return False
    path = Path(file)
    return path.is_relative_to(project) and "site-packages" not in path.relative_to(project).parts
