"""The group of all commands: each module is imported when its command is called, foreign ones too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
import typer.core
import typer.main

from iocmng.errors import IocmngError
from iocmng.names import did_you_mean
from iocmng_cli.light import lightened
from iocmng_cli.reporting import report
from iocmng_cli.session import shared_options

ENTRY_POINTS = "iocmng.cli"


@dataclass(frozen=True, slots=True)
class Home:
    """Where a command lives: a module with a Typer `app`, which is the command itself when `group` is true.

    `panel` is its heading in the help; `remote` commands talk to a host and take `--url` and `--token-file`.
    """

    module: str
    panel: str
    group: bool = False
    remote: bool = True


class LazyCommands(typer.core.TyperGroup):
    """Looks a command's module up in `homes`, then among the entry points of other packages."""

    homes: Mapping[str, Home] = {}

    def get_params(self, ctx: Any) -> Any:
        """The options before the command."""
        return lightened(super().get_params(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        """Our own commands in the order of the help, then foreign ones by name."""
        foreign = {point.name for point in _foreign()}
        return [*self.homes, *sorted(foreign - set(self.homes))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command as the help lists it, or None; a foreign one is not imported for that."""
        if home := self.homes.get(cmd_name):
            return _own(cmd_name, home)
        for point in _foreign():
            if point.name == cmd_name:
                return typer.core.TyperCommand(
                    name=cmd_name,
                    help=f"From {_origin(point)}.",
                    rich_help_panel="Commands of other packages",
                )
        return None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find and import the command that `args` begins with; an unknown one is a usage error."""
        name = args[0]
        if home := self.homes.get(name):
            return name, _own(name, home), args[1:]
        for point in _foreign():
            if point.name == name:
                return name, _load(point), args[1:]
        if ctx.resilient_parsing:
            return None, None, args[1:]
        return ctx.fail(f"No such command {name!r}; {did_you_mean(name, self.list_commands(ctx))}")

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an error of ours becomes a line for its reader and its exit code."""
        try:
            return super().invoke(ctx)
        except IocmngError as error:
            report(error)
            raise typer.Exit(int(error.exit_code)) from error


def _own(name: str, home: Home) -> Any:
    app = import_module(home.module).app
    group = typer.main.get_group(app)
    command: Any = group if home.group else group.commands[name]
    command.name = name
    command.rich_help_panel = home.panel
    for each in _with_subcommands(command):
        each.get_params = partial(_light_params, each.get_params)
        if home.remote and not hasattr(each, "commands"):
            taken = {word for param in each.params for word in param.opts}
            each.params += [option for option in shared_options() if taken.isdisjoint(option.opts)]
    return command


def _light_params(typers_own: Any, ctx: Any) -> Any:
    return lightened(typers_own(ctx))


def _with_subcommands(command: Any) -> Iterator[Any]:
    yield command
    for sub in getattr(command, "commands", {}).values():
        yield from _with_subcommands(sub)


def _foreign() -> Iterator[EntryPoint]:
    return iter(entry_points(group=ENTRY_POINTS))


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unnamed distribution"


def _load(point: EntryPoint) -> Any:
    try:
        app = point.load()
    except (
        Exception,
        SystemExit,
    ) as error:  # a border: another package's module runs here and may do anything
        raise IocmngError(
            f"command {point.name!r} of {_origin(point)} cannot be imported ({point.value}):"
            f" {type(error).__name__}: {error}",
            hint="upgrade or uninstall that package; all other commands work",
        ) from error
    if not isinstance(app, typer.Typer):
        raise IocmngError(
            f"command {point.name!r} of {_origin(point)}: {point.value} is a {type(app).__name__},"
            " not a typer.Typer",
            hint=f"its entry point in group {ENTRY_POINTS!r} must name a typer.Typer",
        )
    return typer.main.get_command(app)
