"""One evaluation of a rule against bare eval of its compiled code: run `python benchmarks/expressions.py`."""

from __future__ import annotations

import timeit

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


def best(call) -> float:
    """Nanoseconds of one call, the best of seven rounds."""
    return min(timeit.repeat(call, number=LOOPS, repeat=7)) / LOOPS * 1e9


def main() -> None:
    registry = get_registry()
    scope = {"__builtins__": {}, **registry}
    print(f"{'rule':24} {'bare eval':>12} {'evaluate':>12} {'ratio':>7}   goal <= {GOAL}")
    for title, text in RULES.items():
        code = compile(text, "<rule>", "eval")
        expression = compile_expression(text, functions=registry)
        bare = best(lambda code=code: eval(code, scope, VARIABLES))
        ours = best(lambda expression=expression: expression.evaluate(VARIABLES))
        print(f"{title:24} {bare:9.0f} ns {ours:9.0f} ns {ours / bare:7.2f}")


if __name__ == "__main__":
    main()
