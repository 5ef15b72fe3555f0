"""What a script reports besides its output: JSON lines on a pipe, or the datagrams of the publisher."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from iocmng.wire.finite import nonfinite

MAX_BYTES = 64_000
MAX_FILES = 1000
MAX_COMPLAINTS = 20


class Reports:
    """Takes reports and passes on what they say; one thread.

    Attributes:
        lost: Messages of publishers that never arrived, by their sequence numbers.
    """

    def __init__(
        self,
        *,
        progress: Callable[[float, str], None],
        gather: Callable[[Mapping[str, Any]], None],
        say: Callable[[str, str], None],
    ) -> None:
        """Pass progress (0 to 1, or NaN, and a message), data, and log lines (level name, text) on.

        `gather` raises ValueError or TypeError for data that is refused.
        """
        self._progress = progress
        self._gather = gather
        self._say = say
        self._files: list[Any] = []
        self._latest: dict[tuple[str, str, str], int] = {}
        self._complaints = 0
        self.lost = 0

    def line(self, raw: bytes) -> None:
        """One line of the pipe: progress, message and data of its own, or a message of the publisher's form."""
        plain = self._parsed(raw, "progress line")
        if plain is None:
            return
        if "type" in plain:
            self._message(plain)
            return
        fraction, message = plain.get("progress"), plain.get("message", "")
        if fraction is not None and (isinstance(fraction, bool) or not isinstance(fraction, (int, float))):
            self.complain(f"progress is a number from 0 to 1, got {fraction!r}")
            fraction = None
        if (data := plain.get("data")) is not None:
            self._data(data)
        if fraction is not None or message:
            self._progress(math.nan if fraction is None else float(fraction), str(message))

    def datagram(self, raw: bytes, wanted: str) -> None:
        """One datagram of a publisher whose id is `wanted`; those of others are not for this run."""
        plain = self._parsed(raw, "datagram")
        if plain is None or str(plain.get("id", "")) != wanted:
            return
        self._count(plain)
        self._message(plain)

    def _count(self, plain: Mapping[str, Any]) -> None:
        number = plain.get("seq_no")
        if not isinstance(number, int):
            return
        source = (str(plain.get("host")), str(plain.get("id")), str(plain.get("script")))
        before = self._latest.get(source)
        self._latest[source] = number
        # A lower number is a publisher that was made anew, not one that lost something.
        if before is not None and number > before + 1:
            self.lost += number - before - 1

    def _message(self, plain: Mapping[str, Any]) -> None:
        kind, payload = plain.get("type"), plain.get("payload")
        match kind:
            case "session_data":
                self._data(payload)
            case "general":
                self._data({"general": payload})
            case "data_file":
                self._files = [*self._files, payload][-MAX_FILES:]
                self._data({"files": self._files})
            case "session_log":
                text = _words(payload)
                self._say("INFO", text)
                self._progress(math.nan, text)
            case "log":
                self._say("INFO", _words(payload))
            case "start" | "stop":
                self._say("DEBUG", f"{plain.get('script', 'script')}: {kind}")
            case "backend_error":
                self._say("WARNING", _words(payload))
            case _:
                self.complain(f"unknown type {kind!r}")

    def _data(self, data: Any) -> None:
        if not isinstance(data, dict):
            self.complain(f"data is a mapping, got {type(data).__name__}")
            return
        try:
            self._gather(data)
        except (ValueError, TypeError) as error:
            self.complain(str(error))

    def _parsed(self, raw: bytes, what: str) -> dict[str, Any] | None:
        if len(raw) > MAX_BYTES:
            self.complain(f"a {what} has at most {MAX_BYTES} bytes, got {len(raw)}")
            return None
        try:
            plain = json.loads(raw, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            self.complain(f"{what} is no JSON: {error}")
            return None
        if not isinstance(plain, dict):
            self.complain(f"a {what} is a JSON object, got {type(plain).__name__}")
            return None
        if found := nonfinite(plain, what):
            self.complain(found)
            return None
        return plain

    def complain(self, problem: str) -> None:
        """Say that a report was refused, as often as anybody reads it."""
        self._complaints += 1
        if self._complaints <= MAX_COMPLAINTS:
            more = "; further ones are not told" if self._complaints == MAX_COMPLAINTS else ""
            self._say("WARNING", f"report refused: {problem}{more}")


def split_lines(rest: bytes, chunk: bytes) -> tuple[list[bytes], bytes]:
    """Complete lines, and what is left; a line that grows beyond the bound is given back as far as it got."""
    *lines, rest = (rest + chunk).split(b"\n")
    if len(rest) > 2 * MAX_BYTES:
        # Not kept for ever: it is refused for its length, and so is what comes of it.
        lines.append(rest)
        rest = b""
    return [line for line in lines if line.strip()], rest


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


def _words(payload: Any) -> str:
    if isinstance(payload, dict) and "message" in payload:
        payload = payload["message"]
    return payload if isinstance(payload, str) else json.dumps(payload)
