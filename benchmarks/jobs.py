"""Runs of jobs: from the request over HTTP to the first line, and a hundred scripts at once, against bare processes."""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hosts import HERE, HostProcess, instances, workplace
from table import Row, sample, show

STARTS = 20
PARALLEL = 100
SECONDS = 2.0
LIMIT = 120.0
SCRIPT = HERE / "plugin" / "src" / "iocmng_bench" / "script" / "run.py"
SAYS = "first line at "


class Operator:
    """Asks a host, over a connection that is opened anew after a pause: the host closes one that is idle."""

    def __init__(self, host: HostProcess) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=LIMIT)
        token = (host.directory / "state" / "token").read_text().strip()
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def pause(self) -> None:
        """Nothing is asked for some time."""
        self._connection.close()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask, and return the answer."""
        content = None if body is None else json.dumps(body)
        self._connection.request(method, f"/api/v1{path}", content, self._headers)
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer}")
        return answer

    def start(self, job: str, **arguments: Any) -> str:
        """Start a run."""
        return str(self.ask("POST", f"/jobs/{job}/runs", {"arguments": arguments})["id"])

    def over(self, run: str) -> Any:
        """Wait until a run is over."""
        end = time.monotonic() + LIMIT
        while True:
            view = self.ask("GET", f"/runs/{run}?wait=20")
            if view["state"] not in ("RUNNING", "QUEUED"):
                return view
            if time.monotonic() > end:
                raise RuntimeError(f"run {run} is not over")

    def first_line(self, job: str) -> float:
        """Milliseconds from the request to the moment at which a run's code printed its first line."""
        begun = time.time()
        run = self.start(job)
        self.over(run)
        lines = [line["text"] for line in self.ask("GET", f"/runs/{run}/log")["lines"]]
        said = next(text for text in lines if text.startswith(SAYS))
        return (float(said.removeprefix(SAYS)) - begun) * 1e3


@contextmanager
def host(place: Path) -> Iterator[Operator]:
    """A host with a job, and a hundred script jobs."""
    listed = [*instances("bench-job", 1), *instances("bench-script", PARALLEL)]
    listed[0]["prefix"] = "JOB"
    made = HostProcess(place, "jobs", {"only_listed": True, "instances": listed})
    made.start(instances=0)
    try:
        yield Operator(made)
    finally:
        made.stop()


def bare_first_line() -> float:
    """The same of a process that is started here."""
    begun = time.time()
    done = subprocess.run(
        [sys.executable, "-u", SCRIPT], capture_output=True, text=True, check=True, timeout=LIMIT
    )
    return (float(done.stdout.removeprefix(SAYS)) - begun) * 1e3


def parallel(operator: Operator) -> float:
    """Seconds until a hundred runs, started one after the other, are over."""
    begun = time.monotonic()
    runs = [operator.start(f"bench-script-{number:04}", seconds=SECONDS) for number in range(PARALLEL)]
    views = [operator.over(run) for run in runs]
    if any(view["state"] != "SUCCESS" for view in views):
        raise RuntimeError(f"not all succeeded: {[view['message'] for view in views]}")
    return time.monotonic() - begun


def bare_parallel() -> float:
    """The same of bare processes."""
    begun = time.monotonic()
    command = [sys.executable, "-u", str(SCRIPT), "--seconds", str(SECONDS)]
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(PARALLEL)]
    for process in processes:
        process.wait(LIMIT)
    return time.monotonic() - begun


def rows(runs: int) -> list[Row]:
    """Measure in turn."""
    threads, scripts, bare, together, apart = [], [], [], [], []
    with workplace() as place, host(place) as operator:
        operator.first_line("bench-job-0000")
        for _ in range(runs):
            threads.append(statistics.median(operator.first_line("bench-job-0000") for _ in range(STARTS)))
            scripts.append(statistics.median(operator.first_line("bench-script-0000") for _ in range(STARTS)))
            operator.pause()
            bare.append(statistics.median(bare_first_line() for _ in range(STARTS)))
            together.append(parallel(operator))
            operator.pause()
            apart.append(bare_parallel())
    return [
        Row("run of a Python job: request to first line", sample(threads, "ms")),
        Row(
            "run of a script: request to first line",
            sample(scripts, "ms"),
            "bare process to its first line",
            sample(bare, "ms"),
        ),
        Row(
            f"{PARALLEL} scripts of {SECONDS:g} s at once, until all are over",
            sample(together, "s"),
            "as many bare processes",
            sample(apart, "s"),
        ),
    ]


if __name__ == "__main__":
    show("jobs", rows(int(sys.argv[1]) if len(sys.argv) > 1 else 2))
