"""What a plugin of iocmng 2 does differently here: found in its config and code, with the place of each."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from iocmng.config import LoadedConfig, PluginConfig, load_config
from iocmng.config.ports import InputPort, OutputPort
from iocmng.errors import IocmngError
from iocmng.plugins.classfinder import read_source
from iocmng.plugins.location import CONFIG_NAMES
from iocmng.values import PortType
from iocmng.wire import Finding, Level, Where

CHANGED = "changed"
_LISTS = re.compile(r"\b(any_of|all_of|count_true)\s*\(([^()]*)\)")
_GONE_MODULES = (
    "iocmng.core.controller",
    "iocmng.core.loader",
    "iocmng.core.validator",
    "iocmng.core.plugin_spec",
)


def differences(folder: Path, modules: Iterable[str] = ()) -> tuple[Finding, ...]:
    """What the plugin directory `folder` does differently than under iocmng 2; notes, and warnings to act upon.

    What the previous system accepted and this one refuses is validation's to say, not repeated here.

    Args:
        folder: The plugin directory.
        modules: Files of its code that are read, relative to it; every `.py` at its top by default.
    """
    found: list[Finding] = []
    config = next((folder / name for name in CONFIG_NAMES if (folder / name).is_file()), None)
    if config is not None:
        try:
            loaded = load_config(config, lenient=True)
        except IocmngError:
            # Validation says what is wrong with it.
            loaded = None
        if loaded is not None and loaded.config is not None:
            found += _of_config(loaded, loaded.config)
    names = sorted(modules) or sorted(path.name for path in folder.glob("*.py"))
    for name in names:
        found += _of_code(folder / name)
    return tuple(found)


def _note(message: str, where: Where, hint: str = "", *, act: bool = False) -> Finding:
    return Finding(Level.WARNING if act else Level.NOTE, CHANGED, message, where, hint)


def _of_config(loaded: LoadedConfig, config: PluginConfig) -> Iterator[Finding]:
    at = loaded.locate
    parameters = config.parameters
    has_logic = bool(config.rules or config.transforms)
    if parameters.mode == "continuous" and "interval" in parameters.model_fields_set:
        text = (
            f"interval is a rate: a cycle begins every {parameters.interval:g} s, however long the code takes"
        )
        yield _note(text, at("parameters", "interval"), "cycles that take longer are counted in OVERRUNS")
    if parameters.mode == "reactive":
        text = "a reactive task evaluates at its start too, and when a set-point is written"
        yield _note(text, at("parameters", "mode"))
    for name, port in config.arguments.inputs.items():
        yield from _of_input(name, port, loaded, used=has_logic)
    for name, output in config.arguments.outputs.items():
        yield from _of_output(name, output, loaded)
    for index, rule in enumerate(config.rules):
        if rule.actuators:
            text = (
                f"rule {rule.id} writes {', '.join(rule.actuators)} when it becomes active, not in each cycle"
            )
            hint = "repeat: SECONDS writes again while it is active"
            yield _note(text, at("rules", index, "actuators"), hint)
    if config.rules:
        text = "a rule whose inputs are disconnected, INVALID or not yet known is unknown, not false"
        yield _note(text, at("rules"), "on_invalid: hold | trip | ignore says what it does then")
    if has_logic and config.rule_defaults:
        text = (
            "an output is written once per evaluation, with its final value; defaults are not written first"
        )
        yield _note(text, at("rule_defaults"))
    arrays = {
        name
        for ports in (config.arguments.inputs, config.arguments.outputs)
        for name, port in ports.items()
        if port.type is PortType.ARRAY
    }
    yield from _of_expressions(loaded, config, arrays)


def _of_input(name: str, port: InputPort, loaded: LoadedConfig, *, used: bool) -> Iterator[Finding]:
    path = ("arguments", "inputs", name)
    both = port.low is not None and port.high is not None
    if port.link is None and both and port.clamp and "clamp" not in port.model_fields_set:
        text = f"{name}: what clients write is limited to {port.low:g} … {port.high:g}"
        yield _note(
            text, loaded.locate(*path, "low"), "clamp: false makes low and high a display range again"
        )
    if port.link is None and "value" not in port.model_fields_set and used:
        text = f"{name} is unknown until somebody writes it; it was 0"
        yield _note(text, loaded.locate(*path), "give it a value", act=True)
    if port.link is not None and "value" in port.model_fields_set:
        text = f"{name}: value of a linked input is not taken as a reading"
        yield _note(text, loaded.locate(*path, "value"))


def _of_output(name: str, port: OutputPort, loaded: LoadedConfig) -> Iterator[Finding]:
    path = ("arguments", "outputs", name)
    if name == "SYS_CONN":
        text = "nothing writes SYS_CONN any more"
        yield _note(text, loaded.locate(*path), "read DEGRADED, CONN_INP and CONN_OUT instead", act=True)
    if port.latch:
        text = f"{name}: CLEAR does not release a latch whose cause is still there, and a restart keeps it"
        yield _note(text, loaded.locate(*path, "latch"))


def _of_expressions(loaded: LoadedConfig, config: PluginConfig, arrays: set[str]) -> Iterator[Finding]:
    texts = [(("rules", index, "condition"), rule.condition) for index, rule in enumerate(config.rules)]
    texts += [
        (("transforms", index, "expression"), one.expression) for index, one in enumerate(config.transforms)
    ]
    for path, text in texts:
        for match in _LISTS.finditer(text):
            words = set(re.findall(r"[A-Za-z_]\w*", match[2]))
            if "[" in match[2] or words & arrays or any(word.endswith("_buf") for word in words):
                message = f"{match[1]} counts a list or array by its elements"
                yield _note(message, loaded.locate(*path))


def _of_code(file: Path) -> Iterator[Finding]:
    tree, problems = read_source(file)
    if tree is None or problems:
        return
    # Once per file and kind: a list of forty sleeps helps nobody.
    seen: set[str] = set()
    for node in ast.walk(tree):
        for kind, finding in _of_node(node, file):
            if kind not in seen:
                seen.add(kind)
                yield finding


def _of_node(node: ast.AST, file: Path) -> Iterator[tuple[str, Finding]]:
    def place() -> Where:
        return Where(str(file), getattr(node, "lineno", 0), getattr(node, "col_offset", -1) + 1)

    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        if called == "time.sleep":
            text = "time.sleep() does not end when the task is stopped"
            yield called, _note(text, place(), "self.sleep(), which gives False when it is time to leave")
        elif called in _CALLS:
            text, hint = _CALLS[called]
            yield called, _note(text, place(), hint, act=True)
    elif isinstance(node, ast.Constant) and node.value == "SYS_CONN":
        text = "SYS_CONN is gone"
        yield "SYS_CONN", _note(text, place(), "read DEGRADED, CONN_INP and CONN_OUT instead", act=True)
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        modules = (
            [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        )
        for module in modules:
            for prefix, (text, hint) in _IMPORTS.items():
                if module == prefix or module.startswith(f"{prefix}."):
                    yield prefix, _note(text, place(), hint, act=True)


_CALLS: Mapping[str, tuple[str, str]] = {
    "cothread.Sleep": (
        "cothread calls run on a thread of their own only where that is asked for",
        "add engine: cothread to config.yaml",
    ),
}
_IMPORTS: Mapping[str, tuple[str, str]] = {
    "cothread": ("code that calls cothread needs its scheduler", "add engine: cothread to config.yaml"),
    "softioc": ("records are the host's: none can be made by a plugin", "declare ports in config.yaml"),
    **{name: (f"{name} is gone", "use the HTTP API, or iocmng.client") for name in _GONE_MODULES},
}


GENERAL = (
    "the admin endpoint listens on 127.0.0.1, and whatever changes something needs a role",
    "a request that fails is answered with a 4xx, not with 200 and ok: false",
    "MESSAGE is a long string: CA clients get 39 characters of it, and all of MESSAGE.VAL$",
    "outputs are read-only for clients, and INVALID while their task does not run",
    "a task that fails starts again, with a delay that doubles; supervision: {restart: no} keeps it down",
    "iocmng-run adds the instance's segment to PV names; --flat serves them as before",
)
"""What is different for every plugin."""
