"""Server-sent events: lines in, messages out; and a stream that comes back after an interruption."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from iocmng.client.transport import Params, Transport
from iocmng.errors import IocmngError, NoHost

FIRST_DELAY = 0.5
LONGEST_DELAY = 10.0


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a stream: its id ("" when it has none), the name of its kind, and the decoded JSON."""

    id: str
    kind: str
    data: Any


def messages(lines: Iterable[str]) -> Iterator[Message]:
    """Decode a stream; comments (heartbeats) and a message cut off at its end are skipped."""
    last_id, kind, data = "", "message", list[str]()
    for line in lines:
        if not line:
            if data:
                yield Message(last_id, kind, json.loads("\n".join(data)))
            kind, data = "message", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            last_id = value
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)


def follow(
    transport: Transport,
    path: str,
    params: Params,
    *,
    patience: float | None = None,
    last_id: str = "",
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Message]:
    """Yield the messages of a stream for ever, connecting again with a growing delay when it breaks.

    Args:
        transport: The host.
        path: Where the stream is.
        params: Its query.
        patience: Seconds without the host after which to give up; None for never. When the first connection
            fails it gives up at once.
        last_id: Where to continue from.
        sleep: Waits between attempts.

    Raises:
        NoHost: It is not there (any more).
        NotAllowed: The role is too low.
        NotFound: The thing to follow is not there.
    """
    connected, delay, lost = False, FIRST_DELAY, 0.0
    while True:
        try:
            headers = {"Last-Event-ID": last_id} if last_id else {}
            with transport.stream(path, params=params, headers=headers) as lines:
                connected, delay, lost = True, FIRST_DELAY, 0.0
                for message in messages(lines):
                    last_id = message.id or last_id
                    yield message
        except IocmngError as error:
            interrupted = isinstance(error, NoHost) or error.error_code in ("timeout", "too-many-streams")
            if not connected or not interrupted:
                raise
            if patience is not None and lost >= patience:
                raise
        sleep(delay)
        lost += delay
        delay = min(2 * delay, LONGEST_DELAY)
