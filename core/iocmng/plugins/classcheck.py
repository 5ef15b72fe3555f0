"""What a plugin's class must be: its base, no abstract method, the methods of its mode, its constructor."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from iocmng.base import DeclarativeTask, JobBase, ScriptJob, TaskBase
from iocmng.names import did_you_mean
from iocmng.spec import Kind, Mode
from iocmng.wire import Finding, Level, Where

OFFERED = frozenset(
    {"name", "parameters", "pv_definitions", "beamline_config", "ophyd_devices", "prefix", "plugin_prefix"}
)
"""Constructor arguments that `iocmng.base.make` hands over when they are asked for."""

_METHODS = {
    Kind.TASK: ("initialize", "execute", "triggered", "cleanup", "health", "metrics"),
    Kind.JOB: ("initialize", "execute"),
}
_KINDS = inspect.Parameter
_REQUIRED = (_KINDS.POSITIONAL_ONLY, _KINDS.POSITIONAL_OR_KEYWORD, _KINDS.KEYWORD_ONLY)


def kind_of(cls: type) -> Kind | None:
    """Whether a class is a task or a job, None for neither."""
    try:
        return Kind(getattr(cls, "_iocmng_kind", ""))
    except ValueError:
        return None


def check_class(cls: type) -> Iterator[Finding]:
    """Yield what is wrong with a plugin's class, whatever its mode."""
    name = cls.__name__
    kind = kind_of(cls)
    if kind is None:
        bases = ", ".join(base.__name__ for base in cls.__mro__[1:-1]) or "nothing"
        text = f"class {name} derives from {bases}, neither from TaskBase nor from JobBase"
        hint = f"write 'class {name}(TaskBase):' after 'from iocmng import TaskBase'"
        yield _error("base-class", text, cls, hint=hint)
        return
    if cls in (TaskBase, JobBase):
        yield _error("base-class", f"{name} itself is no plugin", cls, hint="derive a class from it")
        return
    if missing := sorted(getattr(cls, "__abstractmethods__", ())):
        text = f"class {name} does not implement {', '.join(missing)}"
        yield _error("abstract-method", text, cls, hint="write the abstract methods of its bases")
    for method in _METHODS[kind]:
        yield from _check_method(cls, method)
    if kind is Kind.TASK:
        yield from _check_listener(cls)
    yield from _check_constructor(cls)


def _check_listener(cls: type) -> Iterator[Finding]:
    listener: Any = getattr(cls, "on_input_changed", None)
    if not callable(listener):
        return
    try:
        inspect.signature(listener).bind(None, "key", 0, 0)
    except TypeError:
        text = f"{cls.__name__}.on_input_changed does not take key, value and old_value"
        hint = "write 'def on_input_changed(self, key, value, old_value):'"
        yield _error("signature", text, cls, listener, hint=hint)
    except ValueError:
        return  # written in C, and Python does not know what it takes


def _check_method(cls: type, method: str) -> Iterator[Finding]:
    function = getattr(cls, method)
    if not callable(function):
        text = f"{cls.__name__}.{method} is a {type(function).__name__}, not a method"
        yield _error("signature", text, cls)
        return
    static = inspect.getattr_static(cls, method)
    given = 0 if isinstance(static, staticmethod | classmethod) else 1
    arguments = _arguments(function)
    if needed := [name for name, parameter in arguments[given:] if _is_required(parameter)]:
        text = f"{cls.__name__}.{method} needs {', '.join(needed)}; the host calls it without arguments"
        hint = "take values from self.parameters or self.get_pv()"
        yield _error("signature", text, cls, function, hint=hint)
    elif given and not arguments:
        text = f"{cls.__name__}.{method} takes no argument, not even self"
        yield _error("signature", text, cls, function, hint=f"write 'def {method}(self):'")


def _check_constructor(cls: type) -> Iterator[Finding]:
    constructor: Any = inspect.getattr_static(cls, "__init__")
    for name, parameter in _arguments(constructor)[1:]:
        if _is_required(parameter) and (name not in OFFERED or parameter.kind is parameter.POSITIONAL_ONLY):
            text = f"{cls.__name__}.__init__ needs {name!r}, which the host does not hand over"
            hint = f"give it a default, or work in initialize(); on offer: {', '.join(sorted(OFFERED))}"
            yield _error("constructor", text, cls, constructor, hint=hint)


def _arguments(function: Any) -> list[tuple[str, inspect.Parameter]]:
    try:
        return list(inspect.signature(function).parameters.items())
    except (TypeError, ValueError):
        return [("self", _KINDS("self", _KINDS.POSITIONAL_OR_KEYWORD))]


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind in _REQUIRED


def check_mode(cls: type, mode: Mode, *, rules: bool = False) -> Iterator[Finding]:
    """Yield what a class lacks for a mode (of a job: for any).

    Args:
        cls: The class.
        mode: What makes it run.
        rules: Its config has transforms or rules, which may be all that a reactive task has.
    """
    name = cls.__name__
    if kind_of(cls) is Kind.JOB:
        if cls.execute is JobBase.execute:  # type: ignore[attr-defined]
            text = f"job {name} has no execute()"
            yield _error("method-missing", text, cls, hint="write 'def execute(self):'")
        return
    if not issubclass(cls, TaskBase) or issubclass(cls, DeclarativeTask):
        return
    executes = cls.execute is not TaskBase.execute
    if mode is Mode.REACTIVE and not rules and cls.on_input_changed is TaskBase.on_input_changed:
        text = f"reactive task {name} has no on_input_changed(), and its config no rules"
        hint = "write 'def on_input_changed(self, key, value, old_value):'"
        yield _error("method-missing", text, cls, hint=hint)
    elif mode is Mode.CONTINUOUS and not executes:
        hint = "write 'def execute(self):'"
        if cls.triggered is not TaskBase.triggered:
            hint = "write it, or set parameters.mode to triggered"
        yield _error("method-missing", f"continuous task {name} has no execute()", cls, hint=hint)
    elif mode is Mode.TRIGGERED and not executes and cls.triggered is TaskBase.triggered:
        text = f"triggered task {name} has neither triggered() nor execute()"
        yield _error("method-missing", text, cls, hint="write 'def triggered(self):'")


def check_script(cls: type, *, script: bool) -> Iterator[Finding]:
    """Yield what is wrong between a job's class and whether its config has a script."""
    if kind_of(cls) is not Kind.JOB or issubclass(cls, ScriptJob) == script:
        return
    name = cls.__name__
    if script:
        text = f"the config has script:, and {name} is no ScriptJob: nothing would run it"
        yield _error("script", text, cls, hint=f"write 'class {name}(ScriptJob):', or remove script:")
    else:
        text = f"{name} is a ScriptJob, and the config has no script:"
        yield _error("script", text, cls, hint="add script: {path: scripts/NAME.py} to config.yaml")


def check_handshake(
    cls: type, prefixes: Mapping[str, str] | None, records: Mapping[str, str]
) -> Iterator[Finding]:
    """Yield what is wrong between a task's class and its config's handshake.

    Args:
        cls: The class.
        prefixes: Those of the handshake, None when the config has none.
        records: Its templates of PV names.
    """
    if kind_of(cls) is not Kind.TASK:
        return
    name, problems = cls.__name__, getattr(cls, "_iocmng_problems", None)
    if problems is None and prefixes is not None:
        text = f"the config has handshake:, and {name} is no BridgeTask: nothing would answer the trigger"
        yield _error("handshake", text, cls, hint=f"write 'class {name}(BridgeTask):', or remove handshake:")
    elif problems is not None and prefixes is None:
        text = f"{name} is a bridge task, and the config has no handshake:"
        yield _error("handshake", text, cls, hint='add handshake: {prefixes: {main: "IOC:"}} to config.yaml')
    elif problems is not None:
        for text, hint in problems(prefixes, records):
            yield _error("handshake", text, cls, hint=hint)


_READS = frozenset({"get_pv", "get_input", "get_output"})
_WRITES = frozenset({"set_pv", "set_input", "set_output"})


def check_script_file(path: str | None, config: str) -> Iterator[Finding]:
    """Yield that a script is not where a config says, for those that come with the plugin."""
    if path is None or Path(path).is_absolute():
        return
    file = Path(config).parent / path
    if not file.is_file():
        text = f"script.path: there is no file {path} beside {Path(config).name}"
        hint = "put it there; a package has to list it among its data files"
        yield Finding(Level.ERROR, "script", text, Where(config, key="script.path"), hint)


def check_ports(
    cls: type,
    ports: Collection[str],
    defaults: Collection[str],
    *,
    owned: Collection[str] = (),
    linked: Collection[str] = (),
) -> Iterator[Finding]:
    """Yield what a class's own text does to ports by a literal name and cannot.

    Args:
        cls: The class.
        ports: Declared ports.
        defaults: Default PVs.
        owned: Outputs that transforms and rules write.
        linked: Ports that have a link.
    """
    try:
        lines, first = inspect.getsourcelines(cls)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return
    file = str(inspect.getsourcefile(cls) or "")
    for call in ast.walk(tree):
        match call:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="self"), attr=str(method)),
                args=[ast.Constant(value=str(name)), *_],
            ):
                where = Where(file, first + call.lineno - 1, call.col_offset + 1)
                doing = f"{cls.__name__} calls {method}({name!r})"
                if method in _READS | _WRITES and name not in ports and name not in defaults:
                    text, hint = f"{doing}, and no such port is declared", did_you_mean(name, ports)
                    yield Finding(Level.WARNING, "undeclared-port", text, where, hint)
                elif method in _WRITES and name in owned:
                    text = f"{doing}, and transforms or rules write {name} too"
                    yield Finding(
                        Level.WARNING, "two-writers", text, where, "let one of them write another output"
                    )
                elif method == "link_put" and name not in linked:
                    text = f"{doing}, and no port of that name is linked"
                    yield Finding(Level.WARNING, "undeclared-port", text, where, did_you_mean(name, linked))


def _error(code: str, message: str, cls: type, function: object = None, *, hint: str = "") -> Finding:
    return Finding(Level.ERROR, code, message, _where(function if function is not None else cls, cls), hint)


def _where(thing: Any, cls: type) -> Where:
    try:
        file = inspect.getsourcefile(thing) or inspect.getsourcefile(cls) or ""
        line = inspect.getsourcelines(thing)[1]
    except (OSError, TypeError):
        return Where(key=f"{cls.__module__}:{cls.__qualname__}")
    return Where(str(Path(file)), line, 1)
