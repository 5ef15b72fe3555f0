"""Which host a command talks to, and with which token."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.main

if TYPE_CHECKING:
    from iocmng.client import Client

URL_HELP = (
    "Address of the host's admin endpoint; IOCMNG_URL, else http://127.0.0.1:8080, with IOCMNG_PORT as port."
)
TOKEN_HELP = "File that holds the bearer token."


@dataclass(slots=True)
class Session:
    """What the options `--url` and `--token-file` said, wherever they stood on the command line."""

    url: str | None = None
    token_file: Path | None = None

    def client(self, timeout: float = 30.0) -> Client:
        """A client of that host; `timeout` in seconds for one answer."""
        from iocmng import __version__
        from iocmng.client import Client

        return Client(
            self.url, token_file=self.token_file, timeout=timeout, user_agent=f"iocmng-cli/{__version__}"
        )


def session(ctx: typer.Context) -> Session:
    """The session of this command line."""
    found = ctx.find_root().ensure_object(Session)
    assert isinstance(found, Session)
    return found


def _take_url(ctx: typer.Context, value: str | None) -> str | None:
    if value is not None:
        session(ctx).url = value
    return value


def _take_token_file(ctx: typer.Context, value: Path | None) -> Path | None:
    if value is not None:
        session(ctx).token_file = value
    return value


Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help=URL_HELP,
        callback=_take_url,
        expose_value=False,
        rich_help_panel="Which host",
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help=TOKEN_HELP,
        callback=_take_token_file,
        expose_value=False,
        rich_help_panel="Which host",
    ),
]


@cache
def shared_options() -> list[Any]:
    """The options that every command which talks to a host also takes after its own name."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def options(url: Url = None, token_file: TokenFile = None) -> None:
        """Hold the options."""

    command: Any = typer.main.get_command(app)
    return list(command.params)
