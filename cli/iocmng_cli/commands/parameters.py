"""`iocmng set`: parameters of an instance."""

from __future__ import annotations

from typing import Annotated

import typer

from iocmng_cli import completion
from iocmng_cli.assignments import split, typed
from iocmng_cli.options import Json, Name
from iocmng_cli.output import Column, print_json, print_table
from iocmng_cli.session import session
from iocmng_cli.text import value_text

app = typer.Typer()


@app.command(
    "set",
    epilog="Example: iocmng set beam-monitor interval=0.5 gain=2\n\nExample: iocmng set beam-monitor gain=",
)
def set_(
    ctx: typer.Context,
    name: Name,
    assignments: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE",
            help="New values; `KEY=` drops what was set before.",
            autocompletion=completion.parameters,
        ),
    ],
    json: Json = False,
) -> None:
    """Set parameters of an instance, all or none, and keep them over a restart of the host."""
    texts = split(assignments)
    with session(ctx).client() as client:
        values = typed({key: text for key, text in texts.items() if text}, client.schema(name))
        detail = client.set_parameters(name, {key: values.get(key) for key in texts})
    changed = [parameter for parameter in detail.parameters if parameter.name in texts]
    if json:
        print_json(changed)
        return
    columns = (Column("NAME"), Column("VALUE", wraps=True), Column("FROM"), Column("TAKES EFFECT"))
    rows = [
        (
            parameter.name,
            value_text(parameter.value),
            parameter.origin,
            "at the next start" if parameter.pending else "now",
        )
        for parameter in changed
    ]
    print_table(columns, rows)
