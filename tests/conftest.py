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

# By the time that each takes, so that none of them is begun when the others are through.
LONG = (
    "test_readme.py",
    "test_soak.py",
    "test_churn.py",
    "test_installs.py",
    "test_hooks.py",
    "test_state.py",
    "test_install_kills.py",
    "test_restart_host.py",
    "test_supervision.py",
    "test_boot.py",
    "test_boot_crash.py",
    "test_run_single.py",
    "test_supervision_reload.py",
    "test_heartbeat_link.py",
    "test_bake.py",
    "test_packaging.py",
)
KINDS = ("soak", "churn", "system", "template", "contract", "unit")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that all processes end at about the same time; the rest stays shuffled."""

    def rank(item: pytest.Item) -> tuple[int, int]:
        name, kind = item.path.name, item.path.parent.name
        long = LONG.index(name) if name in LONG else len(LONG)
        return long, KINDS.index(kind) if kind in KINDS else len(KINDS)

    items.sort(key=rank)
