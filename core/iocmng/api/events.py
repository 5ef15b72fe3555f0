"""`GET /events`: what happened, from where a client stopped, without a queue of its own per client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from iocmng.api.streams import message
from iocmng.runtime.events import EventBus
from iocmng.wire import Event

BATCH = 200


async def follow(
    bus: EventBus, boot_id: str, last_id: str, kinds: frozenset[str], instance: str
) -> AsyncGenerator[str, None]:
    """Yield events as messages, from after `last_id` (`<boot id>:<event id>`, "" for from now).

    The bus keeps the latest events for everybody, so a client is only a position in it: a slow one costs no
    memory. When it falls behind what is kept, or comes from an earlier boot, a message of kind `gap` says so.
    """
    loop = asyncio.get_running_loop()
    wake, signalled = asyncio.Event(), False

    def hear(event: Event) -> None:
        nonlocal signalled
        if not signalled:  # one wake-up of the loop for many events
            signalled = True
            loop.call_soon_threadsafe(wake.set)

    undo = bus.subscribe(hear)
    try:
        position, missed = _begin(bus, boot_id, last_id)
        if missed:
            yield missed
        while True:
            wake.clear()
            signalled = False
            fresh = bus.since(position)
            if not fresh:
                await wake.wait()
                continue
            if fresh[0].id > position + 1:
                yield _gap(boot_id, position + 1, fresh[0].id - 1)
            for start in range(0, len(fresh), BATCH):
                batch = fresh[start : start + BATCH]
                position = batch[-1].id
                texts = [_text(event, boot_id) for event in batch if _wanted(event, kinds, instance)]
                if texts:
                    yield "".join(texts)
                await asyncio.sleep(0)
    finally:
        undo()


def _begin(bus: EventBus, boot_id: str, last_id: str) -> tuple[int, str]:
    kept = bus.since(0)
    newest = kept[-1].id if kept else 0
    if not last_id:
        return newest, ""
    boot, _, number = last_id.rpartition(":")
    given = int(number) if number.isascii() and number.isdigit() and len(number) < 18 else -1
    if boot not in ("", boot_id) or not 0 <= given <= newest:
        # Another boot, or an id that was never given out here: all that is kept, and the client hears of it.
        first = kept[0].id if kept else 1
        return first - 1, message({"boot": boot, "after": given}, kind="gap")
    first = kept[0].id if kept else 1
    return (given, "") if given or first == 1 else (first - 1, "")


def _gap(boot_id: str, first: int, last: int) -> str:
    return message({"boot": boot_id, "first": first, "last": last}, id=f"{boot_id}:{last}", kind="gap")


def _wanted(event: Event, kinds: frozenset[str], instance: str) -> bool:
    return (not kinds or event.kind in kinds) and (not instance or event.instance == instance)


def _text(event: Event, boot_id: str) -> str:
    return message(event, id=f"{boot_id}:{event.id}", kind=event.kind.value)
