"""Calling hooks: every implementation by itself, in its package's hook thread, with a deadline."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pluggy
from importlib_metadata import EntryPoint
from pluggy import PluginValidationError

from iocmng.errors import BadInput
from iocmng.names import did_you_mean
from iocmng.plugins.environment import Environment
from iocmng.plugins.hookspecs import PROJECT, HookSpecs, hookimpl, hookspec
from iocmng.plugins.hookthread import Item, Overdue, PackageThread
from iocmng.wire import Finding, Level, Where

__all__ = ["Answer", "Hooks", "hookimpl", "hookspec"]

HOOKS = "iocmng.hooks"
_log = logging.getLogger("iocmng.hooks")
LOG_PERIOD, LOG_MOST = 60.0, 10
"""Seconds, and how many different failures of one package in one hook are logged in them."""
MOST_TEXTS = 10
Judge = Callable[[str, str], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one implementation returned: its package's name, and the value (never None)."""

    plugin: str
    value: Any


@dataclass(slots=True)
class _Failures:
    """Failures of one package in one hook: all, by the latest few texts, and how many were logged since when."""

    count: int = 0
    texts: dict[str, int] = field(default_factory=dict)
    since: float = 0.0
    logged: int = 0

    def add(self, text: str) -> bool:
        """Count one; return whether it is to be logged."""
        self.count += 1
        self.texts[text] = self.texts.pop(text, 0) + 1
        if len(self.texts) > MOST_TEXTS:
            del self.texts[next(iter(self.texts))]
        # One that fails at every event must not fill the disk with tracebacks.
        now = time.monotonic()
        if now - self.since >= LOG_PERIOD:
            self.since, self.logged = now, 0
        again = self.texts[text] > 1
        self.logged += 1
        return self.logged <= (1 if again else LOG_MOST)


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
        self._threads: dict[str, PackageThread] = {}
        self._known: dict[str, tuple[pluggy.HookImpl, ...]] = {}
        self._lock = threading.Lock()
        self._failures: dict[tuple[str, str], _Failures] = {}
        self._problems: dict[str, Finding] = {}

    @property
    def failures(self) -> Mapping[str, int]:
        """How often implementations of each package failed."""
        counts: dict[str, int] = {}
        with self._lock:
            for (name, _), failures in self._failures.items():
                counts[name] = counts.get(name, 0) + failures.count
        return counts

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many events never reached a package because its hooks are too slow."""
        return {name: thread.dropped for name, thread in self._threads.items() if thread.dropped}

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Packages that could not be loaded, and how those that could have failed."""
        self.look()
        with self._lock:
            found = list(self._problems.values())
            for (name, hook), failures in self._failures.items():
                for text, count in failures.texts.items():
                    often = f" ({count} times)" if count > 1 else ""
                    found.append(_problem("hook-failed", name, f"{hook}: {text}{often}"))
        for name, count in self.dropped.items():
            found.append(_problem("hook-slow", name, f"{count} events were dropped"))
        return tuple(found)

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
        self._threads[name] = PackageThread(name, self._deadline, lambda hook, e: self._failed(hook, name, e))
        self._known.clear()

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

    def call(self, hook: str, *, deadline: float | None = None, **arguments: object) -> list[Answer]:
        """Call every implementation and wait for the answers.

        Args:
            hook: The hook's name.
            deadline: Seconds that all calls together may take; what was given to the constructor when None.
            arguments: All arguments of the hook by name.

        Returns:
            The answers in pluggy's order, the package that was registered last first. Packages work at the
            same time, each in its own thread.
        """
        end = time.monotonic() + (self._deadline if deadline is None else deadline)
        begun = [(one, self._begin(hook, one, arguments)) for one in self._implementations(hook)]
        answers: list[Answer] = []
        for implementation, item in begun:
            value = self._end(hook, implementation.plugin_name, item, end)
            if value is not None:
                answers.append(Answer(implementation.plugin_name, value))
        return answers

    def _implementations(self, hook: str) -> tuple[pluggy.HookImpl, ...]:
        if hook not in self._known:
            self._known[hook] = tuple(reversed(getattr(self._manager.hook, hook).get_hookimpls()))
        return self._known[hook]

    def _begin(
        self, hook: str, implementation: pluggy.HookImpl, arguments: Mapping[str, object]
    ) -> Item | None:
        name = implementation.plugin_name
        call = _bound(implementation, arguments)
        try:
            if name not in self._builtin:
                return self._threads[name].submit(hook, call)
        except Overdue as overdue:
            self._failed(hook, name, overdue)
            return None
        answer: Future[Any] = Future()
        try:
            answer.set_result(call())
        except (Exception, SystemExit) as problem:  # noqa: BLE001 - a border: sources read foreign files
            answer.set_exception(problem)
        return Item(hook, call, answer)

    def _end(self, hook: str, name: str, item: Item | None, end: float) -> Any:
        if item is None:
            return None
        try:
            return self._threads[name].result(item, max(0.0, end - time.monotonic()))
        except (Exception, SystemExit) as problem:  # noqa: BLE001 - a border: foreign code
            self._failed(hook, name, problem)
        return None

    def _failed(self, hook: str, name: str, problem: BaseException) -> None:
        text = str(problem) if isinstance(problem, Overdue) else f"{type(problem).__name__}: {problem}"
        self.complain(hook, name, text, problem if not isinstance(problem, Overdue) else None)

    def complain(self, hook: str, name: str, text: str, cause: BaseException | None = None) -> None:
        """Count, show and log that a package's implementation of a hook did something wrong. Any thread."""
        with self._lock:
            failures = self._failures.setdefault((name, hook), _Failures())
            logs, count = failures.add(text), failures.count
        if logs:
            _log.error("hook %s of %s: %s (failure %d)", hook, name, text, count, exc_info=cause)

    def _report(self, code: str, name: str, text: str, hint: str = "") -> None:
        with self._lock:
            self._problems[name] = _problem(code, name, text, hint)

    def has(self, hook: str) -> bool:
        """Whether anything implements a hook."""
        return bool(self._implementations(hook))

    def publish(self, hook: str, **arguments: object) -> None:
        """Have every implementation called later, in the order of the calls; returns at once. Any thread."""
        for implementation in self._implementations(hook):
            self._threads[implementation.plugin_name].put(hook, _bound(implementation, arguments))

    def look(self) -> None:
        """Find calls that hang although nobody waits for them; cheap, to be called now and then."""
        for thread in self._threads.values():
            thread.look()

    def close(self, timeout: float = 1.0) -> None:
        """Call what was published, at most `timeout` seconds long, and let the threads end."""
        end = time.monotonic() + timeout
        for thread in self._threads.values():
            thread.begin_close()
        for thread in self._threads.values():
            thread.close(max(0.0, end - time.monotonic()))


def _bound(implementation: pluggy.HookImpl, arguments: Mapping[str, object]) -> Callable[[], Any]:
    function = implementation.function
    given = [arguments[argument] for argument in implementation.argnames]
    return lambda: _listed(function(*given))


def _problem(code: str, name: str, text: str, hint: str = "") -> Finding:
    return Finding(Level.WARNING, code, f"hooks of {name}: {text}", Where(key=name), hint)


def _listed(value: Any) -> Any:
    """Run a generator to its end where the deadline and the border are, not where its items are used."""
    return list(value) if inspect.isgenerator(value) else value
