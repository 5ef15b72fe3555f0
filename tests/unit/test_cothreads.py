"""cothread's scheduler in a thread of its own, in processes of their own: there is one scheduler in each."""

from __future__ import annotations

import subprocess
import sys

import pytest

FIRST = """
import threading
from iocmng.host.cothreads import Scheduler
from iocmng.runtime.clock import RealClock

scheduler, over, said = Scheduler(RealClock()), threading.Event(), []
"""
FOREIGN = (
    "import cothread\n"
    + FIRST
    + """
def body():
    try:
        scheduler.check()
    except RuntimeError as error:
        said.append(str(error))
    over.set()

piece = scheduler.spawn(body, "late")
assert over.wait(20)
print(*said)
"""
)
WAITS = (
    FIRST
    + """
wakeup = scheduler.clock.wakeup()
wakeup.set()

def sleeper():
    assert scheduler.here() is not None
    said.append(wakeup.wait(None))
    said.append(wakeup.wait(0.01))
    said.append(wakeup.wait(0))
    said.append(wakeup.wait(None))
    try:
        scheduler.aside(lambda: 1 / 0)
    except ZeroDivisionError:
        said.append(scheduler.aside(threading.current_thread) is not threading.current_thread())
    over.set()

def busy():
    while not over.is_set():
        scheduler.breathe()

first = scheduler.spawn(sleeper, "first")
second = scheduler.spawn(busy, "second")
while len(said) < 3:
    over.wait(0.01)
wakeup.set()
assert over.wait(20)
while first.is_alive() or second.is_alive():
    pass
print(*said, first.where(), scheduler.here())
"""
)


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (
            FOREIGN,
            "engine: cothread does not work: RuntimeError: cothread's scheduler belongs to MainThread",
        ),
        (WAITS, "True False False True True ended None"),
    ],
)
def test_in_a_process_of_its_own(program: str, says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
    assert "Traceback" not in done.stderr
