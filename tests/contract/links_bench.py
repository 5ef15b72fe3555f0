"""What the link tests stand on: a source in a process of its own, and the client under test in another.

The client library of Channel Access reads its environment once per process, so a client that is to use
a test's own ports and short timeouts cannot live in pytest's process beside those of other tests.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import hosts
from children import Lines

from iocmng.spec import InstanceSpec
from iocmng.testing.links import FakeLinks
from iocmng.values import Reading

SOURCE = Path(__file__).with_name("links_source.py")
LABELS = ("Idle", "Ramping", "Hold")
ANSWER_WITHIN = 60.0


def wait_for(what: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Return the first true result of `what`."""
    deadline = time.monotonic() + seconds
    while not (result := what()):
        assert time.monotonic() < deadline, f"nothing after {seconds} s"
        time.sleep(0.01)
    return result


def values(client: Any, key: str) -> list[Any]:
    """Return the values that a subscription got while its PV was connected."""
    return [reading.value for reading in client.events(key) if reading.connected]


def last_if(client: Any, key: str, *, connected: bool) -> Reading | None:
    """Return the last reading of a subscription when it is connected, or not, as asked."""
    reading: Reading = client.events(key)[-1]
    return reading if reading.connected is connected else None


def two_worlds() -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Return the environments of two servers and of clients that see both."""
    first, second = free_ports(), free_ports()
    clients = dict(first)
    for name in ("EPICS_CA_ADDR_LIST", "EPICS_PVA_ADDR_LIST"):
        clients[name] = f"{first[name]} {second[name]}"
    return first, second, clients


def free_ports() -> dict[str, str]:
    """Return an environment in which servers and clients meet on ports of their own."""
    ca, pva, broadcast, repeater = map(str, hosts.free_ports(4))
    return {
        "EPICS_CA_SERVER_PORT": ca,
        "EPICS_PVAS_SERVER_PORT": pva,
        "EPICS_PVAS_BROADCAST_PORT": broadcast,
        "EPICS_CA_REPEATER_PORT": repeater,
        "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.1",
        "EPICS_PVAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_PVAS_BEACON_ADDR_LIST": f"127.0.0.1:{broadcast}",
        "EPICS_CA_ADDR_LIST": f"127.0.0.1:{ca}",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_PVA_ADDR_LIST": f"127.0.0.1:{broadcast}",
        "EPICS_PVA_AUTO_ADDR_LIST": "NO",
        "EPICS_PVA_BROADCAST_PORT": broadcast,
        "EPICS_CA_CONN_TMO": "2",
        "EPICS_PVA_CONN_TMO": "2",
        "EPICS_ALLOW_POSIX_THREAD_PRIORITY_SCHEDULING": "NO",
    }


def _state(task: Path) -> str:
    return (task / "stat").read_text().rpartition(") ")[2][0]


class Source:
    """A softioc process with one record of each kind."""

    def __init__(self, scratch: Path, environment: dict[str, str], prefix: str = "SRC") -> None:
        self.prefix = prefix
        self._scratch = scratch
        self._environment = {**os.environ, **environment}
        self.start()

    def pv(self, name: str) -> str:
        return f"{self.prefix}:{name}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SOURCE), self.prefix, str(self._scratch)],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._lines = Lines(self.process.stdout)
        self._lines.until("ready", 60.0)

    def set(self, name: str, value: Any) -> None:
        self.process.stdin.write(f"{name} {value!r}\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)
        self.process.stdin.close()
        self._lines.close()

    def hang(self) -> None:
        self.process.send_signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self.process.pid}/task")
        # The signal stops one thread after another; one that still runs may answer.
        wait_for(lambda: all(_state(task) == "T" for task in tasks.iterdir()))

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class FakeSource:
    """The same, in memory."""

    def __init__(self, links: FakeLinks) -> None:
        self._links = links
        self.start()

    def pv(self, name: str) -> str:
        return f"SRC:{name}"

    def start(self) -> None:
        import numpy as np

        values = {"FLOAT": 1.5, "INT": 7, "STRING": "beam on", "TARGET": 0.0, "READONLY": 4.5}
        for name, value in values.items():
            self._links.serve(self.pv(name), value)
        self._links.serve(self.pv("BOOL"), 1, labels=("Closed", "Open"))
        self._links.serve(self.pv("ENUM"), 1, labels=LABELS)
        self._links.serve(self.pv("ARRAY"), np.array([1.0, 2.0, 3.0]))
        self._links.serve(self.pv("NAMES"), np.array(["one", "two"]))
        self._links.refuse(self.pv("READONLY"))

    def set(self, name: str, value: Any) -> None:
        from iocmng.values import Severity, Status

        high = name == "FLOAT" and value >= 100
        quality = (Severity.MAJOR, Status.HIHI) if high else (Severity.NO_ALARM, Status.NO_ALARM)
        self._links.serve(self.pv(name), value, *quality)

    def kill(self) -> None:
        for name in ("FLOAT", "INT", "STRING", "TARGET", "READONLY", "BOOL", "ENUM", "ARRAY", "NAMES"):
            self._links.disconnect(self.pv(name))


class RemoteClient:
    """A client in a process of its own, called as if it were here."""

    def __init__(self, provider: str, environment: dict[str, str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, provider, environment), daemon=True)
        self._process.start()
        there.close()
        self._lock = threading.Lock()

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                self._pipe.send((method, args, kwargs))
                assert self._pipe.poll(ANSWER_WITHIN), f"the client's process did not answer {method}{args}"
                kind, result = self._pipe.recv()
            if kind == "error":
                raise result
            return result

        return call

    def end(self) -> int | None:
        """Close the client and return its process' exit code."""
        self._pipe.send(None)
        self._process.join(15)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(15)
        self._pipe.close()
        return self._process.exitcode


class Recorder:
    """A client whose subscriptions keep what they got, under a key."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._events: dict[str, list[Reading]] = {}
        self._threads: dict[str, set[str]] = {}
        self._undo: dict[str, Callable[[], None]] = {}
        self._wiring: Any = None

    def __getattr__(self, method: str) -> Any:
        return getattr(self._client, method)

    def wire(self, spec: InstanceSpec) -> None:
        """Begin to work the links of an instance."""
        from iocmng.runtime.clock import RealClock
        from iocmng.runtime.wiring import Wiring

        self._wiring = Wiring(self._client, RealClock())
        self._inputs = self._wiring.inputs(spec, lambda port: None)
        self._outputs = self._wiring.outputs(spec, lambda: None)

    def unwire(self) -> None:
        self._inputs.close()
        self._outputs.close(0.0)
        self._wiring.close()

    def readings(self, names: list[str]) -> dict[str, Reading]:
        return {name: self._inputs.reading(name) for name in names}

    def polled(self) -> float:
        """Poll; return how long it took until that was done."""
        done = threading.Event()
        start = time.monotonic()
        self._inputs.poll(done.set)
        assert done.wait(30.0)
        return time.monotonic() - start

    def forward(self, port: str, value: Any) -> None:
        self._outputs.forward(port, value)

    def command(self, port: str, value: Any) -> None:
        self._outputs.command(port, value)

    def wiring_complaints(self) -> tuple[str, str]:
        return self._inputs.complaint, self._outputs.complaint

    def watch(
        self, key: str, pv: str, delay: float = 0.0, fails: bool = False, *, directly: bool = False
    ) -> None:
        events = self._events.setdefault(key, [])
        threads = self._threads.setdefault(key, set())

        def got(reading: Reading) -> None:
            events.append(reading)
            threads.add(threading.current_thread().name)
            if delay:
                time.sleep(delay)
            if fails:
                raise RuntimeError("a callback of the test")

        subscribe = self._client.listen if directly else self._client.monitor
        self._undo[key] = subscribe(pv, got)

    def unwatch(self, key: str) -> None:
        self._undo.pop(key)()

    def events(self, key: str) -> list[Reading]:
        return list(self._events[key])

    def threads(self, key: str) -> set[str]:
        return self._threads[key]

    def asked(self, pvs: list[str], timeout: float) -> tuple[dict[str, Any], float]:
        """Ask all at once; return the answers, and how long the questions themselves took."""
        answers: dict[str, Any] = {}
        start = time.monotonic()
        for pv in pvs:
            self._client.ask(pv, lambda answer, pv=pv: answers.setdefault(pv, answer), timeout=timeout)
        seconds = time.monotonic() - start
        wait_for(lambda: len(answers) == len(pvs), timeout + 10.0)
        return answers, seconds

    def sent(self, pv: str, values: list[Any], timeout: float = 5.0) -> list[Any]:
        """Send all at once; return the outcomes in the order in which they came."""
        outcomes: list[Any] = []
        for value in values:
            self._client.send(pv, value, outcomes.append, timeout=timeout)
        wait_for(lambda: len(outcomes) == len(values), timeout + 10.0)
        return outcomes

    def timed_get_many(self, pvs: list[str], timeout: float) -> tuple[list[Any], float]:
        start = time.monotonic()
        return self._client.get_many(pvs, timeout=timeout), time.monotonic() - start

    def timed_posts(self, pv: str, values: list[Any]) -> float:
        start = time.monotonic()
        for value in values:
            self._client.post(pv, value)
        return time.monotonic() - start


def _serve(pipe: Connection, provider: str, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    from iocmng.links.clients import Links
    from iocmng.names import Provider

    recorder = Recorder(Links(Provider(provider)))
    while (call := pipe.recv()) is not None:
        method, args, kwargs = call
        try:
            answer = ("ok", getattr(recorder, method)(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the test sees it
            answer = ("error", error)
        pipe.send(answer)
    recorder.close()
