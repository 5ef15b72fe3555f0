"""One evaluation of a rule against bare eval of its compiled code."""

from __future__ import annotations

import sys
import timeit
from collections.abc import Callable

from table import Row, sample, show

from iocmng.logic import compile_expression, get_registry

GOAL = 2.0
LOOPS = 20_000

RULES = {
    "5 terms, comparisons": "pressure > 5.0 and temp < 80 or flow * 2 + offset > limit",
    "5 terms, arithmetic": "p * 2 + q * 3 - r * 4 > s * 5 + t",
    "5 terms, functions": "mean(buf) > 0.5 and max(buf) < 9 and std(buf) < 3 and p > 1 and q > 1",
}
VARIABLES = {
    "pressure": 6.0,
    "temp": 90.0,
    "flow": 2.0,
    "offset": 1.0,
    "limit": 3.0,
    "p": 1.5,
    "q": 2.5,
    "r": 3.5,
    "s": 4.5,
    "t": 5.5,
    "buf": [0.1 * step for step in range(100)],
}


def per_call(call: Callable[[], object]) -> float:
    """Microseconds of one call."""
    return timeit.timeit(call, number=LOOPS) / LOOPS * 1e6


def rows(runs: int) -> list[Row]:
    """Measure both in turn for each rule."""
    registry = get_registry()
    scope = {"__builtins__": {}, **registry}
    made = []
    for title, text in RULES.items():
        code = compile(text, "<rule>", "eval")
        expression = compile_expression(text, functions=registry)
        ours, bare = [], []
        for _ in range(runs):
            bare.append(per_call(lambda code=code: eval(code, scope, VARIABLES)))
            ours.append(per_call(lambda expression=expression: expression.evaluate(VARIABLES)))
        what = f"evaluate a rule: {title}"
        made.append(Row(what, sample(ours, "µs"), "bare eval", sample(bare, "µs"), GOAL))
    return made


if __name__ == "__main__":
    show("expressions", rows(int(sys.argv[1]) if len(sys.argv) > 1 else 7))
