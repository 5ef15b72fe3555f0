"""README from top to bottom: every block is executed, in order, in a fresh copy of the repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from documents import Block, blocks
from environments import DEADLINE, ROOT, Environment, checkout, outside
from hosts import RunningHost, own_world, running

INSTALL = 400.0
SECOND_LINE = next(
    block.text.strip() for block in blocks("README.md") if block.text.strip().endswith("pytest")
)


class Reader:
    """A newcomer who does what README says, in two terminals."""

    def __init__(self, clone: Path, world: dict[str, str], stack: ExitStack) -> None:
        self.clone = clone
        self.world = world
        self.host: RunningHost | None = None
        self.said: dict[str, str] = {}
        self._stack = stack

    def follow(self, block: Block) -> None:
        """Do what one block says."""
        text = block.text.strip()
        if block.language in ("python", "yaml"):
            self._write(block)
        elif text.endswith("iocmng run"):
            self.leave()
            argv = ["bash", "-c", text]
            environment = Environment(self.clone / ".venv")
            self.host = self._stack.enter_context(
                running(environment, self.clone, argv=argv, env=self.world, start=INSTALL)
            )
        elif text.endswith("pytest"):
            # The whole suite would run this test again: the line as it stands, on a part of the suite.
            self._run(text, {"PYTEST_ADDOPTS": "tests/unit/test_runtime_policy.py"})
        else:
            for line in text.splitlines():
                self._run(line, {})

    def leave(self) -> None:
        """Ctrl-C in the first terminal."""
        if self.host is not None:
            assert self.host.interrupt() == 0, self.host.output
        self.host = None

    def _write(self, block: Block) -> None:
        before = (ROOT / "README.md").read_text().partition(block.text)[0]
        name = re.findall(r"`(ramp/[\w/.]+)`", before)[-1]
        assert (self.clone / name).is_file(), f"{name} is there to be replaced"
        (self.clone / name).write_text(block.text)

    def _run(self, line: str, env: dict[str, str]) -> None:
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.clone,
            env={**outside(), **self.world, **env},
            capture_output=True,
            text=True,
            timeout=INSTALL,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, (
            f"{line}\n{done.stdout}{done.stderr}\n{self.host.output if self.host else ''}"
        )
        self.said[line] = done.stdout


@pytest.fixture
def world(tmp_path: Path) -> dict[str, str]:
    """A terminal whose python3 is the one that runs the tests, without its environment."""
    python3 = Path(sys.base_prefix) / "bin"
    return {
        **own_world(tmp_path),
        "PATH": f"{python3}:{os.environ['PATH']}",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        # Compiling all that is installed takes half a minute and proves nothing.
        "PIP_NO_COMPILE": "1",
    }


@pytest.mark.timeout(3 * INSTALL)
def test_every_block_does_what_it_says(tmp_path: Path, world: dict[str, str]) -> None:
    todo = blocks("README.md")
    assert [block.language for block in todo] == ["bash"] * 4 + ["python", "yaml"] + ["bash"] * 3
    with ExitStack() as stack:
        reader = Reader(checkout(tmp_path / "clone"), {**world, "IOCMNG_PREFIX": "README"}, stack)
        reader.follow(todo[0])
        host = reader.host
        assert host is not None
        for expected in ("README", "host-monitor", "disk-probe", "README:HOST-MONITOR:CPU", host.url):
            assert expected in host.output
        for provider in ("ca", "pva"):
            assert 0 <= host.read(provider, "README:HOST-MONITOR:MEMORY") <= 100
        reader.follow(todo[1])
        assert host.read("pva", "README:DISK-PROBE:WRITE_TIME") > 0
        reader.leave()
        for block in todo[2:]:
            reader.follow(block)
        assert reader.said[SECOND_LINE].splitlines()[-1].endswith("s")
        assert "passed" in reader.said[SECOND_LINE].splitlines()[-1]
        assert reader.host is not None
        assert reader.host.read("ca", "README:RAMP:TOP", wanted=20) == 20
        assert reader.host.read("pva", "README:RAMP:STATUS", wanted=1) == 1
        reader.leave()


def test_the_program_of_the_checks_calls_the_second_line() -> None:
    program = (ROOT / ".ci" / "run").read_text()
    found = re.search(r"grep -m 1 -E '([^']+)' README\.md", program)
    assert found is not None
    (line,) = re.findall(found.group(1), (ROOT / "README.md").read_text(), re.MULTILINE)
    assert line == SECOND_LINE
    assert 'bash -c "$tests"' in program


def test_the_program_of_the_checks_can_be_read_by_bash() -> None:
    done = subprocess.run(
        ["bash", "-n", ROOT / ".ci" / "run"], capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == 0, done.stderr
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
