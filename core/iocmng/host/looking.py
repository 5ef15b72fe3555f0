"""Validates one instance again beside the running host."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from iocmng.plugins.candidate import Candidate
from iocmng.runtime.renewal import Look
from iocmng.wire import Finding, Level

_log = logging.getLogger("iocmng.host")


class LookingAgain:
    """Asks `look_at` in a thread and tells the answer on the supervising thread, through `post`."""

    def __init__(
        self,
        look_at: Callable[[str], Candidate | None],
        loop: asyncio.AbstractEventLoop,
        post: Callable[[Callable[[], None]], None],
    ) -> None:
        self._look_at = look_at
        self._loop = loop
        self._post = post

    def ask(self, name: str, tell: Callable[[Look], None]) -> None:
        """Begin; `tell` is called with what was found."""

        def answer(found: asyncio.Future[Look]) -> None:
            if not found.cancelled():
                self._post(lambda: tell(found.result()))

        self._loop.run_in_executor(None, self._found, name).add_done_callback(answer)

    def _found(self, name: str) -> Look:
        try:
            candidate = self._look_at(name)
        except Exception as fault:  # noqa: BLE001 - a border: sources and policies of foreign hooks run in there
            _log.exception("%s cannot be validated", name)
            text = f"the validation failed with {type(fault).__name__}: {fault}"
            return Look(None, (Finding(Level.ERROR, "validation", text),))
        if candidate is None:
            text = f"{name} is not installed any more"
            return Look(None, (Finding(Level.ERROR, "unknown-plugin", text),))
        return Look(candidate.spec if candidate.valid else None, candidate.findings)
