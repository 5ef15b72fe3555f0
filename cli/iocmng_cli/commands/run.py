"""`iocmng run`: a host in the foreground."""

from __future__ import annotations

import gc
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()


class LogLevel(StrEnum):
    """Levels of the log, in Python's words."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


@app.command(
    epilog="Example: iocmng run --prefix LAB:TEST\n\n"
    "Example: iocmng run --config site.yaml --only beam-monitor --log-level debug\n\n"
    "Exit codes: 0 stopped, 1 boot failed, 2 usage or site file, 75 asks for a restart."
)
def run(
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Site file; default: IOCMNG_CONFIG, ./iocmng.yaml, /etc/iocmng/iocmng.yaml."
        ),
    ] = None,
    prefix: Annotated[
        str | None, typer.Option(metavar="PREFIX", help="First part of all PV names; IOCMNG_PREFIX.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address of the admin endpoint; IOCMNG_HOST.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, metavar="PORT", help="Its port; IOCMNG_PORT, else 8080.")
    ] = None,
    state_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Directory of what the host keeps; IOCMNG_STATE_DIR.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Make only this instance; may be given several times."),
    ] = None,
    safe_mode: Annotated[
        bool, typer.Option("--safe-mode", help="Start no plugin, only the admin endpoint.")
    ] = False,
    log_level: Annotated[
        LogLevel | None,
        typer.Option(
            case_sensitive=False, metavar="LEVEL", help="Least level that is logged; IOCMNG_LOG_LEVEL."
        ),
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(metavar="text|json", help="Form of the log lines.")
    ] = None,
) -> None:
    """Run a host in the foreground until it is told to stop."""
    given: dict[str, Any] = {
        "config": config,
        "prefix": prefix,
        "host": host,
        "port": port,
        "state_dir": state_dir,
        "only": tuple(only or ()) or None,
        "safe_mode": safe_mode or None,
        "log_level": log_level.value.upper() if log_level else None,
        "log_format": log_format,
    }
    # What is imported stays for the life of the process: looking for garbage among it only costs time.
    gc.disable()
    from iocmng.host.boot import run as run_host

    raise typer.Exit(run_host({name: value for name, value in given.items() if value is not None}))
