"""The churn for some seconds; `python tests/churn` is for hours."""

from __future__ import annotations

from pathlib import Path

from churn.program import churn

ROUNDS, SECONDS, CONFIRM_FOR = 7, 10.0, 0.2


def test_nobody_notices_plugins_that_come_and_go(tmp_path: Path) -> None:
    found = churn(tmp_path, ROUNDS, seconds=SECONDS, confirm_for=CONFIRM_FOR, wait=10.0)
    print(found)
    assert found.operations >= 4
