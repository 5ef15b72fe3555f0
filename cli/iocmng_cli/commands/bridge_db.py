"""`iocmng bridge-db`: the database of the records that a bridge task answers."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


@app.command(name="bridge-db", epilog="Example: iocmng bridge-db > bridge.db")
def bridge_db(
    prefix: Annotated[
        str,
        typer.Option(
            metavar="PREFIX", help="First part of the PV names, with its colon; default: the macro P."
        ),
    ] = "",
) -> None:
    """Print the standard records of a bridge task, for the IOC that owns them."""
    from iocmng.bridge.database import database

    print(database(prefix), end="")
