"""What a worker's messages mean for the ports, default PVs and log of its instance, in the host."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, Protocol

from iocmng.errors import IocmngError
from iocmng.runtime.coderun import Work
from iocmng.runtime.isolation.channel import Message, from_reading
from iocmng.runtime.outputs import InstanceGone
from iocmng.runtime.ports import Record
from iocmng.runtime.traces import describe
from iocmng.values import Reading, Severity

Handler = Callable[..., None]


class Post(Protocol):
    """Sends a message without waiting."""

    def __call__(self, *message: object) -> bool:
        """Send; return whether more should be held back for now."""


class Hosting:
    """Writes, reads and log lines of one run; on the thread that hears its worker.

    Args:
        run: The token of its writes.
        work: What the run works with.
        post: Sends to the worker.
    """

    def __init__(self, run: object, work: Work, post: Post) -> None:
        self._run = run
        self._work = work
        self._post = post
        self._logger = logging.getLogger(f"iocmng.task.{work.spec.name}")
        self._levels = self._present_levels()
        self.handlers: dict[str, Handler] = {
            "write": self._write,
            "show": self._show,
            "say": work.panel.say,
            "log": self._log,
            "print": self._print,
            "ask": self._ask,
        }
        self.questions: dict[str, Callable[..., Any]] = {
            "read": lambda name: from_reading(self._read(name)),
            "readings": lambda: {name: from_reading(one) for name, one in work.outputs.readings().items()},
        }
        self.written: Callable[[str], None] = lambda name: None

    def hear(self, message: Message) -> bool:
        """Do what a message says; return whether it is one of these."""
        handler = self.handlers.get(message[0])
        if handler is None:
            return False
        handler(*message[1:])
        return True

    def answer(self, number: int, question: Callable[..., Any], *given: Any) -> None:
        """Answer one question; any thread."""
        try:
            found = question(*given)
        except Exception as error:  # noqa: BLE001 - whatever it is, the code that asked is to hear of it
            text = error.detail if isinstance(error, IocmngError) else str(error)
            hint = error.hint if isinstance(error, IocmngError) else ""
            self._post("fault", number, type(error).__name__, text, hint)
            return
        self._post("answer", number, found)

    def _ask(self, number: int, what: str, *given: Any) -> None:
        self.answer(number, self.questions[what], *given)

    def _read(self, name: str) -> Reading:
        if self._work.outputs.known(name):
            return self._work.outputs.read(name)
        record: Record = self._work.default_record(name)
        return record.read()

    def _write(self, name: str, value: object, severity: int | None, timestamp: float) -> None:
        level = None if severity is None else Severity(severity)
        try:
            self._work.outputs.write(self._run, name, value, level, timestamp)
        except InstanceGone as gone:
            self._logger.debug("%s", gone)
        except (TypeError, ValueError) as error:
            # The worker converts before it sends; a limit of the host's own can still refuse.
            self._logger.error("%s", describe(error))
        else:
            self.written(name)

    def _show(self, name: str, value: Any) -> None:
        self._work.panel.show(name, value)

    def _log(self, name: str, created: float, number: int, level: str, text: str) -> None:
        logger = logging.getLogger(name)
        if not logger.isEnabledFor(number):
            return
        record = logging.LogRecord(name, number, "", 0, text, None, None)
        record.created, record.levelname = created, level
        logger.handle(record)

    def _print(self, stream: str, line: str) -> None:
        # This thread counts as the instance's: what it prints goes to the instance's log and to the run's.
        getattr(sys, stream).write(f"{line}\n")

    def printed(self, line: str) -> None:
        """A line came over the process's own output, past the code's streams."""
        self._print("stderr", line)

    def tell_levels(self) -> None:
        """Let the worker know when somebody has changed from which level on is logged."""
        present = self._present_levels()
        if present != self._levels:
            self._levels = present
            self._post("levels", *present)

    def _present_levels(self) -> tuple[int, int]:
        return logging.getLogger().level, self._logger.level
