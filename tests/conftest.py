"""Makes the modules beside this file importable from every test, and says how properties are explored."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

# A gate has to give the same answer for the same code; at a desk every run may look elsewhere.
settings.register_profile("gate", derandomize=True, deadline=None)
settings.register_profile("desk", deadline=None)
settings.load_profile("gate" if os.environ.get("CI") else "desk")

# Started in the background, a gate ignores SIGINT, and so would every program that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

LONG = ("test_readme.py", "test_bake.py", "test_packaging.py", "test_cli_host.py", "test_boot.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin the long files first, so that two processes end at about the same time; the rest stays shuffled."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))
