"""Answers: wire models as JSON that never fails, long lists in slices so that the loop stays free."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from starlette.responses import Response

from iocmng.wire import to_plain

_log = logging.getLogger("iocmng.api")
SLICE = 0.002  # seconds of work after which a long answer gives way to others
MEDIA_TYPE = "application/json"

T = TypeVar("T")


def encode(plain: Any) -> str:
    """JSON of what `to_plain` made; what JSON has no form for (an author's own object) becomes its repr."""
    return json.dumps(plain, default=repr)


def reply(thing: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """One wire model, or a mapping of them."""
    return Response(encode(to_plain(thing)), status, dict(headers or {}), MEDIA_TYPE)


async def listing(
    key: str,
    things: Iterable[T],
    plain: Callable[[T], Any] = to_plain,
    instead: Callable[[T, Exception], Any] | None = None,
) -> Response:
    """A list under `key` with its `count`.

    Args:
        key: Name of the list.
        things: Its members.
        plain: Makes one of them plain.
        instead: Makes something of one that `plain` failed on; without it that one is left out.
    """
    texts = []
    clock = asyncio.get_running_loop().time
    given_way = clock()
    for thing in things:
        try:
            texts.append(encode(plain(thing)))
        except Exception as fault:  # noqa: BLE001 - a border: one broken entry must not cost the list
            _log.exception("an entry of %s cannot be listed", key)
            if instead is not None:
                texts.append(encode(instead(thing, fault)))
        if clock() - given_way > SLICE:
            await asyncio.sleep(0)
            given_way = clock()
    return Response(f'{{"{key}": [{", ".join(texts)}], "count": {len(texts)}}}', media_type=MEDIA_TYPE)
