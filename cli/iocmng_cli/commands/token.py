"""`iocmng token create / list / revoke`."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from iocmng.wire import Role
from iocmng_cli.options import Json
from iocmng_cli.output import Column, print_json, print_table
from iocmng_cli.session import session
from iocmng_cli.times import clock

app = typer.Typer(help="Make and revoke access tokens.", no_args_is_help=True)

TokenName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the token.")]


class Grantable(StrEnum):
    """Roles that a token can have."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


@app.command(epilog="Example: iocmng token create control-room --role operator > token")
def create(
    ctx: typer.Context,
    name: TokenName,
    role: Annotated[
        Grantable, typer.Option(metavar="viewer|operator|admin", help="What its bearer may do.")
    ] = Grantable.OPERATOR,
    json: Json = False,
) -> None:
    """Make a token and print its secret, this once."""
    with session(ctx).client() as client:
        made = client.create_token(name, Role(role.value))
    if json:
        print_json(made)
    else:
        print(made.token)
        print(f"token {made.name!r} with role {made.role} made; it is not shown again", file=sys.stderr)


@app.command("list")
def list_(ctx: typer.Context, json: Json = False) -> None:
    """List the tokens that the host knows, without their secrets."""
    with session(ctx).client() as client:
        tokens = client.tokens()
    if json:
        print_json(tokens)
        return
    columns = (Column("NAME"), Column("ROLE"), Column("FROM"), Column("MADE", rank=1))
    print_table(
        columns, [(token.name, token.role.value, token.origin, clock(token.created)) for token in tokens]
    )


@app.command()
def revoke(ctx: typer.Context, name: TokenName, json: Json = False) -> None:
    """Forget a token; it no longer opens anything."""
    with session(ctx).client() as client:
        client.revoke_token(name)
    if json:
        print_json({"name": name, "revoked": True})
    else:
        print(f"token {name!r} revoked")
