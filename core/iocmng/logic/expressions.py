"""Expressions of rules and transforms: compiled once, evaluated on plain dictionaries, bounded in cost."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from types import CodeType
from typing import Any

from iocmng.logic.bounds import bounded_result, multiply, remainder
from iocmng.logic.functions import Function
from iocmng.logic.parsing import CALL_SUFFIX, MULTIPLY, REMAINDER, ExpressionError, Position, parse
from iocmng.names import did_you_mean

_PLAIN = (float, bool)


class Expression:
    """An expression that was checked and compiled.

    Attributes:
        text: As it was written.
        tree: The checked syntax tree, with positions, to walk.
        names: The variables it reads.
        functions: The functions it calls.
    """

    __slots__ = ("_code", "_positions", "_scope", "functions", "names", "text", "tree")

    def __init__(
        self,
        text: str,
        tree: ast.expr,
        code: CodeType,
        positions: Mapping[str, Position],
        functions: Mapping[str, Function],
    ) -> None:
        self.text = text
        self.tree = tree
        self.names = frozenset(positions)
        self.functions = frozenset(functions)
        self._code = code
        self._positions = positions
        # Without the key `__builtins__` eval would put Python's own functions into the scope.
        self._scope: dict[str, Any] = {
            "__builtins__": {},
            MULTIPLY: multiply,
            REMAINDER: remainder,
            **{name + CALL_SUFFIX: function for name, function in functions.items()},
        }

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def evaluate(self, variables: Mapping[str, Any]) -> Any:
        """Return the value for the given variables.

        Args:
            variables: A value for each of `names`; others are ignored.

        Raises:
            NameError: A variable is missing.
            ArithmeticError: Division by zero, or a number that is too large.
            ValueError: The logarithm or root of a negative number, an empty buffer.
            TypeError: A text where a number is needed, a wrong number of arguments.
            Exception: Whatever a registered function raises.
        """
        result = eval(self._code, self._scope, variables)
        return result if type(result) in _PLAIN else bounded_result(result)

    def position(self, name: str) -> Position:
        """Where a variable of `names` first stands."""
        return self._positions[name]

    def undeclared(self, declared: Iterable[str]) -> tuple[ExpressionError, ...]:
        """Return an error with position and suggestion for each variable that is not among `declared`."""
        known = set(declared)
        return tuple(
            ExpressionError("name is not declared", position, name, hint=did_you_mean(name, known))
            for name, position in self._positions.items()
            if name not in known
        )


def compile_expression(text: str, *, functions: Mapping[str, Function]) -> Expression:
    """Check and compile an expression.

    Args:
        text: One expression; it may go over several lines.
        functions: The functions it may call, by name: `get_registry()` and a plugin's own.

    Raises:
        ExpressionError: It is no expression, uses what is not allowed, calls an unknown function,
            or is too large.
    """
    parsed = parse(text)
    for name, position in parsed.calls.items():
        if name not in functions:
            raise ExpressionError(
                "function is not registered", position, name, hint=did_you_mean(name, functions)
            )
    return Expression(
        text, parsed.tree, parsed.code, parsed.names, {name: functions[name] for name in parsed.calls}
    )
