"""Whether the compiled libraries load, each in a process of its own: a crash there is a finding here."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from iocmng.wire import Finding, Level

MODULES = (
    "softioc.softioc",
    "p4p.client.thread",
    "epicscorelibs.path.pyepics, epics",
    "cothread",
    "fastapi",
    "numpy",
)
PATIENCE = 30.0


def check_imports(modules: tuple[str, ...] = MODULES) -> Iterator[Finding]:
    """Import each of `modules` in a child process."""
    with ThreadPoolExecutor(2) as pool:
        problems = list(pool.map(_problem, modules))
    for module, problem in zip(modules, problems, strict=True):
        if problem:
            yield Finding(
                Level.ERROR,
                "imports",
                f"import {module}: {problem}",
                hint="install that package again for this Python",
            )
    if not any(problems):
        yield Finding(Level.NOTE, "imports", f"all {len(modules)} compiled libraries load")


def _problem(module: str) -> str | None:
    command = [sys.executable, "-c", f"import {module}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return f"does not end within {PATIENCE:g} s"
    if done.returncode < 0:
        return f"ends with {signal.Signals(-done.returncode).name}"
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return lines[-1] if lines else f"exit code {done.returncode}"
    return None
