"""`KEY=VALUE` words of the command line, turned into what a JSON Schema or a PV asks for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from iocmng.errors import BadInput
from iocmng.wire import PvView

_WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


def split(pairs: Iterable[str]) -> dict[str, str]:
    """Split each `KEY=VALUE` at its first equals sign.

    Raises:
        BadInput: A word has none, or a key comes twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise BadInput(f"{pair!r} is not of the form KEY=VALUE", hint="write for example gain=1.5")
        if key in found:
            raise BadInput(f"{key!r} is given twice: {found[key]!r} and {text!r}", hint="give it once")
        found[key] = text
    return found


def typed(texts: Mapping[str, str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Give each text the type that its property has in `schema`; without one JSON, else text."""
    properties = schema.get("properties", {})
    return {key: _value(text, _types(properties.get(key, {}))) for key, text in texts.items()}


def _types(declared: Mapping[str, Any]) -> set[str]:
    kinds = declared.get("type", [])
    found = set(kinds) if isinstance(kinds, list) else {kinds}
    for alternative in (*declared.get("anyOf", ()), *declared.get("oneOf", ())):
        found |= _types(alternative)
    if "enum" in declared:
        found |= {"string"} if all(isinstance(value, str) for value in declared["enum"]) else set()
    return found


def _value(text: str, types: set[str]) -> Any:
    if types - {"null"} == {"string"}:
        return text
    if "boolean" in types and text.lower() in _WORDS and not (text in "01" and types & {"integer", "number"}):
        return _WORDS[text.lower()]
    try:
        return json.loads(text)
    except ValueError:
        return text


def pv_value(pv: PvView, text: str) -> Any:
    """The value that `text` means for a PV: a number, a state name, a text, or a list for an array.

    Raises:
        BadInput: It does not fit the PV's type.
    """
    try:
        return _READERS[pv.type](pv, text)
    except ValueError:
        wanted = f"one of {', '.join(pv.labels)}" if pv.labels else pv.type
        raise BadInput(f"{pv.name} takes {wanted}, not {text!r}") from None


def loose_value(pv: PvView, text: str) -> Any:
    """The value that `text` means for a PV elsewhere, whose state names and limits are not known here.

    Raises:
        BadInput: It cannot fit the PV's type.
    """
    if pv.type not in ("int", "bool"):
        return pv_value(pv, text) if pv.type else text
    if pv.type == "bool" and text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return int(text, 0)
    except ValueError:
        return text


def _state(pv: PvView, text: str) -> int:
    if text in pv.labels:
        return pv.labels.index(text)
    return int(text)


def _switch(pv: PvView, text: str) -> bool | int:
    if text not in pv.labels and text.lower() in _WORDS:
        return _WORDS[text.lower()]
    return _state(pv, text)


def _array(pv: PvView, text: str) -> list[Any]:
    if text.lstrip().startswith("["):
        value = json.loads(text)
        assert isinstance(value, list)
        return value
    words = text.replace(",", " ").split()
    try:
        return [json.loads(word) for word in words]
    except ValueError:
        return list(words)


_READERS: Mapping[str, Any] = {
    "float": lambda _, text: float(text),
    "int": lambda _, text: int(text, 0),
    "bool": _switch,
    "enum": _state,
    "string": lambda _, text: text,
    "array": _array,
}
