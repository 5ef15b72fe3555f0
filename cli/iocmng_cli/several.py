"""One action on several instances: all are tried, each is reported, the worst exit code counts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import typer

from iocmng.errors import BadInput, ExitCode, IocmngError, NoHost
from iocmng.wire import InstanceView, to_plain
from iocmng_cli.output import Column, print_json, print_table, word
from iocmng_cli.reporting import report
from iocmng_cli.text import reason

AT_ONCE = 8
FROM_MILD_TO_BAD = (
    ExitCode.DONE,
    ExitCode.REFUSED,
    ExitCode.NOT_FOUND,
    ExitCode.USAGE,
    ExitCode.NOT_ALLOWED,
    ExitCode.NO_HOST,
    ExitCode.FAILED,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one instance: its view, or the error."""

    name: str
    view: InstanceView | None = None
    error: IocmngError | None = None


def chosen(names: Sequence[str] | None, everything: bool, all_names: Callable[[], list[str]]) -> list[str]:
    """The instances that a command line means: those it names, or `all_names` where it says `--all`.

    Raises:
        BadInput: It says both or neither.
    """
    if bool(names) == everything:
        raise BadInput("name instances, or say --all", hint="one of the two; `iocmng list` shows the names")
    return all_names() if everything else list(dict.fromkeys(names or ()))


def each(names: Sequence[str], action: Callable[[str], InstanceView]) -> list[Outcome]:
    """Apply an action to all instances, several at a time; results in the order of `names`."""

    def attempt(name: str) -> Outcome:
        try:
            return Outcome(name, view=action(name))
        except IocmngError as error:
            return Outcome(name, error=error)

    if len(names) == 1:
        return [attempt(names[0])]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(attempt, names))


def conclude(outcomes: Sequence[Outcome], *, json: bool) -> None:
    """Print the outcomes and end the command with the worst exit code.

    Raises:
        NoHost: There was none to ask.
        typer.Exit: Not all was done.
    """
    errors = [outcome.error for outcome in outcomes if outcome.error]
    for error in errors:
        if isinstance(error, NoHost):
            raise error
    if json:
        print_json([_plain(outcome) for outcome in outcomes])
    else:
        columns = (Column("NAME"), Column("STATE"), Column("MESSAGE", wraps=True))
        done = [
            (view.name, word(view.state), reason(view))
            for view in (outcome.view for outcome in outcomes)
            if view
        ]
        print_table(columns, done)
        sys.stdout.flush()
    worst_of(errors)


def worst_of(errors: Sequence[IocmngError]) -> None:
    """Report errors and end the command with the worst exit code.

    Raises:
        typer.Exit: There is at least one.
    """
    for error in errors:
        report(error)
    worst = max((error.exit_code for error in errors), key=FROM_MILD_TO_BAD.index, default=ExitCode.DONE)
    if worst is not ExitCode.DONE:
        raise typer.Exit(int(worst))


def _plain(outcome: Outcome) -> dict[str, object]:
    error = outcome.error
    return {
        "name": outcome.name,
        "ok": error is None,
        "instance": to_plain(outcome.view),
        "code": error.error_code if error else "",
        "detail": error.detail if error else "",
        "hint": error.hint if error else "",
    }
