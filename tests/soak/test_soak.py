"""The soak for some seconds; `python tests/soak` is for hours."""

from __future__ import annotations

import random
from pathlib import Path

from soak.program import soak

SECONDS = 6.0


def test_nothing_is_lost_or_left_under_faults(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    done = soak(tmp_path, SECONDS, seed)
    assert done.total() > 10, done
