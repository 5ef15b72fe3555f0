"""Whether Python and the installed distributions are the ones this package asks for."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import metadata

from iocmng.wire import Finding, Level

NEEDED_PYTHON = (3, 11)


def check_python() -> Iterator[Finding]:
    """Look at the interpreter."""
    shown = (
        f"Python {platform.python_version()} at {sys.executable} on {platform.system()} {platform.machine()}"
    )
    if sys.version_info < NEEDED_PYTHON:
        yield Finding(
            Level.ERROR,
            "python",
            f"{shown}; {'.'.join(map(str, NEEDED_PYTHON))} or newer is needed",
            hint="make the virtual environment with a newer Python",
        )
    else:
        yield Finding(Level.NOTE, "python", shown)
    if sys.prefix == sys.base_prefix:
        yield Finding(
            Level.WARNING,
            "python",
            "this is not a virtual environment; plugins share their dependencies with the system",
            hint="python -m venv DIR, then install there",
        )


def check_distributions(name: str = "iocmng") -> Iterator[Finding]:
    """Compare the requirements of `name` with what is installed."""
    try:
        required = metadata.requires(name) or []
        yield Finding(Level.NOTE, "distributions", f"{name} {metadata.version(name)}")
    except metadata.PackageNotFoundError:
        yield Finding(
            Level.WARNING,
            "distributions",
            f"{name} runs from a source tree and is not installed; its requirements are not checked",
            hint="pip install -e . in the checkout",
        )
        return
    from packaging.requirements import Requirement

    wrong = 0
    for requirement in map(Requirement, required):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        finding = _compare(requirement.name, requirement)
        if finding:
            wrong += 1
            yield finding
    if not wrong:
        yield Finding(Level.NOTE, "distributions", f"all requirements of {name} are met")


def _compare(name: str, requirement: object) -> Finding | None:
    from packaging.requirements import Requirement

    assert isinstance(requirement, Requirement)
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(
            Level.ERROR,
            "distributions",
            f"{requirement} is needed and {name} is not installed",
            hint=f"pip install '{requirement}'",
        )
    if not requirement.specifier.contains(version, prereleases=True):
        return Finding(
            Level.ERROR,
            "distributions",
            f"{requirement} is needed and {name} {version} is installed",
            hint=f"pip install '{requirement}'",
        )
    return None
