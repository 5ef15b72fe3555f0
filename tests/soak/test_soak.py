"""The soak for some seconds, and one kill; `python tests/soak` is for hours."""

from __future__ import annotations

import random
from pathlib import Path

from soak.crash import crash
from soak.program import soak

SECONDS = 6.0


def test_nothing_is_lost_or_left_under_faults(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    done = soak(tmp_path, SECONDS, seed)
    assert done.total() > 10, done


def test_a_host_that_is_killed_forgets_nothing(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    outcomes = crash(tmp_path, 1, seed)
    assert outcomes["LOST"] > 0, outcomes
    assert outcomes.total() == 14, outcomes
