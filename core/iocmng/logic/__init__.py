"""Expressions: pure, without clock, thread or socket."""

from iocmng.logic.expressions import Expression, compile_expression
from iocmng.logic.functions import BUILTIN_FUNCTIONS, Function, get_registry, register
from iocmng.logic.parsing import ExpressionError, Position
from iocmng.logic.samples import Samples

__all__ = [
    "BUILTIN_FUNCTIONS",
    "Expression",
    "ExpressionError",
    "Function",
    "Position",
    "Samples",
    "compile_expression",
    "get_registry",
    "register",
]
