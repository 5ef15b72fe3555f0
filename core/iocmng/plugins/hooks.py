"""Calling hooks: every implementation by itself, in one hook thread, with a deadline."""

from __future__ import annotations

import inspect
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pluggy
from importlib_metadata import EntryPoint
from pluggy import PluginValidationError

from iocmng.errors import BadInput
from iocmng.names import did_you_mean
from iocmng.plugins.environment import Environment
from iocmng.plugins.hookspecs import PROJECT, HookSpecs, hookimpl, hookspec
from iocmng.plugins.hookthread import EventLane, HookThread, Overdue
from iocmng.wire import Finding, Level, Where

__all__ = ["Answer", "Hooks", "hookimpl", "hookspec"]

HOOKS = "iocmng.hooks"
_log = logging.getLogger("iocmng.hooks")
Judge = Callable[[str, str], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one implementation returned: its package's name, and the value (never None)."""

    plugin: str
    value: Any


class Hooks:
    """The implementations of all hooks, and the way to call them.

    Args:
        deadline: Seconds that one call of one implementation may take.
    """

    def __init__(self, *, deadline: float = 5.0) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(HookSpecs)
        self._deadline = deadline
        self._builtin: set[str] = set()
        self._thread = HookThread()
        self._events = EventLane(self._notify)
        self._lock = threading.Lock()
        self._failures: Counter[str] = Counter()
        self._problems: dict[str, Finding] = {}

    @property
    def failures(self) -> Mapping[str, int]:
        """How often implementations of each package failed."""
        with self._lock:
            return dict(self._failures)

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Packages that could not be loaded, and the latest failure of those that could."""
        with self._lock:
            return tuple(self._problems.values())

    @property
    def packages(self) -> tuple[str, ...]:
        """Names of the registered packages, without the built-in ones."""
        return tuple(name for name, _ in self._manager.list_name_plugin() if name not in self._builtin)

    def register(self, implementations: object, name: str, *, builtin: bool = False) -> None:
        """Add the implementations of a module or object.

        Args:
            implementations: What holds functions marked with `hookimpl`.
            name: The package's name in logs and findings.
            builtin: Trusted: it is called on the caller's thread and has no deadline.

        Raises:
            BadInput: A hook is unknown, a wrapper, or asks for arguments that its hook does not have.
        """
        self._check(implementations, name)
        try:
            self._manager.register(implementations, name)
        except (PluginValidationError, ValueError) as problem:
            raise BadInput(f"hooks of {name} are refused: {problem}", code="hook-signature") from None
        if builtin:
            self._builtin.add(name)

    def _check(self, implementations: object, name: str) -> None:
        for attribute in dir(implementations):
            options = self._manager.parse_hookimpl_opts(implementations, attribute)
            if options is None:
                continue
            hook = options.get("specname") or attribute
            if not hasattr(HookSpecs, hook):
                known = [known for known in vars(HookSpecs) if known.startswith("iocmng_")]
                text = f"{name} implements {hook!r}, which is no hook"
                raise BadInput(text, hint=did_you_mean(hook, known), code="hook-unknown")
            if options.get("wrapper") or options.get("hookwrapper"):
                hint = "the host calls each implementation alone; drop the option"
                raise BadInput(f"{name}: {hook} is a wrapper", hint=hint, code="hook-wrapper")

    def load(self, environment: Environment | None = None, *, judge: Judge | None = None) -> None:
        """Register what distributions advertise in the entry-point group `iocmng.hooks`; never raises.

        Args:
            environment: The distributions; this interpreter's when None.
            judge: Looks at (name, target) in a child process first; one with an error is not imported here.
        """
        for _, distribution in sorted((environment or Environment.read()).installed.items()):
            for name, point in distribution.points(HOOKS):
                self._load(f"{distribution.name}:{name}", point, judge)

    def _load(self, name: str, point: EntryPoint | str, judge: Judge | None) -> None:
        if isinstance(point, str):
            self._report("hook-load", name, point)
            return
        try:
            judged = judge(name, point.value) if judge else ()
            if refused := "; ".join(one.message for one in judged if one.level is Level.ERROR):
                self._report("hook-load", name, refused)
                return
            implementations: object = import_module(point.module)
            for part in point.attr.split(".") if point.attr else ():
                implementations = getattr(implementations, part)
            if inspect.isclass(implementations):
                implementations = implementations()
            self.register(implementations, name)
        except BadInput as refusal:
            self._report(refusal.error_code, name, refusal.detail, refusal.hint)
        except (Exception, SystemExit) as problem:  # noqa: BLE001 - a border: importing foreign code
            _log.warning("hooks of %s cannot be loaded", name, exc_info=True)
            text = f"cannot be loaded: {type(problem).__name__}: {problem}"
            self._report("hook-load", name, text)

    def call(self, hook: str, **arguments: object) -> list[Answer]:
        """Call every implementation and wait for the answers, in pluggy's order (last registered first).

        Args:
            hook: The hook's name.
            arguments: All arguments of the hook by name.
        """
        answers: list[Answer] = []
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            value = self._call_one(hook, implementation, arguments)
            if value is not None:
                answers.append(Answer(implementation.plugin_name, value))
        return answers

    def _call_one(self, hook: str, implementation: pluggy.HookImpl, arguments: Mapping[str, object]) -> Any:
        name = implementation.plugin_name
        given = [arguments[argument] for argument in implementation.argnames]
        try:
            if name in self._builtin:
                return implementation.function(*given)
            function = implementation.function
            return self._thread.run((name, hook), lambda: _listed(function(*given)), self._deadline)
        except Overdue as overdue:
            _log.error("hook %s of %s: %s", hook, name, overdue)
            self._count(hook, name, str(overdue))
        except (Exception, SystemExit) as problem:  # noqa: BLE001 - a border: foreign code
            _log.error("hook %s of %s failed", hook, name, exc_info=problem)
            self._count(hook, name, f"{type(problem).__name__}: {problem}")
        return None

    def _count(self, hook: str, name: str, text: str) -> None:
        with self._lock:
            self._failures[name] += 1
        self._report("hook-failed", name, f"{hook}: {text}")

    def _report(self, code: str, name: str, text: str, hint: str = "") -> None:
        with self._lock:
            message = f"hooks of {name}: {text}"
            self._problems[name] = Finding(Level.WARNING, code, message, Where(key=name), hint)

    def has(self, hook: str) -> bool:
        """Whether anything implements a hook."""
        return bool(getattr(self._manager.hook, hook).get_hookimpls())

    def publish(self, hook: str, **arguments: object) -> None:
        """Have every implementation called later, in the order of the calls; returns at once. Any thread."""
        if self.has(hook):
            self._events.put(hook, arguments)

    def _notify(self, hook: str, arguments: Mapping[str, object]) -> None:
        self.call(hook, **arguments)

    def close(self, timeout: float = 1.0) -> None:
        """Call what was published, at most `timeout` seconds long, and let the threads end."""
        self._events.close(timeout)
        self._thread.close()


def _listed(value: Any) -> Any:
    """Run a generator to its end where the deadline and the border are, not where its items are used."""
    return list(value) if inspect.isgenerator(value) else value
