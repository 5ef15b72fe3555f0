"""Environment variables: `.env` files, `${VAR}` in texts, and what their texts mean."""

from __future__ import annotations

import re
from collections.abc import Mapping

from iocmng.errors import BadInput

_REFERENCE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)\Z")
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Replace `${VAR}` and `${VAR:-default}`; a default also stands in for an empty variable.

    Raises:
        ValueError: A variable without default is not set, or a `${` that is no such reference.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        found = environ.get(name)
        if default is not None:
            return found or default
        if found is None:
            raise ValueError(f"environment variable {name} is not set, and ${{{name}}} has no default")
        return found

    if "${" in _REFERENCE.sub("", text):
        raise ValueError(f"{text!r}: write ${{NAME}} or ${{NAME:-default}}")
    return _REFERENCE.sub(value, text)


def read_dotenv(text: str, file: str) -> dict[str, str]:
    """Read the lines `NAME=value` of a `.env` file; quotes around a value are taken off, `#` is a comment.

    Raises:
        BadInput: A line is none of that; names file and line.
    """
    found: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise BadInput(
                f"{file}:{number}:1: {line.split('=')[0][:20]!r} is no NAME=value", hint="correct the line"
            )
        found[match["name"]] = _unquoted(match["value"].strip(), f"{file}:{number}:1")
    return found


def _unquoted(value: str, place: str) -> str:
    if value[:1] in ("'", '"'):
        end = value.find(value[0], 1)
        if end < 0:
            raise BadInput(f"{place}: a quote is not closed", hint="close it")
        return value[1:end]
    return re.split(r"\s#", value, maxsplit=1)[0].strip()


def read_flag(name: str, text: str) -> bool:
    """Read a truth value from an environment variable.

    Raises:
        BadInput: It is none.
    """
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise BadInput(f"{name}={text!r} is neither true nor false", hint=f"set {name}=true or {name}=false")


def read_port(name: str, text: str) -> int:
    """Read a TCP port from an environment variable.

    Raises:
        BadInput: It is none.
    """
    if text.strip().isdigit() and int(text) <= 65535:
        return int(text)
    raise BadInput(f"{name}={text!r} is no port number", hint="give 0 to 65535")
