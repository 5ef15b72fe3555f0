"""`iocmng dev`: run a package or plugin directory without installing it, again after every change."""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from iocmng.errors import BadInput, IocmngError, NoHost
from iocmng.names import plugin_name_problem, prefix_problem
from iocmng.wire import Level
from iocmng_cli.development import HostProcess, Staged, Watched, free_port, stage, stage_directory
from iocmng_cli.text import worst_first

if TYPE_CHECKING:
    from iocmng.client import Client

app = typer.Typer()

LOOK_EVERY = 0.3
READY_PATIENCE = 30.0


@app.command(epilog="Example: iocmng dev ./beam-monitor\n\nCtrl-C ends it.")
def dev(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A package with pyproject.toml, or a plugin directory.")
    ],
    prefix: Annotated[
        str | None, typer.Option(metavar="PREFIX", help="First part of all PV names; default: DEV:<USER>.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, metavar="PORT", help="Port of the admin endpoint; default: a free one."
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Site file; default: none.")] = None,
    state_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Directory of what the host keeps; default: one for each DIR."),
    ] = None,
    log_level: Annotated[str, typer.Option(metavar="LEVEL", help="Least level that is logged.")] = "info",
) -> None:
    """Run a package or plugin directory without installing it, and again whenever a file changes."""
    project = directory.expanduser().resolve()
    if not project.is_dir():
        raise BadInput(
            f"{directory} is no directory", hint="name one that holds a pyproject.toml or a config.yaml"
        )
    first_part = prefix or f"DEV:{_user()}"
    if problem := prefix_problem(first_part):
        raise BadInput(problem, hint="give another with --prefix")
    signal.signal(signal.SIGTERM, _interrupt)
    number = port or free_port()
    with tempfile.TemporaryDirectory(prefix="iocmng-dev-") as scratch:
        site = config.resolve() if config else _empty_site_file(Path(scratch))
        options = [
            "--config",
            str(site),
            "--prefix",
            first_part,
            "--host",
            "127.0.0.1",
            "--port",
            str(number),
        ]
        # Said always: what the environment names belongs to another host, which may be running.
        options += ["--log-level", log_level, "--state-dir", str(state_dir or _state_directory(project))]
        try:
            _run_and_watch(project, Path(scratch), options, f"http://127.0.0.1:{number}")
        except KeyboardInterrupt:
            return


def _run_and_watch(project: Path, scratch: Path, options: list[str], url: str) -> None:
    watched = Watched(project)
    generation = 0
    while True:
        generation += 1
        host = _start(project, scratch / str(generation), options)
        try:
            if host:
                _announce(host, url)
            changed = _wait_for_change(watched, host)
        finally:
            if host:
                host.stop()
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        _say(f"changed: {', '.join(changed[:3])}{more}; starting again")


def _start(project: Path, scratch: Path, options: list[str]) -> HostProcess | None:
    # The lists of another host: this one would install what they name.
    lists = ("IOCMNG_PLUGINS_CONFIG", "IOCMNG_PLUGINS_DIR")
    environment = {name: value for name, value in os.environ.items() if name not in lists}
    try:
        if (project / "pyproject.toml").is_file():
            staged = stage(project, scratch)
        else:
            staged = _plugin_directory(project, scratch)
    except BadInput as error:
        _say(f"error: {error}")
        return None
    only = [word for name in staged.plugins for word in ("--only", name)]
    host = HostProcess([*options, *only], environment, staged.import_path)
    host.start()
    return host


def _plugin_directory(project: Path, scratch: Path) -> Staged:
    if not any((project / f"config.{suffix}").is_file() for suffix in ("yaml", "yml", "json")):
        raise BadInput(
            f"{project} holds neither pyproject.toml nor config.yaml", hint="`iocmng new` makes a package"
        )
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", project.name).strip("-_")
    if problem := plugin_name_problem(name):
        raise BadInput(problem, hint="rename the directory")
    return stage_directory(name, project, scratch)


def _announce(host: HostProcess, url: str) -> None:
    from iocmng.client import Client

    deadline = time.monotonic() + READY_PATIENCE
    with Client(url) as client:
        while host.exit_code() is None and time.monotonic() < deadline:
            try:
                if client.ready() is None:
                    break
            except NoHost:
                pass
            time.sleep(LOOK_EVERY)
        else:
            return
        try:
            _describe(client)
        except IocmngError as error:
            _say(f"error: {error}")


def _describe(client: Client) -> None:
    for view in client.list():
        for finding in worst_first(view.findings):
            if finding.level is not Level.ERROR:  # the host itself prints those
                _say(f"{view.name}: {finding}")
    _say(f"serving at {client.url}; waiting for changes")


def _wait_for_change(watched: Watched, host: HostProcess | None) -> list[str]:
    ended = host is None
    while True:
        changed = watched.changed()
        if changed:
            return changed
        if host and not ended and (code := host.exit_code()) is not None:
            _say(f"the host ended with exit code {code}; waiting for changes")
            ended = True
        time.sleep(LOOK_EVERY)


def _empty_site_file(scratch: Path) -> Path:
    file = scratch / "iocmng.yaml"
    file.write_text("{}\n", encoding="utf-8")
    return file


def _state_directory(project: Path) -> Path:
    """A state directory of this project alone, where clients look for the tokens of this user's hosts."""
    from iocmng.client.token import user_state_root

    short = hashlib.sha256(str(project).encode()).hexdigest()[:12]
    return user_state_root() / f"dev-{short}"


def _user() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = str(os.getuid())
    return re.sub(r"[^A-Za-z0-9_]+", "_", name).upper()


def _say(text: str) -> None:
    # In one write: the host prints into the same terminal.
    sys.stderr.write(f"dev: {text}\n")
    sys.stderr.flush()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
