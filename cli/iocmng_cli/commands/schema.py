"""`iocmng schema`: JSON Schema of config.yaml and of the site file."""

from __future__ import annotations

from typing import Annotated

import typer

from iocmng_cli.output import print_json

app = typer.Typer()


@app.command(epilog="Example: iocmng schema > config.schema.json")
def schema(
    site: Annotated[bool, typer.Option("--site", help="Of the site file iocmng.yaml instead.")] = False,
) -> None:
    """Print the JSON Schema of a plugin's config.yaml, for editors."""
    if site:
        from iocmng.settings import schema as described
    else:
        from iocmng.config import schema as described
    print_json(described())
