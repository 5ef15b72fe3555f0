"""`safe_eval` of iocmng 2.x: compile and evaluate an expression in one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iocmng.logic.expressions import compile_expression
from iocmng.logic.functions import Function, get_registry
from iocmng.logic.parsing import ExpressionError


def safe_eval(
    expression: str, variables: Mapping[str, Any], extra_functions: Mapping[str, Function] | None = None
) -> Any:
    """Return the value of `expression` for `variables`.

    Args:
        expression: One expression; repeated texts are compiled once.
        variables: Values by name.
        extra_functions: Functions it may call besides the registered ones; they win over those.

    Raises:
        SyntaxError: It is no Python expression.
        ValueError: "Unsafe expression": it uses what is not allowed, or calls what is not registered.
        NameError: A variable is missing.
        Exception: What evaluating raises, see `Expression.evaluate`.
    """
    functions = {**get_registry(), **(extra_functions or {})}
    try:
        compiled = compile_expression(expression, functions=functions)
    except ExpressionError as error:
        if error.syntax:
            place = (None, error.position.line, error.position.column, error.fragment)
            raise SyntaxError(error.reason, place) from None
        raise ValueError(f"Unsafe expression: {error}") from None
    return compiled.evaluate(variables)
