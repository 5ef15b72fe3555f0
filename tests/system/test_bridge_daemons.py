"""Bridge tasks beside a real IOC: the handshake, the IOC's death, a task that hangs, and the end of the process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from children import Lines
from environments import ROOT, outside
from hosts import STOP, free_ports, own_world

LASTING, HANGING, HOSTED = PREFIXES = ("A:", "B:", "C:")
Child = tuple[subprocess.Popen[str], Lines]
HOST = "from iocmng.host.single import main; main()"
SOURCES = ROOT / "examples" / "bridge" / "src"
DAEMON = """
import sys, time
from iocmng_stage_bridge import Stage, StageRecords

class Moody(Stage):
    def get_max_stall_limit(self):
        return 0.5
    def get_poll_rate(self):
        return 0.1
    def get_max_stuck_cycles(self):
        return int(sys.argv[1])
    def run_task(self):
        limit = self.io.pvget(self.interface.limit)
        if limit == 1:
            raise ValueError("no such stage")
        if limit == 2:
            return None
        if limit == 3:
            time.sleep(60)
        return super().run_task()

Moody(interface=StageRecords(prefixes={"main": sys.argv[2]})).start()
"""
CLIENT = """
import json, sys
from iocmng.errors import IocmngError
from iocmng.links import Links, Provider
links = Links(Provider.CA)
for line in sys.stdin:
    verb, *rest = json.loads(line)
    try:
        if verb == "get":
            answer = [links.get(name, timeout=2.0).value for name in rest]
        else:
            answer = links.put(rest[0], rest[1], timeout=2.0)
    except IocmngError as error:
        answer = str(error)
    print(json.dumps(answer), flush=True)
"""


class World:
    """One IOC's ports, what is started there, and a client that never stays connected to another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {
            **outside(),
            **own_world(folder),
            "EPICS_CA_CONN_TMO": "2",
            "EPICS_PVA_CONN_TMO": "2",
            "PYTHONPATH": str(SOURCES),
        }
        self._client: Child | None = None

    def begin(self, *arguments: str, env: dict[str, str] | None = None) -> Child:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**self.env, **(env or {})},
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return process, Lines(process.stdout)

    @contextmanager
    def ioc(self) -> Iterator[subprocess.Popen[str]]:
        """The IOC with a client of its own: one that saw another die looks for it in growing intervals."""
        process, lines = self.begin(
            "-m", "iocmng_stage_bridge.ioc", *(f"--prefix={name}" for name in PREFIXES)
        )
        client = self._client = self.begin("-c", CLIENT)
        try:
            while "camonitor" not in lines.next(60.0, "the IOC serves"):
                continue
            yield process
        finally:
            self.end(*client)
            self.end(process, lines)

    def elsewhere(self) -> dict[str, str]:
        """What gives a host other ports than the IOC."""
        cas, pva, broadcast = map(str, free_ports(3))
        return {
            "EPICS_CAS_SERVER_PORT": cas,
            "EPICS_PVAS_SERVER_PORT": pva,
            "EPICS_PVAS_BROADCAST_PORT": broadcast,
        }

    @contextmanager
    def running(self, *arguments: str, env: dict[str, str] | None = None) -> Iterator[Child]:
        process, lines = self.begin(*arguments, env=env)
        try:
            yield process, lines
        finally:
            self.end(process, lines)

    def end(self, process: subprocess.Popen[str], lines: Lines) -> None:
        process.kill()
        process.wait(STOP)
        assert process.stdin is not None
        process.stdin.close()
        lines.close()

    def tell(self, *words: Any) -> Any:
        assert self._client is not None
        process, lines = self._client
        assert process.stdin is not None
        process.stdin.write(f"{json.dumps(words)}\n")
        process.stdin.flush()
        return json.loads(lines.next(30.0, str(words)))

    def put(self, pv: str, value: float) -> None:
        until(lambda: self.tell("put", pv, value) is None, f"{pv} takes {value}")

    def get(self, prefix: str, *names: str) -> Any:
        answers: list[Any] = []

        def answered() -> bool:
            answers.append(self.tell("get", *(prefix + name for name in names)))
            return isinstance(answers[-1], list)

        until(answered, f"{names} answer: {answers}")
        return answers[-1]

    def shows(self, prefix: str, **wanted: Any) -> None:
        until(lambda: self.get(prefix, *wanted) == list(wanted.values()), f"{prefix} {wanted}")

    def beating(self, prefix: str) -> None:
        """Wait for a change of the heartbeat."""
        (before,) = self.get(prefix, "Heartbeat")
        until(lambda: self.get(prefix, "Heartbeat") == [1 - before], f"{prefix} beats")

    def work(self, prefix: str, target: float) -> None:
        """Have one cycle done in full."""
        self.put(f"{prefix}Target", target)
        self.put(f"{prefix}Trigger", 1)
        self.shows(prefix, Position=target, TaskStatus=0, Busy=0, Trigger=0)

    def begin_work(self, prefix: str) -> None:
        """Let a long cycle be under way."""
        self.put(f"{prefix}Limit", 1000.0)
        self.put(f"{prefix}Target", 900.0)
        self.put(f"{prefix}Trigger", 1)
        self.shows(prefix, Busy=1)


def until(seen: Callable[[], bool], what: str, deadline: float = 30.0) -> None:
    end = time.monotonic() + deadline
    while not seen():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def test_bridges_beside_an_ioc_that_dies(tmp_path: Path) -> None:
    world = World(tmp_path)
    config = tmp_path / "config.yaml"
    config.write_text(f"handshake: {{prefixes: {{main: '{HOSTED}'}}, max_stuck_cycles: 3}}")
    module = ("-m", "iocmng_stage_bridge", "-c", "Stage", "--config", str(config), "--prefix", "BRG")
    with (
        world.ioc() as ioc,
        world.running("-c", DAEMON, "1000", LASTING) as (lasting, lasting_said),
        world.running("-c", DAEMON, "3", HANGING) as (hanging, hanging_said),
        world.running("-c", HOST, *module, env=world.elsewhere()) as (hosted, hosted_said),
    ):
        world.put(f"{HANGING}Limit", 3.0)
        world.beating(HANGING)
        world.put(f"{HANGING}Trigger", 1)
        world.beating(LASTING)
        world.work(LASTING, 2.0)
        assert 0.19 <= world.get(LASTING, "TaskDuration")[0] < 20.0
        for limit in (1.0, 2.0):
            world.put(f"{LASTING}TaskStatus", 0)
            world.put(f"{LASTING}Limit", limit)
            world.put(f"{LASTING}Trigger", 1)
            world.shows(LASTING, TaskStatus=3, Busy=0, Trigger=0)
        world.put(f"{LASTING}Limit", 50.0)
        world.beating(HOSTED)
        world.work(HOSTED, 1.0)

        # What hangs ends with its reason, and its records say so.
        assert hanging.wait(STOP) == 75, str(hanging_said)
        world.shows(HANGING, TaskStatus=3, Busy=0, Trigger=0)
        assert "Moody gives up: no progress for" in hanging_said.until("gives up", STOP)

        # The IOC dies: a bridge in a host of its own gives up, one that may wait longer goes on.
        world.begin_work(LASTING)
        ioc.kill()
        assert hosted.wait(STOP) == 1, str(hosted_said)
        assert f"{HOSTED}Heartbeat does not take heartbeats" in str(hosted_said)
        with world.ioc():
            world.beating(LASTING)
            world.work(LASTING, 1.0)
            world.begin_work(LASTING)
            lasting.send_signal(signal.SIGTERM)
            assert lasting.wait(STOP) == 0, str(lasting_said)
            assert world.get(LASTING, "Busy", "Trigger", "TaskStatus") == [0, 0, 1]
        assert "no such stage" in str(lasting_said)
        assert "returned None" in str(lasting_said)
