"""A plugin that is added, upgraded and removed again and again: what others notice, and what each change leaves."""

from __future__ import annotations

import sys

from arrival import churned, lateness_rows
from table import Row, sample, show

ROUNDS = 100
WAIT = 120
WITHIN = 10.0
CONFIRM_FOR = 0.5


def rows(runs: int) -> list[Row]:
    """Measure in hosts of their own."""
    asked = ("--json", "--rounds", str(ROUNDS), "--wait", str(WAIT), "--confirm-for", str(CONFIRM_FOR))
    found = [churned(*asked) for _ in range(runs)]
    made = [
        Row(
            f"{provider.upper()} clients that waited {WAIT} s for a name: from its arrival to a valid value",
            sample([max(one["waited"][provider]) for one in found], "s"),
            "goal",
            sample([WITHIN], "s"),
            1.0,
        )
        for provider in ("ca", "pva")
    ]
    made += lateness_rows(found, "a plugin is added, upgraded, removed")
    memory = sample([one["memory"][-1] - one["memory"][0] for one in found], "MiB")
    made.append(Row(f"memory that {ROUNDS} rounds leave behind", memory))
    made.append(
        Row("of one change, by the last two thirds", sample([one["per_change"] for one in found], "KiB"))
    )
    return made


if __name__ == "__main__":
    show("upgrades", rows(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
