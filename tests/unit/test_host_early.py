"""Signals before a host serves: they end the boot, wherever in it they come."""

from __future__ import annotations

import subprocess
import sys

HEAD = """
import asyncio, os, signal, sys, threading, time, traceback
from importlib import import_module
from iocmng.host import early
from iocmng.host.early import Stopped, serve_signals, stop_on_signals
"""
IN_THE_MIDST_OF_IMPORTS = """
def send():
    time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGTERM)
stop_on_signals()
for turn in range(6):
    early._Asked.came = early._Asked.raised = False
    end = time.monotonic() + 30
    try:
        threading.Thread(target=send).start()
        while time.monotonic() < end:
            for name in ("colorsys", "this_is_not_there"):
                sys.modules.pop(name, None)
                try:
                    import_module(name)
                except ImportError:
                    pass
        sys.exit("the signal was lost")
    except Stopped as stopped:
        *_, met, handler = traceback.extract_tb(stopped.__traceback__)
        if met.filename.startswith("<frozen importlib"):
            sys.exit(f"it was raised in {met.name}, where locks are left behind")
"""
SWALLOWED = """
stop_on_signals()
try:
    signal.raise_signal(signal.SIGINT)
except BaseException:
    pass
async def main():
    serve_signals(lambda: None)
try:
    asyncio.run(main())
except Stopped:
    sys.exit(7)
"""
TWICE = """
stop_on_signals()
try:
    signal.raise_signal(signal.SIGTERM)
except Stopped:
    signal.raise_signal(signal.SIGINT)
    sys.exit(7)
"""


def run(program: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HEAD + program], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stderr


def test_a_signal_in_the_midst_of_an_import_leaves_no_lock_behind() -> None:
    assert run(IN_THE_MIDST_OF_IMPORTS) == (0, "")


def test_a_stop_that_was_swallowed_is_remembered() -> None:
    assert run(SWALLOWED) == (7, "")


def test_the_second_signal_does_not_disturb_the_end_that_the_first_began() -> None:
    assert run(TWICE) == (7, "")
