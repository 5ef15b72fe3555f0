"""`iocmng rules test`: feed a recorded trace through the rules of a config."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iocmng.errors import BadInput
from iocmng.wire import Finding, Level, to_plain
from iocmng_cli.options import Json
from iocmng_cli.output import colored, print_json

if TYPE_CHECKING:
    from iocmng.logic.replay import Moment
    from iocmng.logic.trace import Trace
    from iocmng.spec import InstanceSpec

app = typer.Typer(help="Try out rules.", no_args_is_help=True)


@app.callback()
def _rules() -> None:
    """Try out rules."""


@app.command(
    "test",
    epilog="Example: iocmng rules test config.yaml leak.csv\n\n"
    "Exits 1 when the config has an error, or when an output does not show what the trace expects.",
)
def replay(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="A config.yaml, or the project that holds it.")
    ],
    trace: Annotated[
        Path,
        typer.Argument(
            metavar="TRACE.csv",
            help="Columns: time (seconds or date), ports, PORT.severity, CLEAR. An empty cell changes nothing;"
            " INVALID, DISCONNECTED and ? are unknown. A column of an output is what it is expected to show.",
        ),
    ],
    until: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Go on for so long after the last line.", min=0.0)
    ] = None,
    json: Json = False,
) -> None:
    """Feed a recorded trace through rules, without a host, and print every decision with its reason."""
    from iocmng.logic.engine import Program
    from iocmng.logic.replay import Replay, plain_step
    from iocmng.logic.trace import read_trace

    spec, findings = _described(config)
    if spec is None:
        _complain(findings, json=json)
        raise typer.Exit(1)
    program = Program.compile(spec)
    read = read_trace(trace, spec, program.writes)
    run = Replay(spec, program, read)
    end = None if until is None or not read.rows else read.rows[-1].time + until
    moments = run.run(end)
    failed = False
    if json:
        kept = list(moments)
        failed = any(moment.mismatches for moment in kept)
        print_json(
            {
                "config": str(config),
                "trace": str(trace),
                "ok": not failed,
                "findings": to_plain(findings),
                "steps": [plain_step(moment) for moment in kept],
                "rules": to_plain(run.rules),
            }
        )
    else:
        _complain(findings)
        for moment in moments:
            failed |= bool(moment.mismatches)
            print("\n".join(_lines(moment, read, spec)))
        count = len(read.rows)
        print(f"{config}: {count} line{'' if count == 1 else 's'}, {'not as expected' if failed else 'ok'}")
    if failed:
        raise typer.Exit(1)


def _described(path: Path) -> tuple[InstanceSpec | None, tuple[Finding, ...]]:
    """The instance that a config makes, None when there is an error; and the findings."""
    from iocmng.config import load_config
    from iocmng.logic.check import check_logic
    from iocmng.spec import Kind, PluginRef
    from iocmng.spec.build import describe

    file = _config_file(path)
    loaded = load_config(file)
    if loaded.config is None:
        return None, (*loaded.findings, *check_logic(loaded))
    plugin = PluginRef(name="rules", target="", config=str(file))
    spec, more = describe(
        loaded.config, plugin, kind=Kind.TASK, name="rules", host_prefix="TEST", locate=loaded.locate
    )
    findings = (*loaded.findings, *more, *check_logic(loaded, spec))
    if any(finding.code == "unknown-function" for finding in findings):
        _look_for_functions(file)
        findings = (*loaded.findings, *more, *check_logic(loaded, spec))
    if any(finding.level is Level.ERROR for finding in findings):
        return None, findings
    if spec is not None and not spec.logic:
        raise BadInput(f"{file} has no rules", hint="add transforms or rules")
    return spec, findings


def _config_file(path: Path) -> Path:
    """The config at `path`: the file itself, or the one in a directory or project."""
    if path.is_file():
        return path
    found = [
        path / "config.yaml",
        *sorted(path.glob("src/*/config.yaml")),
        *sorted(path.glob("*/config.yaml")),
    ]
    files = [file for file in found if file.is_file()]
    if not files:
        raise BadInput(f"there is no config {path}", hint="give the path of a config.yaml")
    if len(files) > 1 and files[0] != found[0]:
        names = ", ".join(str(file) for file in files)
        raise BadInput(f"{path} holds several configs: {names}", hint="give the path of one")
    return files[0]


def _look_for_functions(file: Path) -> None:
    """Register the functions that installed packages bring, as `validate` does when one is unknown."""
    from iocmng.host.probe import Probe
    from iocmng.plugins.check import validate_path

    with Probe() as prober:
        validate_path(str(file), prober=prober)


def _complain(findings: tuple[Finding, ...], *, json: bool = False) -> None:
    if json:
        print_json({"ok": False, "findings": to_plain(findings)})
        return
    for finding in findings:
        if finding.level is not Level.NOTE:
            style = "bold red" if finding.level is Level.ERROR else "yellow"
            print(colored(str(finding), style))


def _lines(moment: Moment, trace: Trace, spec: InstanceSpec) -> Iterator[str]:
    """What happened at one moment, a line for each decision and effect."""
    step = moment.step
    when = trace.when(moment.time)
    width = len(when)
    yield f"{when}  {'line ' + str(moment.line) if moment.line is not None else 'a time is over'}"
    indent = " " * (width + 2)
    for view in moment.rules:
        state = f"{view.state}, held" if view.held else view.state
        style = {"active": "yellow", "undecided": "magenta"}.get(view.state, "dim")
        yield f"{indent}rule {view.id}: {colored(state, style)}; {view.reason}"
    for event in step.events:
        if event.kind.value in ("latched", "released", "kept", "first", "failed"):
            yield f"{indent}{event.kind.value} {event.subject}: {event.text}"
    for write in step.writes:
        shown = "" if write.value is None else f" = {_shown(spec, write.port, write.value)}"
        quality = f" {write.severity.name}" if write.severity else ""
        reason = f" ({write.reason})" if write.reason else ""
        yield f"{indent}{write.port}{shown}{quality}{reason}"
    for command in step.commands:
        yield f"{indent}{command.port} <- {command.value} (rule {command.rule})"
    for port in step.withdrawn:
        yield f"{indent}{port}: command withdrawn"
    if step.message is not None:
        yield f"{indent}MESSAGE {step.message!r}"
    for mismatch in moment.mismatches:
        yield colored(f"{indent}MISMATCH {mismatch}", "bold red")


def _shown(spec: InstanceSpec, name: str, value: Any) -> str:
    port = next((port for port in spec.ports if port.name == name), None)
    labels = port.record.labels if port is not None else ()
    if labels and isinstance(value, (bool, int)) and 0 <= int(value) < len(labels):
        return f"{int(value)} ({labels[int(value)]})"
    if isinstance(value, str):
        return repr(value)
    unit = f" {port.record.unit}" if port is not None and port.record.unit else ""
    return f"{value:.6g}{unit}" if isinstance(value, float) else f"{value}{unit}"
