"""Plugins that arrive beside 20 instances with 100 subscriptions: how soon new clients read them, and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from table import Row, Sample, sample, show

CHURN = Path(__file__).resolve().parents[1] / "tests" / "churn"
GOAL = 300.0
ARRIVALS = 5
"""Of each run."""

Found = dict[str, Any]


def churned(*arguments: str) -> Found:
    """Run the tests' churn; its figures. It fails when a client is cut off or a cycle is lost."""
    done = subprocess.run([sys.executable, str(CHURN), *arguments], check=True, stdout=subprocess.PIPE)
    found: Found = json.loads(done.stdout)
    return found


def percentile(values: list[float], share: float) -> float:
    """The value below which such a share of all lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def of_each(runs: list[Found], which: Callable[[Found], list[float]], share: float = 0.5) -> Sample:
    """A percentile of seconds in each run, in milliseconds."""
    return sample([percentile(which(one), share) * 1e3 for one in runs], "ms")


def lateness_rows(runs: list[Found], what: str) -> list[Row]:
    """How late cycles of others were, against a quiet time of the same run."""
    return [
        Row(
            f"lateness of 15 tasks at 10 Hz while {what}: {name}",
            of_each(runs, lambda one: one["during"], share),
            "before",
            of_each(runs, lambda one: one["before"], share),
        )
        for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    ]


def rows(runs: int) -> list[Row]:
    """Measure in hosts of their own."""
    found = [churned("--arrivals", str(ARRIVALS)) for _ in range(runs)]
    made = [
        Row(
            f"end of the probe until a new {provider.upper()} client has a valid value",
            of_each(found, lambda one, provider=provider: one[provider]),  # type: ignore[misc]
            "goal",
            sample([GOAL], "ms"),
            1.0,
        )
        for provider in ("ca", "pva")
    ]
    for step in ("plan", "stage", "probe", "switch"):
        took = of_each(found, lambda one, step=step: one["steps"][step])  # type: ignore[misc]
        made.append(Row(f"step {step} of an installation", took))
    return made + lateness_rows(found, "plugins are added and removed")


if __name__ == "__main__":
    show("arrival", rows(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
