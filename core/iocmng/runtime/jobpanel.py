"""What the default PVs of a job show of its latest run."""

from __future__ import annotations

import threading

from iocmng.runtime.panel import Panel, clock_text
from iocmng.runtime.ports import Clock
from iocmng.wire import RunView

LINE_EVERY = 0.1


class JobPanel:
    """Shows runs; any thread.

    Attributes:
        percent: What PROGRESS shows.
    """

    def __init__(self, panel: Panel, clock: Clock) -> None:
        self._panel = panel
        self._clock = clock
        self._lock = threading.Lock()
        self.percent = 0.0
        self._live = ""
        self._line = ""
        self._line_due = 0.0

    def idle(self) -> None:
        """Nothing has run yet."""
        self._panel.show("STATUS", 0)
        self._panel.say("idle")
        for name in ("RUN", "ABORT"):
            self._panel.show(name, False)
        self._progress(0.0)
        self._panel.show("ELAPSED", 0.0)
        self._panel.show("EXIT_CODE", 0)
        for name in ("RUN_ID", "STARTED", "LAST_LINE"):
            self._panel.text(name, "")

    def begun(self, run: RunView, *, by_put: bool) -> None:
        """A run starts; RUN shows 1 by itself where a put has started it."""
        with self._lock:
            self._live, self._line, self._line_due = run.id, "", 0.0
        self._panel.text("RUN_ID", run.id)
        self._panel.text("STARTED", clock_text(run.started))
        self._panel.text("LAST_LINE", "")
        self._progress(0.0)
        self._panel.show("ELAPSED", 0.0)
        self._panel.show("EXIT_CODE", 0)
        if not by_put:
            self._panel.show("RUN", True)

    def progress(self, run: RunView) -> None:
        """A run has got further."""
        with self._lock:
            if self._live == run.id:
                self._progress(run.progress)
                if run.message:
                    self._panel.say(run.message)

    def line(self, text: str) -> None:
        """The log has a new line; of many in a short time the last one is shown."""
        now = self._clock.monotonic()
        with self._lock:
            self._line = text
            if now >= self._line_due:
                self._line_due = now + LINE_EVERY
                self._panel.text("LAST_LINE", text)

    def tick(self, run: RunView) -> None:
        """How long a run takes, and the last line of a burst."""
        with self._lock:
            if self._live == run.id:
                self._panel.show("ELAPSED", max(0.0, self._clock.time() - run.started))
                self._panel.text("LAST_LINE", self._line)

    def over(self, run: RunView) -> None:
        """A run has its outcome and has ended: what comes later from it is not shown."""
        with self._lock:
            self._live = ""
            self._progress(run.progress)
            self._panel.show("ELAPSED", (run.ended or run.started) - run.started)
            if run.exit_code is not None:
                self._panel.show("EXIT_CODE", run.exit_code)
            self._panel.text("LAST_LINE", self._line)

    def lost(self, run: RunView) -> None:
        """The latest run was under way when the host died."""
        self._panel.show("STATUS", int(run.state))
        self._panel.say(run.message)
        self._panel.text("RUN_ID", run.id)
        self._panel.text("STARTED", clock_text(run.started))
        self._progress(run.progress)

    def _progress(self, percent: float) -> None:
        self.percent = percent
        self._panel.show("PROGRESS", percent)
