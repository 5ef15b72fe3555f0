"""A script job's script, described once and frozen: what is run, with which arguments, and how it is stopped."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

EXTRA, PATH = "args", "path"
"""Names under which a request adds arguments and names the script, where the config allows it."""

AFTER_GRACE = 7.0
"""Seconds after the grace in which a script that was killed, and its output, have to be at their end."""

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")
_WORDS: Mapping[Callable[..., Any], str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}
_KINDS: Mapping[str, Callable[..., Any]] = {"str": str, "int": int, "float": float, "bool": bool}
_NUMBER = re.compile(r"-\.?[0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentSpec:
    """One argument of a script: `--name value`, the bare value when it is positional, a flag when it is a bool."""

    name: str
    type: str = "str"
    default: Any = None
    description: str = ""
    positional: bool = False
    required: bool = False

    @property
    def kind(self) -> Callable[..., Any]:
        """The Python type of the value, or of a list's elements."""
        return _KINDS[self.type.removesuffix("_list")]

    @property
    def many(self) -> bool:
        """Whether it takes a list."""
        return self.type.endswith("_list")

    def convert(self, value: Any) -> Any:
        """The value as the script is to get it.

        Raises:
            ValueError: It is of another type, no finite number, or a text that would be read as an option.
        """
        if not self.many:
            return _single(self.kind, value, self.name)
        value = value.tolist() if hasattr(value, "tolist") else value
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{self.name}: needs a list of {self.type.removesuffix('_list')}, got {value!r}")
        return [_single(self.kind, one, f"{self.name}[{index}]") for index, one in enumerate(value)]

    def words(self, value: Any) -> list[str]:
        """The words of the command line that hand over a converted value."""
        if self.kind is bool and not self.many:
            return [f"--{self.name}"] if value else []
        texts = [_text(one) for one in value] if self.many else [_text(value)]
        return texts if self.positional else [f"--{self.name}", *texts]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptSpec:
    """A script job's script; see REFERENCE 6 for each key. `root` is the folder that holds the plugin's config."""

    root: str = ""
    path: str | None = None
    path_parameter: bool = False
    interpreter: str = "python"
    argv: tuple[str, ...] = ()
    cwd: str | None = None
    extra_args: bool = False
    args: tuple[ArgumentSpec, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    log: bool | str = True
    stop_grace: float = 5.0
    status_udp: int | None = None

    def argument(self, name: str) -> ArgumentSpec | None:
        """The declared argument, or what a request may add under that name; None for neither."""
        for one in self.args:
            if one.name == name:
                return one
        if name == EXTRA and self.extra_args:
            return ArgumentSpec(name=EXTRA, type="str_list")
        if name == PATH and self.path_parameter:
            return ArgumentSpec(name=PATH)
        return None

    @property
    def names(self) -> tuple[str, ...]:
        """All names that a request may give."""
        more = ((EXTRA, self.extra_args), (PATH, self.path_parameter))
        return (*(one.name for one in self.args), *(name for name, given in more if given))


def _single(kind: Callable[..., Any], value: Any, name: str) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not kind:
        raise ValueError(f"{name}: needs {_WORDS[kind]}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}: needs a finite number, got {value}")
    if isinstance(value, str) and "\0" in value:
        raise ValueError(f"{name}: a command line holds no NUL, got {value!r}")
    if isinstance(value, str) and name.partition("[")[0] != EXTRA and _is_option(value):
        raise ValueError(f"{name}: {value!r} would be read as an option of the script")
    return value


def _is_option(text: str) -> bool:
    return len(text) > 1 and text.startswith("-") and not _NUMBER.match(text)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
