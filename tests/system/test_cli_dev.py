"""`iocmng dev`: edit, save, see it run; and `iocmng-server`, configured by environment variables alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from children import Lines
from environments import Environment, outside
from hosts import own_world, running

DEADLINE = 60.0

PYPROJECT = """
[project]
name = "acme-blink"
version = "0.1"

[project.entry-points."iocmng.plugins"]
blink = "acme_blink.plugin:Blink"
"""
PLUGIN = """
from iocmng import TaskBase

from acme_blink.word import WORD


class Blink(TaskBase):
    def execute(self):
        self.logger.info("says %s", WORD)
"""
CONFIG = """
parameters: {interval: 0.2}
arguments:
  outputs:
    ON: {type: bool, value: false}
"""


class Dev:
    """A running `iocmng dev`, line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines = Lines(process.stdout)

    def until(self, text: str) -> str:
        """Wait for a line that holds `text`."""
        return self.lines.until(text, DEADLINE)

    def both(self, one: str, other: str) -> None:
        """Wait for a line that holds `one` and for one that holds `other`: two processes print them."""
        while one not in (line := self.lines.next(DEADLINE, one)) and other not in line:
            assert line, f"it ended before {one!r}:\n{self.lines}"
        self.until(other if one in line else one)

    def end(self) -> int:
        """Ctrl-C, as a terminal sends it: to the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(DEADLINE)


@contextmanager
def developing(folder: Path, home: Path) -> Iterator[Dev]:
    """`iocmng dev FOLDER` until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "iocmng_cli", "dev", str(folder)],
        env={**outside(), **own_world(home), "LOGNAME": "ada", "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    dev = Dev(process)
    try:
        yield dev
        dev.lines.close()
    finally:
        if process.poll() is None:
            # Its host is a child of its own.
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(DEADLINE)


def _package(root: Path) -> Path:
    source = root / "src" / "acme_blink"
    source.mkdir(parents=True)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (source / "__init__.py").write_text("")
    (source / "word.py").write_text("WORD = 'hello'\n")
    (source / "plugin.py").write_text(PLUGIN)
    (source / "config.yaml").write_text(CONFIG)
    return source


def test_a_package_runs_without_being_installed_and_again_after_every_change(tmp_path: Path) -> None:
    source = _package(tmp_path / "blink")
    with developing(tmp_path / "blink", tmp_path) as dev:
        dev.both("DEV:ADA:BLINK:ON", "waiting for changes")
        dev.until("says hello")
        (source / "word.py").write_text("WORD = 'goodbye'\n")
        assert "word.py" in dev.until("dev: changed")
        dev.until("says goodbye")
        (source / "config.yaml").write_text(
            CONFIG.replace("interval", "intervall").replace("parameters", "parametres")
        )
        dev.until("dev: changed")
        dev.both(f"{source / 'config.yaml'}:2:1: error: unknown key 'parametres'", "waiting for changes")
        (source / "config.yaml").write_text(CONFIG)
        dev.until("says goodbye")
        (tmp_path / "blink" / "pyproject.toml").write_text("[project]\n")
        dev.until("has no [project] name")
        (tmp_path / "blink" / "pyproject.toml").write_text(PYPROJECT)
        dev.until("says goodbye")
        assert dev.end() == 0
    assert "Traceback" not in str(dev.lines)
    # The environment's state directory is another host's, which may be running.
    assert not (tmp_path / "state").exists()
    (own,) = (tmp_path / "user-state" / "iocmng").iterdir()
    assert own.name.startswith("dev-")
    assert (own / "token").is_file()


def test_the_server_program_needs_only_environment_variables(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "from iocmng_cli.main import server; server()"]
    env = {"IOCMNG_PREFIX": "ENVTEST", "IOCMNG_HOST": "127.0.0.1"}
    with running(Environment(Path(sys.prefix)), tmp_path, argv=argv, env=env) as host:
        assert "ENVTEST" in host.output
        assert host.stop() == 0
