"""Operations of the host as a command follows them: steps as they go, Ctrl-C, how they ended, and the exit code."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import typer

from iocmng import errors
from iocmng.errors import ExitCode, IocmngError, NoHost
from iocmng.wire import OperationState, OperationView, StepView
from iocmng_cli.output import printable, stderr
from iocmng_cli.reporting import report
from iocmng_cli.times import duration

if TYPE_CHECKING:
    from iocmng.client import Client
    from iocmng.wire import GenerationView

POLL = 0.3
RETURN = 120.0
INTERRUPTED = 130
WORTH_SAYING = 0.01
GOOD = frozenset({OperationState.DONE, OperationState.RESTART_REQUIRED, OperationState.RESTARTING})
_EXITS = {
    cls.code: cls.exit_code
    for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, IocmngError) and cls is not IocmngError
}


def follow(
    client: Client, begin: Callable[[], OperationView], *, silent: bool = False, passing: bool = False
) -> OperationView:
    """Begin an operation and show its steps on standard error until it is over; Ctrl-C asks the host to end it.

    Args:
        client: Speaks to the host.
        begin: Begins it.
        silent: Show nothing.
        passing: Leave no lines of steps that went well: another operation follows that shows them.

    Raises:
        typer.Exit: It was interrupted (130); how it ended has been said.
    """
    view: OperationView | None = None
    with _steps(silent=silent, passing=passing) as steps:
        try:
            with _interrupted_later() as now:
                view = begin()
            now()
            while not view.over:
                steps.show(view)
                view = client.operation(view.id, wait=POLL)
            steps.show(view)
        except KeyboardInterrupt:
            steps.close()
            if view is None:
                raise
            _interrupted(client, view)
    return view


def exit_code(view: OperationView) -> ExitCode:
    """What a command returns that ran this operation."""
    if view.state in GOOD or not view.over:
        return ExitCode.DONE
    refused = view.state is OperationState.REFUSED
    return _EXITS.get(view.code, ExitCode.REFUSED if refused else ExitCode.FAILED)


def require_good(view: OperationView, *, hint: str = "") -> None:
    """Pass an operation that did what was asked.

    Args:
        view: The operation.
        hint: What to say where the host gives no next step.

    Raises:
        typer.Exit: It did not; step, reason and next step have been said.
    """
    if view.state in GOOD:
        return
    step = f"{view.failed_step.value}: " if view.failed_step else ""
    said = view.message or f"it ended {view.state.value}"
    report(IocmngError(said if said.startswith(step) else f"{step}{said}", hint=view.hint or hint))
    raise typer.Exit(int(exit_code(view)))


def back_again(client: Client, boot_id: str, view: OperationView) -> str:
    """Wait for a host that restarts for an operation, and until its generation is confirmed; what came of it.

    Raises:
        NoHost: It did not come back in time.
        IocmngError: It came back with another generation.
    """
    stderr("the host restarts …")
    try:
        client.returned(boot_id, RETURN)
        return _confirmed(client, view.generation or 0)
    except KeyboardInterrupt:
        stderr("interrupted: the host restarts all the same; `iocmng generations` shows what is in force")
        raise typer.Exit(INTERRUPTED) from None


def _confirmed(client: Client, number: int) -> str:
    deadline = time.monotonic() + RETURN
    while True:
        kept = client.generations()
        current = next((one for one in kept if one.current), None)
        pending = next((one for one in kept if one.pending), None)
        if pending is None:
            break
        if time.monotonic() >= deadline:
            raise NoHost(
                f"generation {number} is not confirmed after {RETURN:g} s",
                hint="`iocmng list` shows what does not run",
            )
        time.sleep(POLL)
    if (current.number if current else 0) == number:
        return (
            f"the host is back, with generation {number}"
            if number
            else "the host is back, with nothing installed"
        )
    raise IocmngError(
        f"the host is back, but with generation {current.number if current else 0} instead of {number}"
        + _why(kept, number),
        hint="`iocmng logs HOST` says more",
    )


def _why(kept: Any, number: int) -> str:
    left: GenerationView | None = next((one for one in kept if one.number == number), None)
    return f": {left.problem}" if left and left.problem else ""


def _interrupted(client: Client, view: OperationView) -> None:
    stderr("\ninterrupted: the host is asked to end it …")
    try:
        ended = client.abort_operation(view.id)
        if not ended.over:
            ended = client.operation(view.id, wait=RETURN)
        said = ended.message or ended.state.value
        stderr(f"{ended.state.value}: {said}" if ended.over else f"it goes on as operation {view.id}")
    except KeyboardInterrupt:
        stderr(f"operation {view.id} ends by itself; `iocmng generations` shows what is in force")
    except IocmngError as error:
        report(error)
    raise typer.Exit(INTERRUPTED) from None


@contextmanager
def _interrupted_later() -> Iterator[Callable[[], None]]:
    """Keep a first Ctrl-C until what is given is called: what has begun unseen could not be ended."""
    pressed: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def hear(number: int, frame: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    def now() -> None:
        if pressed:
            raise KeyboardInterrupt

    if before is not signal.default_int_handler:
        yield now
        return
    signal.signal(signal.SIGINT, hear)
    try:
        yield now
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _steps(*, silent: bool, passing: bool) -> Iterator[_Steps]:
    steps = _Steps() if silent else (_Spinner(passing=passing) if sys.stderr.isatty() else _Lines())
    try:
        yield steps
    finally:
        steps.close()


class _Steps:
    """Steps that nobody sees."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def show(self, view: OperationView) -> None:
        for step in view.steps:
            if step.state in ("done", "failed") and step.step not in self._told:
                self._told.add(step.step)
                self.ended(step)
            elif step.state == "running":
                self.runs(step)

    def ended(self, step: StepView) -> None:
        """A step is over."""

    def runs(self, step: StepView) -> None:
        """A step is how far."""

    def close(self) -> None:
        """Nothing more is shown."""


class _Lines(_Steps):
    """One line for each step that is over."""

    def ended(self, step: StepView) -> None:
        stderr(_line(step))


class _Spinner(_Steps):
    """A line for each step that is over, and below them the one that runs.

    Args:
        passing: Only steps that failed leave a line.
    """

    def __init__(self, *, passing: bool) -> None:
        from rich.console import Console

        super().__init__()
        self._passing = passing
        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._status = self._console.status("…")
        self._status.start()

    def ended(self, step: StepView) -> None:
        if self._passing and step.state == "done":
            return
        self._console.print(_line(step), style="dim" if step.state == "done" else "red")

    def runs(self, step: StepView) -> None:
        from rich.text import Text

        self._status.update(Text(f"{step.step.value} {printable(step.detail)}".strip()))

    def close(self) -> None:
        with suppress(KeyboardInterrupt):
            self._status.stop()


def _line(step: StepView) -> str:
    seconds = step.ended - step.started if step.started else 0.0
    took = duration(seconds) if seconds >= WORTH_SAYING else ""
    said = "" if step.state == "done" else "failed"
    return f"  {step.step.value:<8} {took:<7} {said or printable(step.detail)}".rstrip()
