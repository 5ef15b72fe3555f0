"""What others notice of plugins that come, change and go, and what each change leaves in memory."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from table import Row, Sample, sample, show

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from churn.clients import percentile
from churn.program import NEW, Found, churn

ROUNDS = 100
CONFIRM_FOR = 0.5
WAIT = 120.0
LIMIT = 1_800.0


def measured() -> Found:
    """One churn; it fails when a client is cut off, a cycle lost, or anything else grows than memory."""
    with tempfile.TemporaryDirectory() as home:
        return churn(Path(home), ROUNDS, seconds=LIMIT, confirm_for=CONFIRM_FOR, wait=WAIT)


def rows(runs: int) -> list[Row]:
    """Measure."""
    found = [measured() for _ in range(runs)]

    def figure(value: Callable[[Found], float], unit: str) -> Sample:
        return sample([value(one) for one in found], unit)

    def late(which: Callable[[Found], list[float]], share: float) -> Sample:
        return figure(lambda one: percentile(which(one), share) * 1e3, "ms")

    made = [
        Row(
            f"lateness of 15 tasks at 10 Hz while plugins come, change and go: {name}",
            late(lambda one: one.during, share),
            "before",
            late(lambda one: one.before, share),
        )
        for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    ]
    for provider in ("ca", "pva"):
        made.append(
            Row(
                f"{provider.upper()} clients that waited {WAIT:.0f} s for a name, after its arrival",
                figure(lambda one, provider=provider: max(one.waited[provider]), "s"),  # type: ignore[misc]
                "goal",
                sample([NEW], "s"),
                1.0,
            )
        )
    made.append(Row("memory that one change leaves behind", figure(lambda one: one.per_change, "KiB")))
    return made


if __name__ == "__main__":
    show("upgrades", rows(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
