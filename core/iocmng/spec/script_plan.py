"""The `script` of a config becomes a ScriptSpec, with what is wrong about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath

from iocmng.config.models import PluginConfig, Script, ScriptArgument
from iocmng.spec.problem import Problem
from iocmng.spec.script import EXTRA, NAME, PATH, ArgumentSpec, ScriptSpec
from iocmng.wire import Level

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_OWN = "IOCMNG_"


def script_spec(config: PluginConfig) -> tuple[ScriptSpec | None, tuple[Problem, ...]]:
    """Describe a config's script, None when it has none; its `root` is not known yet."""
    script = config.script
    if script is None:
        return None, ()
    problems = [*_which(script), *_environment(script), *_names(config, script)]
    arguments = []
    for index, argument in enumerate(script.args):
        described, more = _argument(argument, index)
        arguments.append(described)
        problems += more
    described_script = ScriptSpec(
        path=script.path,
        path_parameter=script.path_parameter,
        interpreter=script.interpreter,
        argv=script.argv,
        cwd=script.cwd,
        extra_args=script.extra_args,
        args=tuple(arguments),
        env=script.env,
        log=script.log,
        stop_grace=script.stop_grace,
        status_udp=script.status_udp,
    )
    return described_script, tuple(problems)


def _error(message: str, *path: str | int, hint: str = "", level: Level = Level.ERROR) -> Problem:
    return Problem(level, "script", message, ("script", *path), hint)


def _which(script: Script) -> Iterator[Problem]:
    if script.path is None and not script.path_parameter and not script.argv:
        hint = "add path: scripts/NAME.py, or path_parameter: true"
        yield _error("it names no script to run", hint=hint)
    if script.path is not None and (problem := _path_problem(script.path)):
        yield _error(f"path: {problem}", "path", hint="name a file beside config.yaml, or an absolute path")
    if script.argv and "interpreter" in script.model_fields_set:
        text = "argv takes the place of interpreter: both are given"
        yield _error(text, "interpreter", hint="remove one of them", level=Level.WARNING)
    for index, word in enumerate(script.argv):
        if "\0" in word:
            yield _error("a command line holds no NUL", "argv", index)


def _path_problem(path: str) -> str:
    if "\0" in path:
        return "a path holds no NUL"
    if ".." in PurePath(path).parts:
        return f"{path!r} has '..' in it"
    return ""


def _environment(script: Script) -> Iterator[Problem]:
    for name, value in script.env.items():
        if not _VARIABLE.match(name):
            yield _error(f"env: {name!r} is no name of a variable", "env", name)
        elif name.startswith(_OWN):
            yield _error(f"env: {name} belongs to the host", "env", name, hint=f"no name begins with {_OWN}")
        elif "\0" in value:
            yield _error(f"env: {name} holds a NUL", "env", name)


def _names(config: PluginConfig, script: Script) -> Iterator[Problem]:
    seen: set[str] = set()
    taken = {EXTRA: script.extra_args, PATH: script.path_parameter}
    for index, argument in enumerate(script.args):
        name = argument.name
        if not NAME.match(name):
            text = f"argument {name!r}: a name begins with a letter and has letters, digits, - and _"
            yield _error(text, "args", index, "name")
        elif taken.get(name):
            yield _error(f"argument {name!r} has a name that requests use otherwise", "args", index, "name")
        elif name in seen:
            yield _error(f"two arguments are called {name!r}", "args", index, "name", hint="rename one")
        seen.add(name)
    for name in config.arguments.inputs:
        if taken.get(name):
            text = f"input {name!r} has a name that requests use otherwise"
            yield Problem(Level.ERROR, "script", text, ("arguments", "inputs", name), "rename it", True)
        elif name not in seen and name.lower() in seen:
            text = f"input {name!r} and argument {name.lower()!r} are two arguments of the script"
            hint = f"call the argument {name!r}, if the input is to give it"
            yield Problem(Level.NOTE, "script", text, ("arguments", "inputs", name), hint, True)


def _argument(argument: ScriptArgument, index: int) -> tuple[ArgumentSpec, list[Problem]]:
    problems = []
    if argument.positional and argument.type == "bool":
        text = f"argument {argument.name!r}: a bool is a flag and cannot be positional"
        problems.append(_error(text, "args", index, "positional"))
    if argument.required and argument.default is not None:
        text = f"argument {argument.name!r} is required and has a default"
        problems.append(_error(text, "args", index, "required", hint="remove one", level=Level.WARNING))
    described = ArgumentSpec(
        name=argument.name,
        type=argument.type,
        description=argument.description,
        positional=argument.positional,
        required=argument.required,
    )
    default = argument.default
    if default is not None:
        try:
            default = described.convert(default)
        except ValueError as error:
            problems.append(_error(f"default of {error}", "args", index, "default"))
    return replace(described, default=default), problems
