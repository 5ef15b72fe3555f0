"""Not yet."""

from __future__ import annotations

import typer

app = typer.Typer()


@app.command()
def validate() -> None:
    """Not yet."""
