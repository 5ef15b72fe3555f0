"""Functions that packages add to the expressions of rules and transforms."""

from __future__ import annotations

from collections.abc import Mapping

from iocmng.logic.functions import BUILTIN_FUNCTIONS, register
from iocmng.plugins.hooks import Hooks

HOOK = "iocmng_functions"


def register_functions(hooks: Hooks) -> None:
    """Register what `iocmng_functions` gives; a function that is refused costs only itself."""
    owners: dict[str, str] = {}
    for answer in reversed(hooks.call(HOOK)):
        if not isinstance(answer.value, Mapping):
            text = f"gave a {type(answer.value).__name__}; it is to give functions by name"
            hooks.complain(HOOK, answer.plugin, text)
            continue
        for name, function in answer.value.items():
            if problem := _refusal(name, owners):
                hooks.complain(HOOK, answer.plugin, problem)
                continue
            try:
                register(name, function)
            except (TypeError, ValueError) as error:
                hooks.complain(HOOK, answer.plugin, str(error))
            else:
                owners[name] = answer.plugin


def _refusal(name: object, owners: Mapping[str, str]) -> str:
    if not isinstance(name, str):
        return f"function name {name!r} is no text"
    if name in BUILTIN_FUNCTIONS:
        return f"function {name!r} is a built-in one, which no package replaces"
    if name in owners:
        return f"function {name!r} is that of {owners[name]} already"
    return ""
