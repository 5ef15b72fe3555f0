"""Who holds objects of modules that are to go: other modules, classes, handlers, threads."""

from __future__ import annotations

import asyncio.tasks
import atexit
import functools
import gc
import logging
import re
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import Any

from iocmng.plugins.allstacks import lines_of_stacks
from iocmng.plugins.ownership import Owned, attributes, class_attributes, is_a

Held = tuple[str, str]
"""The canonical name of a distribution, and what holds which object of it."""

_DEPTH = 5
_SLICE = 0.001
"""Seconds that the walk keeps other threads waiting at most, beyond what they wait for a lock anyway."""
_PAUSE = 0.0003
"""Seconds that it sleeps then: after less it would be first to run again."""
_PLAIN: frozenset[type] = frozenset(
    {str, bytes, int, float, complex, bool, type(None), type(Ellipsis), re.Pattern, CodeType}
)
_CONTAINERS = (dict, list, set, deque)
_HOLDING = (dict, list, tuple, set, frozenset, deque, MappingProxyType)
_NO_CONTENT = frozenset({"__spec__", "__loader__", "__builtins__", "__annotations__", "__path__"})
_HOST = ("iocmng", "iocmng_cli")
# What is running is looked at by itself, and these hold what is running.
_SKIPPED = {
    ("threading", "_active"),
    ("threading", "_limbo"),
    ("sys", "modules"),
    ("sys", "path_importer_cache"),
}

_Root = tuple[str, str, bool]
"""Where the walk came from: a module, a variable of it, and whether it is the host's own."""
_Place = tuple[object, _Root]


class Holders:
    """Looks for objects of modules in everything else that is loaded. Any thread.

    Args:
        owned: All modules that are to go.
    """

    def __init__(self, owned: Sequence[Owned]) -> None:
        self._owned = owned
        self._keys = {one.key for one in owned}
        self._modules = {id(one.module): one for one in owned}
        self._scopes = {id(attributes(one.module)): one for one in owned}
        self._names: dict[str, Owned] = {}
        for one in owned:
            self._names[one.key] = one
            if isinstance(name := attributes(one.module).get("__name__"), str):
                self._names.setdefault(name, one)
        self._due = 0.0
        # Most values are of few classes: what is known of a class need not be found out for each of them.
        self._empty = set(_PLAIN)
        self._ways: dict[type, _Way] = {}

    def owner(self, value: Any) -> Owned | None:
        """The module that a value is, or was made in; None for what is of others."""
        kind = type(value)
        if kind is FunctionType:
            return self._scopes.get(id(value.__globals__))
        if kind in _HOLDING or kind in self._empty:
            return None
        if id(value) in self._modules:
            return self._modules[id(value)]
        if kind is BuiltinFunctionType:
            return None
        if issubclass(kind, type):
            return self._of_class(value)
        if issubclass(kind, MethodType):
            return self.owner(value.__func__) or self.owner(value.__self__)
        if issubclass(kind, (staticmethod, classmethod)):
            return self.owner(value.__func__)
        called = value.func if kind is functools.partial else None
        return (self.owner(called) if called is not None else None) or self._of_class(kind)

    def _of_class(self, cls: type) -> Owned | None:
        name = class_attributes(cls).get("__module__")
        return self._names.get(name) if isinstance(name, str) else None

    def heirs(self) -> Iterator[Held]:
        """Yield classes elsewhere that inherit from one of theirs."""
        told: set[type] = set()
        for cls, one in self._classes():
            heirs: list[type] = type.__subclasses__(cls)
            for heir in heirs:
                if heir not in told and self._of_class(heir) is None:
                    told.add(heir)
                    yield one.distribution, f"{_title(heir)} inherits from {_title(cls)}"

    def _classes(self) -> Iterator[tuple[type, Owned]]:
        seen: set[type] = set()
        for one in self._owned:
            queue = [value for value in list(attributes(one.module).values()) if is_a(value, type)]
            while queue:
                cls = queue.pop()
                if cls not in seen and self._of_class(cls) is not None:
                    seen.add(cls)
                    yield cls, one
                    queue += [value for value in list(class_attributes(cls).values()) if is_a(value, type)]

    def handlers(self) -> Iterator[Held]:
        """Yield handlers of signals, loggers that write through handlers of theirs, and uses of atexit."""
        for number in signal.valid_signals():
            if one := self.owner(signal.getsignal(number)):
                yield one.distribution, f"it handles {getattr(number, 'name', f'signal {number}')}"
        for name, logger in list(logging.root.manager.loggerDict.items()):
            one = self._names.get(name)
            handlers = logger.handlers if isinstance(logger, logging.Logger) else []
            if one and any(type(handler) is not logging.NullHandler for handler in handlers):
                yield one.distribution, f"the logger {name} keeps its handlers"
        for one in self._owned:
            # What is registered there cannot be listed.
            if any(_uses_atexit(value, self) for value in list(attributes(one.module).values())):
                yield one.distribution, f"{one.key} uses atexit"

    def strangers(self) -> Iterator[Held]:
        """Yield modules of others that lie inside of packages that go."""
        for key in list(sys.modules):
            parent = self._names.get(key.rpartition(".")[0])
            if parent is not None and key not in self._keys:
                yield parent.distribution, f"the module {key} of another distribution lies in its package"

    def held(self, *, live: bool) -> Iterator[Held]:
        """Yield what other modules hold; at most one find for each of their variables.

        Args:
            live: Instances are running: what they registered may go when they stop, so only modules, what
                stands at the top of these, and what their import made count.
        """
        if not self._owned:
            return
        collects = gc.isenabled()
        # It notes much: to go through that in search of garbage would hold everybody up for tens of milliseconds.
        gc.disable()
        try:
            yield from self._held(live)
        finally:
            if collects:
                gc.enable()

    def _held(self, live: bool) -> Iterator[Held]:
        self._due = time.perf_counter() + _SLICE
        outside = [(key, module) for key, module in loaded_modules() if key not in self._keys]
        made = self._made()
        for _, module in outside:
            for value in list(attributes(module).values()):
                made.pop(id(value), None)
        seen = {id(scope) for scope in (sys.modules, sys.path_importer_cache, self.__dict__, made)}
        told: set[_Root] = set()
        level = [place for key, module in outside for place in self._variables(key, module)]
        for depth in range(_DEPTH + 1):
            below: list[_Place] = []
            for value, root in level:
                if id(value) in seen:
                    continue
                seen.add(id(value))
                find = self._find(value, made, passing=live and depth > 0)
                if find is None:
                    if depth < _DEPTH:
                        parts = self._parts(value, whole=root[2])
                        below += [(part, root) for part in parts if type(part) not in self._empty]
                elif find[0] and root not in told:
                    told.add(root)
                    yield find[0], f"{root[0]}.{root[1]} holds {find[1]}"
                if time.perf_counter() >= self._due:
                    self._breathe()
            level = below

    def _variables(self, key: str, module: object) -> Iterator[_Place]:
        """Yield what the walk begins with: the variables of a module, without its own submodules."""
        plain = key.partition(".")[0] in _HOST
        for name, value in list(attributes(module).items()):
            if type(value) in self._empty or name in _NO_CONTENT or (key, name) in _SKIPPED:
                continue
            submodule = self._names.get(f"{key}.{name}") if is_a(value, ModuleType) else None
            if submodule is None or submodule.module is not value:
                yield value, (key, name, plain)

    def _find(self, value: object, made: Mapping[int, tuple[Owned, str]], *, passing: bool) -> Held | None:
        """Whether a value is theirs; of one that may go with its instance, ("", ""), which also ends this way."""
        if (one := self.owner(value)) is not None:
            lasting = is_a(value, type, FunctionType, ModuleType)
            if passing and not (lasting and "<locals>" not in getattr(value, "__qualname__", "")):
                return "", ""
            return one.distribution, f"{_words(value)} of {one.key}"
        if id(value) in made:
            one, name = made[id(value)]
            return one.distribution, f"{name} of {one.key}"
        return None

    def _made(self) -> dict[int, tuple[Owned, str]]:
        """Objects of foreign classes that were made in these modules, by their identity."""
        found: dict[int, tuple[Owned, str]] = {}
        for one in self._owned:
            for name, value in list(attributes(one.module).items()):
                if name.startswith("__"):
                    continue
                for part in (value, *(_items(value) if type(value) in (dict, list, tuple, set) else ())):
                    if self._is_made(part):
                        found[id(part)] = (one, name)
        for cls, one in self._classes():
            for name, value in list(class_attributes(cls).items()):
                if not name.startswith("_") and self._is_made(value):
                    found[id(value)] = (one, f"{cls.__name__}.{name}")
        return found

    def _is_made(self, value: object) -> bool:
        if is_a(
            value, type, ModuleType, FunctionType, MethodType, BuiltinFunctionType, logging.Logger, property
        ):
            return False
        if type(value) in _PLAIN or self.owner(value) is not None:
            return False
        return is_a(value, *_CONTAINERS) or bool(attributes(value))

    def _parts(self, value: object, *, whole: bool) -> Iterable[object]:
        """What a value consists of; `whole`: containers do, objects are taken as one thing."""
        kind = type(value)
        way = self._ways.get(kind)
        if way is None:
            way = _way(kind)
            if way is None:
                if not issubclass(kind, type) and self._of_class(kind) is None:
                    self._empty.add(kind)
                return ()
            self._ways[kind] = way
        # The host's own objects let instances go when these stop.
        return () if whole and way is _of_object else way(value)

    def running(self) -> Iterator[Held]:
        """Yield threads that run code of these modules or will, and tasks of asyncio."""
        threads = {thread.ident: thread for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():
            thread = threads.get(ident)
            name = thread.name if thread else f"thread {ident}"
            if find := self._in_frames(frame):
                yield find[0], f"the thread {name!r} runs {find[1]}"
            elif thread is not None and (one := self._target(thread)):
                yield one.distribution, f"the thread {name!r} is one of {one.key}"
        if "cothread" in sys.modules:
            yield from self._in_coroutines()
        for task in _tasks():
            at = getattr(task.get_coro(), "cr_frame", None)
            if isinstance(at, FrameType) and (one := self._scopes.get(id(at.f_globals))):
                yield one.distribution, f"the asyncio task {task.get_name()!r} runs {_line(at)}"

    def _in_coroutines(self) -> Iterator[Held]:
        files: dict[str, Owned] = {}
        for one in self._owned:
            for value in (one.module, *list(attributes(one.module).values())):
                file = value.__code__.co_filename if type(value) is FunctionType else None
                if self.owner(value) is one:
                    files[file or attributes(value).get("__file__") or ""] = one
        for file, line in lines_of_stacks():
            if one_of := files.get(file):
                yield one_of.distribution, f"a coroutine of cothread runs {file}:{line}"

    def _in_frames(self, frame: FrameType | None) -> Held | None:
        while frame is not None:
            if one := self._scopes.get(id(frame.f_globals)):
                return one.distribution, _line(frame)
            frame = frame.f_back
        return None

    def _target(self, thread: threading.Thread) -> Owned | None:
        if one := self.owner(thread):
            return one
        said = attributes(thread)
        for name in ("_target", "_args", "_kwargs", "function", "args", "kwargs"):
            value = said.get(name)
            for part in (value, *(_items(value) if is_a(value, tuple, list, dict) else ())):
                if one := self.owner(part):
                    return one
        return None

    def _breathe(self) -> None:
        """Let other threads run: they would have to wait for milliseconds otherwise."""
        time.sleep(_PAUSE)
        self._due = time.perf_counter() + _SLICE


def loaded_modules() -> list[tuple[str, object]]:
    """All modules with their names: where the walk begins."""
    return list(sys.modules.items())


def _way(kind: type) -> _Way | None:
    """How to find what values of a class consist of, None when they hold nothing that could be asked for."""
    for base, way in _WAYS.items():
        if issubclass(kind, base):
            return way
    return None if _dict_offset(kind) == 0 else _of_object


def _items(value: Any) -> list[object]:
    if is_a(value, dict):
        return [*dict.keys(value), *dict.values(value)]
    if is_a(value, MappingProxyType):
        return gc.get_referents(value)
    # Classes that inherit from these may have an __iter__ of their own, which is foreign code.
    kinds: tuple[Any, ...] = (list, tuple, set, frozenset, deque)
    return next((list(kind.__iter__(value)) for kind in kinds if is_a(value, kind)), [])


def _of_function(function: FunctionType) -> list[object]:
    cells: list[object] = []
    if not (function.__closure__ or function.__defaults__ or function.__kwdefaults__ or function.__dict__):
        return cells
    for cell in function.__closure__ or ():
        try:
            cells.append(cell.cell_contents)
        except ValueError:
            continue
    defaults = (function.__defaults__ or (), (function.__kwdefaults__ or {}).values())
    return [*cells, *(value for some in defaults for value in some), *function.__dict__.values()]


def _of_object(value: object) -> list[object]:
    return list(attributes(value).values())


_Way = Callable[[Any], Iterable[object]]
_WAYS: dict[type, _Way] = {
    FunctionType: _of_function,
    type: lambda cls: list(class_attributes(cls).values()),
    **dict.fromkeys(_HOLDING, _items),
    ModuleType: lambda module: (),
    BuiltinFunctionType: lambda function: (function.__self__,),
    MethodType: lambda method: (method.__self__,),
    functools.partial: gc.get_referents,
    staticmethod: lambda method: (method.__func__,),
    classmethod: lambda method: (method.__func__,),
}
_dict_offset: Any = type.__dict__["__dictoffset__"].__get__


def _uses_atexit(value: Any, holders: Holders) -> bool:
    if type(value) is BuiltinFunctionType:
        return value.__self__ is atexit
    if value is atexit:
        return True
    if is_a(value, type) and holders.owner(value):
        methods = [part for part in list(class_attributes(value).values()) if type(part) is FunctionType]
        return any(_uses_atexit(part, holders) for part in methods)
    called = value.__code__.co_names if type(value) is FunctionType else ()
    return "atexit" in called and holders.owner(value) is not None


def _tasks() -> list[asyncio.Task[Any]]:
    everything: Any = getattr(asyncio.tasks, "_all_tasks", None) or getattr(
        asyncio.tasks, "_scheduled_tasks", ()
    )
    for _ in range(10):
        try:
            return [task for task in list(everything) if isinstance(task, asyncio.Task) and not task.done()]
        except RuntimeError:
            # Another thread makes tasks just now.
            continue
    return []


def _title(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _words(value: Any) -> str:
    if is_a(value, ModuleType):
        return "the module itself"
    if is_a(value, type, FunctionType):
        return str(value.__qualname__)
    return f"a {type(value).__name__}"


def _line(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
