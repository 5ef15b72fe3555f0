"""`iocmng validate`: check a plugin before a host meets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from iocmng.errors import BadInput
from iocmng.names import prefix_problem
from iocmng.wire import Level, to_plain
from iocmng_cli.options import Json
from iocmng_cli.output import colored, print_json

if TYPE_CHECKING:
    from iocmng.plugins.check import Report

app = typer.Typer()

STYLES = {Level.ERROR: "bold red", Level.WARNING: "yellow", Level.NOTE: "dim"}


@app.command(
    epilog="Example: iocmng validate ./beam-monitor\n\n"
    "Example: iocmng validate beam-monitor --prefix SR01:DIAG\n\n"
    "Exits 1 when there is an error."
)
def validate(
    subjects: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH|PLUGIN",
            help="Plugin directory, project, wheel, config file, or name of a plugin; default: here.",
        ),
    ] = None,
    prefix: Annotated[
        str, typer.Option(metavar="PREFIX", help="First part of the PV names, which counts for their length.")
    ] = "VALIDATE",
    json: Json = False,
) -> None:
    """Check plugins as a host would, and print findings as file:line:column."""
    from iocmng.host.probe import Probe
    from iocmng.plugins.check import validate_path

    if problem := prefix_problem(prefix):
        raise BadInput(problem, hint="give another with --prefix")
    with Probe() as prober:
        reports = [validate_path(subject, prober=prober, prefix=prefix) for subject in subjects or ["."]]
    if json:
        print_json([_plain(report) for report in reports])
    else:
        for report in reports:
            for finding in report.findings:
                print(colored(str(finding), STYLES[finding.level]))
            print(report.summary)
    if not all(report.ok for report in reports):
        raise typer.Exit(1)


def _plain(report: Report) -> dict[str, Any]:
    return {
        "subject": report.subject,
        "ok": report.ok,
        "findings": to_plain(report.findings),
        "instances": [
            {
                "name": one.spec.name,
                "kind": one.spec.kind.value,
                "valid": one.valid,
                "mode": one.spec.mode.value if one.spec.kind.value == "task" else "",
                "prefix": one.spec.pv_prefix,
                "pvs": [record.name for record in one.spec.records],
            }
            for one in report.candidates
        ],
    }
