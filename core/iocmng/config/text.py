"""What EPICS accepts as text in a record."""

from __future__ import annotations

MAX_DESCRIPTION = 40
MAX_UNIT = 15
MAX_STATE = 25
MAX_STATES = 16
MAX_ELEMENT = 39


def text_problem(text: str, *, longest: int | None = None, lines: bool = False) -> tuple[str, str] | None:
    """Say why EPICS cannot hold `text`, as (code, message), or None.

    Args:
        text: The text.
        longest: Most bytes in UTF-8, None for no limit.
        lines: Whether newlines and tabs are allowed.
    """
    if "$(" in text or "${" in text:
        return "macro", f"{text!r} holds '$(' or '${{', which EPICS takes for a macro"
    if any((ord(char) < 32 and not (lines and char in "\n\t")) or ord(char) == 127 for char in text):
        return "text", f"{text!r} holds a control character"
    size = len(text.encode("utf-8", "surrogatepass"))
    if longest is not None and size > longest:
        return "too-long", f"{text!r} has {size} bytes, at most {longest} fit"
    return None
