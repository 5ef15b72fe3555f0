"""An expression of a transform or rule: plain evaluation when all its names are known, three-valued otherwise."""

from __future__ import annotations

import ast
import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from iocmng.logic.bounds import MAX_TEXT, bounded_result
from iocmng.logic.expressions import Expression, compile_expression
from iocmng.logic.functions import BUILTINS, Function
from iocmng.logic.kleene import Evaluate, Kinds, three_valued
from iocmng.logic.parsing import ExpressionError
from iocmng.logic.plain import plain_function
from iocmng.logic.unknown import Unknown, failure, is_nan
from iocmng.logic.variables import Variables

_WHOLE = 1 << 63


@dataclass(frozen=True, slots=True)
class Term:
    """A part of a condition: `parts` joined by `or` when `stop`, else by `and`; none when it is one term."""

    text: str
    names: tuple[str, ...]
    evaluate: Evaluate
    stop: bool
    parts: tuple[Term, ...]


class Formula:
    """A compiled expression that never raises.

    Args:
        expression: What it evaluates.
        functions: The functions that it calls.
        kinds: What is known of its names.
        arrays: Names that hold numpy arrays or lists of them.
        truth: Whether it is a condition: its result is True, False or `Unknown`.

    Attributes:
        text: As it was written.
        names: The variables it reads.
        pure: Whether the same variables always give the same result.
    """

    __slots__ = (
        "_careful", "_expression", "_function", "_functions", "_kinds", "_plain", "_slow", "_terms", "_truth",
        "names", "pure", "text",
    )  # fmt: skip

    def __init__(
        self,
        expression: Expression,
        functions: Mapping[str, Function],
        kinds: Kinds,
        *,
        arrays: frozenset[str] = frozenset(),
        truth: bool = False,
    ) -> None:
        self.text = expression.text
        self.names = expression.names
        self.pure = all(functions[name] is BUILTINS.get(name) for name in expression.functions)
        self._expression = expression
        self._functions = {name: functions[name] for name in expression.functions}
        self._kinds = kinds
        self._truth = truth
        self._careful = not arrays.isdisjoint(self.names)
        self._plain = not self._careful and not any(
            isinstance(node, ast.Constant) and isinstance(node.value, float) and not math.isfinite(node.value)
            for node in ast.walk(expression.tree)
        )
        try:
            self._function = plain_function(expression.tree, self._functions, kinds.floats, kinds.numbers)
        except RecursionError:
            # A sum of hundreds of terms, compiled deep in a stack.
            self._function = expression.evaluate
        self._slow: Evaluate | None = None
        self._terms: Term | None = None

    def undeclared(self, declared: Iterable[str]) -> tuple[ExpressionError, ...]:
        """Return an error for each name that is not among `declared`."""
        return self._expression.undeclared(declared)

    @property
    def tree(self) -> ast.expr:
        """The checked syntax tree."""
        return self._expression.tree

    def result(self, variables: Variables) -> Any:
        """Return the value for the present variables, `Unknown` when they do not decide it."""
        if self._plain and self.names.isdisjoint(variables.odd):
            try:
                result = self._function(variables.values)
            except Exception:  # noqa: BLE001 - foreign functions; the careful way finds what failed, and if it matters
                return self._three_valued(variables.values, variables.unknown)
            if result is True or result is False:
                return result
            kind = type(result)
            if kind is float and result - result == 0.0:
                return result != 0.0 if self._truth else result
            if kind is int and -_WHOLE < result < _WHOLE:
                return result != 0 if self._truth else result
            if kind is str and not self._truth and len(result) <= MAX_TEXT:
                return result
        return self._three_valued(variables.values, variables.unknown)

    def result_of_last(self, variables: Variables) -> Any:
        """Return the value for the last known values of names that are unknown now."""
        never = {name: why for name, why in variables.unknown.items() if name not in variables.values}
        return self._three_valued(variables.values, never)

    @property
    def terms(self) -> Term:
        """The expression as terms joined by `and` and `or`, to tell which of them decide."""
        if self._terms is None:
            self._terms = self._split(self.tree)
        return self._terms

    def _split(self, node: ast.expr) -> Term:
        parts = node.values if isinstance(node, ast.BoolOp) else ()
        return Term(
            text="" if parts else ast.unparse(node),
            names=tuple(
                one.id for one in ast.walk(node) if isinstance(one, ast.Name) and one.id in self.names
            ),
            evaluate=three_valued(node, self._functions, self._kinds, truth=True),
            stop=isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or),
            parts=tuple(self._split(part) for part in parts),
        )

    def part(self, term: Term, variables: Variables) -> Any:
        """Return whether a term is true now: True, False or `Unknown`."""
        return self._careful_result(term.evaluate, variables.values, variables.unknown, truth=True)

    def _three_valued(self, values: Mapping[str, Any], unknown: Mapping[str, Unknown]) -> Any:
        if self._slow is None:
            self._slow = three_valued(self.tree, self._functions, self._kinds, truth=self._truth)
        return self._careful_result(self._slow, values, unknown, truth=self._truth)

    def _careful_result(
        self, slow: Evaluate, values: Mapping[str, Any], unknown: Mapping[str, Unknown], *, truth: bool
    ) -> Any:
        try:
            if self._careful:
                import numpy as np

                # Elements of arrays divide by zero without an error otherwise.
                with np.errstate(divide="raise", invalid="raise"):
                    result = slow(values, unknown)
            else:
                result = slow(values, unknown)
            if isinstance(result, Unknown):
                return result
            if is_nan(result):
                return Unknown((f"{self.text} is NaN",), failed=True, nan=True)
            if not truth:
                return bounded_result(result)
            if isinstance(result, str):
                return Unknown((f"{self.text} is a text, no truth value",), failed=True)
            return bool(result)
        except Exception as error:  # noqa: BLE001 - values of foreign functions may raise wherever they are touched
            return failure(error, self.text)


def formula_of(
    text: str, functions: Mapping[str, Function], kinds: Kinds, *, arrays: frozenset[str], truth: bool
) -> Formula:
    """Return the formula of an expression; instances of one plugin share theirs.

    Args:
        text: The expression.
        functions: All functions that may be called, as `guarded` gives them.
        kinds: What is known of all names.
        arrays: Names that hold numpy arrays or lists of them.
        truth: Whether it is a condition.

    Raises:
        ExpressionError: It is no expression.
    """
    expression = compile_expression(text, functions=functions)
    names = expression.names
    called = tuple((name, functions[name]) for name in sorted(expression.functions))
    return _formula(text, called, kinds.of(names), arrays & names, truth)


@lru_cache(maxsize=4096)
def _formula(
    text: str, called: tuple[tuple[str, Function], ...], kinds: Kinds, arrays: frozenset[str], truth: bool
) -> Formula:
    functions = dict(called)
    expression = compile_expression(text, functions=functions)
    return Formula(expression, functions, kinds, arrays=arrays, truth=truth)


def guarded(functions: Mapping[str, Function]) -> dict[str, Function]:
    """Return `functions` with those of plugins made to raise instead of giving NaN, which comparisons do not notice."""
    return {
        name: function if function is BUILTINS.get(name) else _guard(name, function)
        for name, function in functions.items()
    }


def _guard(name: str, function: Function) -> Function:
    return _kept_guard(name, function) if isinstance(function, Hashable) else _without_nan(name, function)


@lru_cache(maxsize=1024)
def _kept_guard(name: str, function: Function) -> Function:
    # The same guard for the same function, so that formulas that call it can be shared.
    return _without_nan(name, function)


def _without_nan(name: str, function: Function) -> Function:
    def call(*arguments: Any, **keywords: Any) -> Any:
        result = function(*arguments, **keywords)
        if is_nan(result):
            raise ValueError(f"{name}() gave NaN")
        return result

    return call
