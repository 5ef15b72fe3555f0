"""One life of a bridge task's handshake: hears the trigger, runs cycles, watches the heartbeat."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from iocmng.base.context import TaskContext
from iocmng.bridge.handshake import ATTEMPTS, Handshake
from iocmng.bridge.heartbeat import Heartbeat
from iocmng.bridge.pvio import BridgeIO
from iocmng.lifecycle import TaskStatus
from iocmng.links import Links, PvClient
from iocmng.runtime.outputs import InstanceGone
from iocmng.runtime.ports import Clock, Undo
from iocmng.runtime.traces import describe
from iocmng.runtime.wiring import Routed
from iocmng.spec import OnStall
from iocmng.values import Reading

if TYPE_CHECKING:
    from iocmng.bridge.task import BridgeTask

_LAST_WRITE = 1.0


class BridgeContext(TaskContext, Protocol):
    """What a bridge task sees of its host."""

    @property
    def links(self) -> PvClient:
        """Reaches PVs, named with a scheme."""

    @property
    def clock(self) -> Clock:
        """Time."""

    def idle(self) -> float:
        """Seconds for which the code got nowhere although it should."""

    def request(self, begin: Callable[[], None]) -> bool:
        """Ask for one run; `begin` is called before it."""

    def stuck(self, reason: str) -> None:
        """Say why the task gets nowhere, "" when it does again."""


class Responder:
    """Answers the trigger of one run of a task.

    Args:
        task: The author's object.
        context: What it sees of its host.
        handshake: Writes the records.
        beats: Writes the heartbeat, over a connection of its own.
        own_trigger: The class has a `trigger()` of its own, which has to be asked again and again.
    """

    def __init__(
        self,
        task: BridgeTask,
        context: BridgeContext,
        handshake: Handshake,
        beats: BridgeIO,
        *,
        own_trigger: bool,
    ) -> None:
        self._task, self._context, self._handshake, self._beats = task, context, handshake, beats
        self._own_trigger = own_trigger
        self._reached = self._asked = self._by_trigger = self._in_cycle = False
        self._given_up = self._closed = False
        self._unclear = True
        self._overdue: float | None = None
        self._undo: Undo | None = None
        self._heartbeat = Heartbeat(
            task.interface.heartbeat,
            beats,
            context.clock,
            self,
            limit=max(4 * task.get_poll_rate(), task.get_max_stall_limit()),
            allowed=task.get_max_stuck_cycles(),
            logger=task.logger,
        )

    def open(self) -> None:
        """Clear the handshake, hear the trigger, beat."""
        if self._task.io.reading(self._task.interface.trigger, _LAST_WRITE) is None:
            self._task.logger.warning("%s does not answer: waiting for it", self._task.interface.trigger)
        else:
            self._clear()
        self._undo = self._task.io.listen(self._task.interface.trigger, self._seen)
        self._heartbeat.start(f"bridge-heartbeat-{self._task.name}")
        if self._own_trigger:
            self._context.clock.spawn(self._poll, f"bridge-trigger-{self._task.name}")

    def close(self) -> None:
        """Hear no more, and leave Trigger and Busy cleared."""
        self._hear_no_more()
        self._heartbeat.close()
        if self._reached and not self._given_up:
            self._handshake.clear(1, _LAST_WRITE)

    def _hear_no_more(self) -> None:
        self._closed = True
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()

    def _seen(self, reading: Reading) -> None:
        """The trigger record has another value or connection; on the client's thread."""
        came = reading.connected and not self._reached
        self._reached = reading.connected
        if not reading.connected:
            self._handshake.forget()
        elif not self._in_cycle and (reading.value or (came and self._unclear)):
            self._ask()

    def _ask(self) -> None:
        if not (self._asked or self._closed):
            self._asked = True
            if not self._context.request(self._begun):
                self._asked = False

    def _begun(self) -> None:
        """On the task's thread, before a run that the other IOC asked for."""
        self._asked, self._by_trigger = False, True

    def _poll(self) -> None:
        rest = self._context.clock.wakeup()
        while not (self._closed or self._context.stopping):
            if not self._in_cycle:
                self._ask()
            rest.wait(self._task.get_poll_rate())

    def triggered(self) -> Any:
        """One cycle of the handshake; a put to RUN runs one without a trigger."""
        by_trigger, self._by_trigger = self._by_trigger, False
        self._in_cycle = True
        try:
            if self._unclear and not self._clear():
                return TaskStatus.IO_FAILURE
            if by_trigger and not self._is_due():
                return TaskStatus.SKIPPED
            return self._cycle()
        finally:
            self._in_cycle = False
            # Set again between its clearing and now: that change may have been taken for the old one.
            if self._reached and not self._context.stopping and self._handshake.triggered():
                self._ask()

    def _is_due(self) -> bool:
        try:
            return bool(self._task.trigger())
        except Exception as error:  # noqa: BLE001 - the border where an author's code runs
            self._failed("trigger()", error)
            return False

    def _failed(self, what: str, error: BaseException) -> None:
        self._task.logger.error("%s failed: %s\n%s", what, describe(error), traceback.format_exc())
        self._task.set_message(f"{what} failed: {describe(error)}")

    def _cycle(self) -> TaskStatus:
        clock, handshake = self._context.clock, self._handshake
        status, duration = TaskStatus.IO_FAILURE, 0.0
        if handshake.begin():
            started = clock.monotonic()
            status = self._run()
            duration = clock.monotonic() - started
        else:
            self._task.set_message(f"{self._task.interface.busy} does not answer: not run")
        if self._given_up:
            self._task.logger.warning("run_task has returned after it had been given up: nothing is written")
            return status
        if not handshake.report(status, duration):
            self._task.logger.error("TaskStatus %s could not be written", status.name)
        self._clear()
        return status

    def _run(self) -> TaskStatus:
        name = type(self._task).__name__
        try:
            returned: object = self._task.run_task()
        except InstanceGone:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the border where an author's code runs
            self._failed("run_task()", error)
            return TaskStatus.EXCEPTION
        if not isinstance(returned, TaskStatus):
            text = f"{name}.run_task returned {returned!r}, not a TaskStatus"
            self._task.logger.error("%s: return TaskStatus.SUCCESS, or what fits", text)
            self._task.set_message(text)
            return TaskStatus.EXCEPTION
        self._task.set_message(returned.name)
        return returned

    def _clear(self) -> bool:
        """Clear the handshake; when that fails it is done as soon as the other IOC is back."""
        try:
            self._unclear = self._task.reset_cycle() is False
        except Exception as error:  # noqa: BLE001 - a class may have a reset_cycle() of its own
            self._unclear = True
            self._failed("reset_cycle()", error)
        if self._unclear:
            names = self._task.interface
            text = f"{names.busy} and {names.trigger} could not be cleared in {ATTEMPTS} attempts"
            self._task.logger.error("%s", text)
            self._task.set_message(text)
        return not self._unclear

    def idle(self) -> float:
        """Seconds without the progress that is expected."""
        return self._context.idle()

    def beaten(self) -> bool:
        """On the heartbeat's thread, each second."""
        if self._unclear and self._reached and not self._in_cycle:
            self._ask()
        if self._given_up or not self._context.stopping:
            return not self._given_up
        now = self._context.clock.monotonic()
        grace = self._context.spec.supervision.stop_timeout
        self._overdue = now + grace - _LAST_WRITE if self._overdue is None else self._overdue
        if now < self._overdue or self._closed:
            return not self._closed
        self._give_up()
        self._context.stuck(f"run_task has not returned {grace:g} s after it was asked to")
        return False

    def stuck(self, reason: str) -> None:
        """On the heartbeat's thread: too many beats in a row were missed; "" when they are back."""
        if reason:
            self._task.logger.error("%s", reason)
            if self._in_cycle and self._context.spec.supervision.on_stall is not OnStall.ALARM:
                self._give_up()
        self._context.stuck(reason)

    def _give_up(self) -> None:
        """Say in the records that the cycle is lost: its thread will not."""
        self._given_up = True
        self._hear_no_more()
        lost = Handshake(self._task.interface, self._beats, lambda seconds: None, self._task.logger)
        lost.report(TaskStatus.EXCEPTION, None)
        lost.clear(1, _LAST_WRITE)


def another(client: PvClient) -> PvClient | None:
    """What gives a heartbeat a connection of its own: a fake client of a test kit is shared."""
    remote = client.remote if isinstance(client, Routed) else client
    return None if isinstance(remote, Links) else remote
