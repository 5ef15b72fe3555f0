"""One linked output or actuator: what its target is to hold, what it took, and what is on its way."""

from __future__ import annotations

from iocmng.errors import LinkError, LinkValueError
from iocmng.runtime.wiring.conversion import outgoing, same
from iocmng.runtime.wiring.source import UNKNOWN
from iocmng.spec import Direction, PortSpec
from iocmng.values import Reading, Value
from iocmng.wire import LinkView

FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0


class Target:
    """State only: whoever calls holds the lock of the instance's outputs.

    Args:
        port: The port.

    Attributes:
        reading: What the target said last.
        sending: A value is on its way.
        blocked: Its last value is not tried again before something changes.
        attempt: Counts attempts, so that an old timer does nothing.
        heeded: Somebody listens to the target.
        paused: Nobody decides at present, so its command is not given again.
    """

    def __init__(self, port: PortSpec) -> None:
        assert port.link is not None
        self.name = port.name
        self.record = port.record
        self.link = port.link
        self.address = str(port.link.address)
        self.is_output = port.direction is Direction.OUTPUT
        self.fails_safe = port.fail_safe is not None
        self.reading: Reading = UNKNOWN
        self.sending = self.blocked = self.heeded = self.paused = self._overtaken = False
        self.attempt = 0
        self.problem = ""
        self._delay = FIRST_DELAY
        self._waiting: Value | None = None
        self._under_way: Value | None = None
        self._under_way_commands = self._waiting_commands = False
        self._accepted: Value | None = None
        self._forwarded: Value | None = None
        self._command: Value | None = None
        self.updates = self.failures = self.dropped = 0

    @property
    def pending(self) -> bool:
        """Whether a value waits or is on its way."""
        return self._waiting is not None or self.sending

    def forward(self, value: Value) -> bool:
        """The port has this value now; return whether the target has to get it."""
        self._forwarded = value
        return self._want(value, command=False)

    def command(self, value: Value) -> bool:
        """A rule wants this value at the target until `withdraw`; return whether the target has to get it."""
        self._command = value
        # A rule writes once when it becomes active, or repeats: both although the target was told the same before.
        self._accepted = None
        return self._want(value, command=True)

    def withdraw(self) -> None:
        """The command is over: it is neither retried nor repeated."""
        self._command = None
        if self._waiting_commands:
            self._waiting, self._waiting_commands = None, False
            self.problem = ""

    def resume(self) -> bool:
        """Its rules have been evaluated again; return whether the target still has to get the standing command."""
        self.paused = False
        return (
            self._command is not None and self._accepted is None and self._want(self._command, command=True)
        )

    def forget(self) -> None:
        """Somebody else wrote the target: what it took is not what it holds."""
        self._accepted = None

    def _want(self, value: Value, *, command: bool) -> bool:
        intended = self._under_way if self.sending else self._accepted
        if self._waiting is not None:
            intended = self._waiting
        if intended is not None and same(intended, value):
            return False
        self.dropped += self._waiting is not None
        self._waiting, self._waiting_commands = value, command
        self.blocked = False
        self.attempt += 1
        return True

    def next(self) -> tuple[Value] | None:
        """Begin to send what waits, if it can be sent now; return it as the target takes it."""
        if self._waiting is None or self.sending or self.blocked or not self.reading.connected:
            return None
        if self._accepted is not None and same(self._accepted, self._waiting):
            self._waiting, self._waiting_commands = None, False
            return None
        self.sending = True
        self._under_way, self._under_way_commands = self._waiting, self._waiting_commands
        self._waiting, self._waiting_commands = None, False
        return (outgoing(self.record, self._under_way, self.reading),)

    def sent(self, error: LinkError | LinkValueError | None) -> float | None:
        """The value under way was taken or not; return after how many seconds to try it again, None for not."""
        value, was_command = self._under_way, self._under_way_commands
        overtaken, self._overtaken = self._overtaken, False
        self.sending, self._under_way = False, None
        if error is None:
            self.updates += 1
            self._accepted, self.problem, self._delay = value, "", FIRST_DELAY
            if overtaken and self._waiting is None:
                self._again()
            return None
        self.failures += 1
        self._accepted = None
        withdrawn = was_command and self._command is None
        self.problem = "" if withdrawn else error.detail
        if withdrawn or self._waiting is not None:
            return None
        self._waiting, self._waiting_commands = value, was_command
        self.blocked = True
        if isinstance(error, LinkValueError):
            return None
        delay, self._delay = self._delay, min(LONGEST_DELAY, 2 * self._delay)
        self.attempt += 1
        return delay

    def heard(self, reading: Reading) -> bool:
        """The target says something; return whether that tells that it came or went."""
        flipped = reading.connected is not self.reading.connected
        self.reading = reading
        if flipped and reading.connected:
            # It may have been started again: what it took before says nothing, nor does what is on its way.
            self._accepted, self._overtaken = None, self.sending
            self.try_again()
            if not self.pending:
                self._again()
        return flipped

    def try_again(self) -> None:
        """Do not wait any longer for the next attempt."""
        self.blocked, self._delay = False, FIRST_DELAY
        self.attempt += 1

    def _again(self) -> None:
        """The target has come back, perhaps with other values: give it what stands."""
        self._accepted = None
        if self._command is not None:
            if not self.paused:
                self._waiting, self._waiting_commands = self._command, True
        elif self.link.reassert and self._forwarded is not None:
            self._waiting = self._forwarded

    def complaint(self) -> str:
        """Why it is not well, or ""."""
        if not self.reading.connected:
            return f"{self.link.address.pv} not connected"
        return self.problem

    def view(self, *, local: bool) -> LinkView:
        """What people see of it."""
        return LinkView(
            address=self.address,
            local=local,
            connected=self.reading.connected,
            complaint=self.complaint(),
            updates=self.updates,
            failures=self.failures,
            dropped=self.dropped,
            pending=self.pending,
        )
