"""Whether, why and how a host is to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Ending:
    """Asked for by signals, instances and admins; on the loop's thread.

    Attributes:
        reason: Why whoever started the host should start it anew, "" when nobody should.
        again: Whether the process is to be replaced by a new one of itself.
        check: Raises BadInput when a new process could not come up with the present settings. Reads files.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.again = False
        self.check: Callable[[], None] = lambda: None
        self._asked = asyncio.Event()

    def stop(self) -> None:
        """Somebody wants the host to stop, also while it ends for another reason."""
        self.again = False
        self._asked.set()

    def demand(self, reason: str) -> None:
        """An instance's policy wants the process to be started anew."""
        self.reason = self.reason or reason
        self._asked.set()

    def restart(self) -> None:
        """The process is to be replaced by a new one of itself; when it ends anyway, that goes on.

        Raises:
            BadInput: It would not come up; nothing happens.
        """
        self.check()
        self.again = self.again or not self._asked.is_set()
        self._asked.set()

    @property
    def under_way(self) -> bool:
        """Whether the host is to end."""
        return self._asked.is_set()

    async def asked(self) -> None:
        """Wait until the host is to end."""
        await self._asked.wait()
