"""Options and arguments that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from iocmng_cli import completion

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
All = Annotated[bool, typer.Option("--all", help="Every task whose state allows it.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Instance.", autocompletion=completion.instances)]
Names = Annotated[
    list[str] | None, typer.Argument(metavar="NAME", help="Instances.", autocompletion=completion.instances)
]
Job = Annotated[str, typer.Argument(metavar="NAME", help="Job.", autocompletion=completion.jobs)]
Pvs = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME",
        help="Full PV names, INSTANCE:PORT under the host's prefix, ca://NAME or pva://NAME.",
        autocompletion=completion.pvs,
    ),
]
