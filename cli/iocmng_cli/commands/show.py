"""`iocmng show`: everything of one instance."""

from __future__ import annotations

import typer

from iocmng.wire import InstanceDetail, JobView, PvView
from iocmng_cli.logic_tables import print_logic
from iocmng_cli.options import Json, Name
from iocmng_cli.output import Cell, Column, Row, heading, print_fields, print_json, print_table, word
from iocmng_cli.session import session
from iocmng_cli.text import pv_text, quality_text, said, value_text, worst_first
from iocmng_cli.times import clock, duration

app = typer.Typer()

PV_COLUMNS = (
    Column("PV"),
    Column("TYPE", rank=2),
    Column("", rank=1),
    Column("VALUE", wraps=True),
    Column("ALARM", wraps=True),
)


@app.command()
def show(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Show everything of one instance: parameters, PVs, links, rules, findings, errors, history."""
    with session(ctx).client() as client:
        detail = client.show(name)
    if json:
        print_json(detail)
        return
    _summary(detail)
    _parameters(detail)
    for title, direction in (("Inputs", "input"), ("Outputs", "output")):
        _pvs(title, [port.pv for port in detail.ports if port.direction == direction])
    print_logic(detail)
    if detail.job is not None:
        _runs(detail.job)
    _pvs("Default PVs", list(detail.defaults))
    if detail.metrics:
        heading("Metrics")
        print_fields({key: value_text(value) for key, value in detail.metrics.items()}, indent="  ")
    if detail.view.findings:
        heading("Findings")
        for finding in worst_first(detail.view.findings):
            print(f"  {finding}")
    _history(detail)
    if detail.traceback:
        heading("Traceback of the last error")
        print(detail.traceback.rstrip())


def _summary(detail: InstanceDetail) -> None:
    view = detail.view
    yes_no = {True: "yes", False: "no"}
    print_fields(
        {
            "name": view.name,
            "description": view.description,
            "kind": f"{view.kind}, {view.mode}" if view.mode else view.kind,
            "state": word(view.state),
            "message": said(view),
            "degraded": f"yes: {view.complaint}" if view.degraded else "",
            "allowed now": ", ".join(detail.allowed),
            "starts at boot": yes_no[view.enabled],
            "running since": f"{duration(view.uptime)} ago" if view.uptime else "",
            "cycles": _cycles(detail),
            "evaluations": str(detail.evaluations or ""),
            "last cycle": duration(detail.last_duration) if detail.last_duration else "",
            "restarts": str(view.restarts or ""),
            "last error": detail.last_error,
            "last error at": clock(detail.last_error_time or 0.0),
            "refused writes": str(detail.refused_writes or ""),
            "abandoned": Cell("\n".join(detail.abandoned), "red"),
            "prefix": view.prefix,
            "plugin": f"{view.plugin} of {view.distribution} {view.version}"
            if view.distribution
            else view.plugin,
            "generation": "" if view.generation is None else str(view.generation),
            "origin": view.origin,
            "code": _code(detail),
            "runs in": f"process {detail.worker}, {detail.worker_memory:g} MiB of its own"
            if detail.worker
            else "",
            "config": detail.config,
            "depends on": ", ".join(detail.depends_on),
            "supervision": value_text({key: value for key, value in detail.supervision.items() if value}),
        }
    )


def _code(detail: InstanceDetail) -> str:
    module, name = detail.module, detail.view.class_name
    return module if module.endswith(f":{name}") else " ".join(filter(None, (module, name)))


def _cycles(detail: InstanceDetail) -> str:
    view = detail.view
    if view.kind != "task":
        return ""
    extra = [
        f"{count} {what}"
        for count, what in ((view.cycle_errors, "failed"), (view.overruns, "overrun"))
        if count
    ]
    return f"{view.cycles} ({', '.join(extra)})" if extra else str(view.cycles)


def _parameters(detail: InstanceDetail) -> None:
    if not detail.parameters:
        return
    heading("Parameters")
    columns = (
        Column("NAME"),
        Column("VALUE", wraps=True),
        Column("FROM"),
        Column("TAKES EFFECT", rank=2),
        Column("DESCRIPTION", rank=3, wraps=True),
    )
    rows = [
        (
            parameter.name,
            value_text(parameter.value),
            parameter.origin,
            "at the next start (pending)"
            if parameter.pending
            else ("at once" if parameter.live else "at the next start"),
            parameter.description,
        )
        for parameter in detail.parameters
    ]
    print_table(columns, rows)


def _pvs(title: str, pvs: list[PvView]) -> None:
    if pvs:
        heading(title)
        print_table(PV_COLUMNS, [pv_row(pv) for pv in pvs])


def pv_row(pv: PvView) -> Row:
    """The line of a PV."""
    alarm = quality_text(pv)
    return (
        pv.name,
        pv.record_type,
        "rw" if pv.writable else "ro",
        pv_text(pv),
        Cell(alarm, word(pv.severity).style),
    )


def _runs(job: JobView) -> None:
    heading("Runs")
    limit = f", at most {duration(job.run_timeout)} each" if job.run_timeout else ""
    print_fields(
        {
            "script": job.script,
            "when busy": f"{job.on_busy}{limit}",
            "lock": job.lock,
            "held by": job.holder,
            "running": f"{job.current.id}, {job.current.progress:.0f} %" if job.current else "",
            "waiting": "\n".join(run.id for run in job.waiting),
        },
        indent="  ",
    )


def _history(detail: InstanceDetail) -> None:
    if not detail.history:
        return
    heading("History")
    columns = (Column("TIME"), Column("STATE"), Column("REASON", wraps=True), Column("BY", rank=1))
    rows = [
        (clock(step.time), f"{step.before} → {step.after}", step.reason, step.actor)
        for step in detail.history
    ]
    print_table(columns, rows)
