"""Callbacks of modules that are to go, which p4p calls from its own threads: nothing in Python holds on to these."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

from iocmng.plugins.ownership import Owned, attributes

LIBRARY = "p4p"


def subscribed(owner: Callable[[Any], Owned | None]) -> Iterator[tuple[str, str]]:
    """Yield subscriptions and served PVs of p4p that call code of these modules, as package and reason. Any thread.

    Args:
        owner: Tells the module of a value, None of what is of others.
    """
    if any(True for _ in _found(owner)):
        # A subscription goes with its context, but only when garbage is collected.
        gc.collect()
        yield from _found(owner)


def _found(owner: Callable[[Any], Owned | None]) -> Iterator[tuple[str, str]]:
    theirs: dict[type, bool] = {}
    for value in gc.get_objects():
        kind = type(value)
        if kind not in theirs:
            theirs[kind] = any(_of_library(base) for base in type.__getattribute__(kind, "__mro__"))
        if not theirs[kind]:
            continue
        said = attributes(value)
        for part in (value, *list(said.values())):
            if (one := owner(part)) is not None:
                what = f"{kind.__name__} {said.get('name', '')}".strip()
                yield (
                    one.distribution,
                    f"the {what} of {LIBRARY} still calls {one.key}: close it in cleanup()",
                )
                break


def _of_library(cls: type) -> bool:
    module = cls.__dict__.get("__module__")
    return isinstance(module, str) and module.partition(".")[0] == LIBRARY
