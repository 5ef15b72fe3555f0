"""One operation of installing: its steps as they go, who waits for it, and how it ends."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from iocmng.errors import IocmngError
from iocmng.plugins.installing.model import Aborted
from iocmng.wire import (
    Actor,
    InstallRequest,
    OperationState,
    OperationView,
    PlanView,
    Step,
    StepView,
)

_numbers = itertools.count(1)
TOLD_EVERY = 0.2
"""Seconds between two events about one step's progress."""


class Operation:
    """On the loop's thread, but for `tell`.

    Args:
        request: What is asked for.
        actor: By whom.
        boot_id: Of this process: ids of operations of two processes are never equal.
        planned_only: Nothing is to be changed.
        changed: Told after each change; called on the loop's thread.
    """

    def __init__(
        self,
        request: InstallRequest,
        actor: Actor,
        *,
        boot_id: str,
        planned_only: bool,
        changed: Callable[[OperationView], None],
    ) -> None:
        self.request = request
        self.actor = actor
        self.over = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._changed = changed
        self._aborted = False
        self._present: Step | None = None
        self._told = 0.0
        named = request.requirements or ((request.source.name,) if request.source else ())
        self.view = OperationView(
            id=f"{boot_id}-{next(_numbers)}",
            verb=request.verb,
            state=OperationState.RUNNING,
            planned_only=planned_only,
            requirements=named,
            steps=tuple(StepView(step=step) for step in Step),
            started=time.time(),
            actor=actor,
        )

    @contextmanager
    def step(self, step: Step) -> Iterator[None]:
        """Do a step; what is raised in it is told as its end, and goes on.

        Raises:
            Aborted: Somebody has asked the operation to end.
        """
        self.check()
        self._present = step
        self._set(step, state="running", detail="", started=time.time())
        try:
            yield
        except Aborted:
            self._set(step, state="failed", detail="aborted", ended=time.time())
            raise
        except IocmngError as error:
            self._set(step, state="failed", detail=error.detail, ended=time.time())
            raise
        except BaseException as error:
            self._set(step, state="failed", detail=f"{type(error).__name__}: {error}", ended=time.time())
            raise
        self._set(step, state="done", ended=time.time())

    def check(self) -> None:
        """Go on, unless somebody has asked the operation to end.

        Raises:
            Aborted: Somebody has.
        """
        if self._aborted:
            raise Aborted

    def tell(self, text: str) -> None:
        """Say how far the present step is. Any thread.

        Raises:
            Aborted: Somebody has asked the operation to end.
        """
        self.check()
        self._loop.call_soon_threadsafe(self._say, self._present, text)

    def _say(self, step: Step | None, text: str) -> None:
        if step is None or step is not self._present or self.view.over:
            return
        now = time.monotonic()
        self._set(step, tell=now - self._told > TOLD_EVERY, detail=text)

    def plan(self, plan: PlanView) -> None:
        """Show what changes."""
        self.view = replace(self.view, plan=plan)
        self._changed(self.view)

    def staged(self, generation: int) -> None:
        """Show which generation it is about."""
        self.view = replace(self.view, generation=generation)

    def abort(self) -> None:
        """Ask it to end."""
        self._aborted = True

    @property
    def failed_step(self) -> Step | None:
        """The step that failed."""
        return next((one.step for one in self.view.steps if one.state == "failed"), None)

    def end(self, state: OperationState, message: str, *, code: str = "", hint: str = "") -> None:
        """Nothing more will happen."""
        steps = tuple(
            replace(one, state="skipped") if one.state == "waiting" else one for one in self.view.steps
        )
        self.view = replace(
            self.view,
            state=state,
            message=message,
            code=code,
            hint=hint,
            failed_step=self.failed_step,
            steps=steps,
            ended=time.time(),
        )
        self._changed(self.view)
        self.over.set()

    def _set(self, step: Step, *, tell: bool = True, **changes: object) -> None:
        steps = tuple(
            replace(one, **changes) if one.step is step else one  # type: ignore[arg-type]
            for one in self.view.steps
        )
        self.view = replace(self.view, steps=steps)
        if tell:
            self._told = time.monotonic()
            self._changed(self.view)
