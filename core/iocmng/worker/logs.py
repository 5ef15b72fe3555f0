"""What a worker's code logs and prints, sent to the host, which keeps all logs."""

from __future__ import annotations

import logging

from iocmng.runtime.logs import record_text
from iocmng.runtime.streams import route_streams
from iocmng.worker.link import HostLink


class _Handler(logging.Handler):
    """Sends every record."""

    def __init__(self, link: HostLink) -> None:
        super().__init__()
        self._link = link

    def handle(self, record: logging.LogRecord) -> bool:
        # Without the base class's lock: one thread's slow __str__ must not hold up what another one logs.
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        text = record_text(record)
        self._link.send("log", record.name, record.created, record.levelno, record.levelname, text)


def install(link: HostLink, instance: str, root_level: int, own_level: int) -> None:
    """Send what this process logs, and what the code's threads print."""
    logging.getLogger().addHandler(_Handler(link))
    set_levels(instance, root_level, own_level)
    logging.captureWarnings(True)
    route_streams(lambda instance, stream, line: link.send("print", stream, line))


def set_levels(instance: str, root_level: int, own_level: int) -> None:
    """From which level on the process, and the instance's own logger, log."""
    logging.getLogger().setLevel(root_level)
    logging.getLogger(f"iocmng.task.{instance}").setLevel(own_level)
