"""What operators asked for is remembered over restarts of the host."""

from __future__ import annotations

import asyncio
import logging

from iocmng.lifecycle import State, Trigger
from iocmng.runtime.desired import Desired, DesiredState, Intent
from iocmng.runtime.instance import Instance
from iocmng.runtime.task import TaskInstance
from iocmng.spec import ParameterValue

_log = logging.getLogger("iocmng.host")
RETRY = 10.0
_INTENTS = {
    Trigger.START: Intent.RUN,
    Trigger.RESUME: Intent.RUN,
    Trigger.RESTART: Intent.RUN,
    Trigger.STOP: Intent.STOPPED,
    Trigger.PAUSE: Intent.PAUSED,
}


class Intents:
    """Between the supervisor's verbs and the store; on the loop's thread."""

    def __init__(self, desired: DesiredState, loop: asyncio.AbstractEventLoop) -> None:
        self._desired = desired
        self._loop = loop
        self._committing: asyncio.Future[bool] | None = None
        self._again = False

    def acted(self, instance: Instance, verb: Trigger) -> None:
        """Remember a verb that was applied; it is on disk soon, `commit` waits for that."""
        if isinstance(instance, TaskInstance) and instance.state is not State.INVALID and verb in _INTENTS:
            self._desired.set_intent(instance.name, _INTENTS[verb])
            self.save_soon()

    def save_soon(self) -> None:
        """Write in the background; one more write serves all that is asked meanwhile."""
        if self._committing is not None:
            self._again = True
            return
        self._committing = self._loop.run_in_executor(None, self._commit)
        self._committing.add_done_callback(self._committed)

    def _committed(self, done: asyncio.Future[bool]) -> None:
        self._committing, again, self._again = None, self._again, False
        if again:
            self.save_soon()
        elif not done.cancelled() and not done.result():
            self._loop.call_later(RETRY, self.save_soon)

    def _commit(self) -> bool:
        told = self._desired.problem
        try:
            self._desired.commit()
        except OSError:
            if not told:
                _log.error("%s; trying again every %g s", self._desired.problem, RETRY)
            return False
        return True

    def apply(self, instance: Instance) -> Desired:
        """Give an instance what was asked of it before this boot; return that."""
        wanted = self._desired.of(instance.name)
        if wanted.enabled is not None:
            instance.enabled = wanted.enabled
        for key, value in wanted.parameters.items():
            instance.values[key] = ParameterValue(value=value, origin="set")
        return wanted

    def starts(self, instance: Instance) -> bool:
        """Whether an instance starts at boot."""
        return instance.enabled and self._desired.of(instance.name).intent is not Intent.STOPPED
