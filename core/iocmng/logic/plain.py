"""Compile a checked expression to a function of known variables, with plain operators where types make them safe."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from iocmng.logic.bounds import multiply, remainder
from iocmng.logic.functions import Function
from iocmng.logic.parsing import CALL_SUFFIX, MULTIPLY, REMAINDER

_VARIABLES = "variables"


def plain_function(
    tree: ast.expr, functions: Mapping[str, Function], floats: frozenset[str], numbers: frozenset[str]
) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function that evaluates `tree` for a mapping of its names to values.

    It is faster than `eval` of the same code: no name is looked up in two places, and products of which one side is
    known to be a float need no guard against repetition.

    Args:
        tree: A tree that `parse` has checked.
        functions: The functions that it calls.
        floats: Names whose values are floats.
        numbers: Names whose values are floats, whole numbers or bools.
    """
    body = _Rewriter(floats, numbers).visit(_copied(tree))
    arguments = ast.arguments(
        posonlyargs=[], args=[ast.arg(_VARIABLES)], kwonlyargs=[], kw_defaults=[], defaults=[]
    )
    code = compile(
        ast.fix_missing_locations(ast.Expression(ast.Lambda(arguments, body))), "<expression>", "eval"
    )
    scope = {
        "__builtins__": {},
        MULTIPLY: multiply,
        REMAINDER: remainder,
        **{name + CALL_SUFFIX: function for name, function in functions.items()},
    }
    made: Callable[[Mapping[str, Any]], Any] = eval(code, scope)
    return made


def _copied(tree: ast.expr) -> ast.expr:
    return ast.parse(ast.unparse(tree), mode="eval").body


class _Rewriter(ast.NodeTransformer):
    """Turns names into look-ups, calls into those of the allowed functions, and guards products and remainders."""

    def __init__(self, floats: frozenset[str], numbers: frozenset[str]) -> None:
        self.floats = floats
        self.numbers = numbers

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Subscript(ast.Name(_VARIABLES, ast.Load()), ast.Constant(node.id), ast.Load())

    def visit_Call(self, node: ast.Call) -> ast.expr:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        return ast.Call(
            ast.Name(name + CALL_SUFFIX, ast.Load()),
            [self.visit(argument) for argument in node.args],
            [ast.keyword(keyword.arg, self.visit(keyword.value)) for keyword in node.keywords],
        )

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        left, right = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.Mult) and not self._is_safe_product(node):
            return ast.Call(ast.Name(MULTIPLY, ast.Load()), [left, right], [])
        if isinstance(node.op, ast.Mod) and not self._is_number(node.left):
            return ast.Call(ast.Name(REMAINDER, ast.Load()), [left, right], [])
        return ast.BinOp(left, node.op, right)

    def _is_safe_product(self, node: ast.BinOp) -> bool:
        sides = (node.left, node.right)
        return all(map(self._is_number, sides)) and any(map(self._is_float, sides))

    def _is_number(self, node: ast.expr) -> bool:
        match node:
            case ast.Constant(value=value):
                return isinstance(value, (int, float))
            case ast.Name(id=name):
                return name in self.numbers
            case ast.UnaryOp(operand=operand):
                return self._is_number(operand)
            case ast.BinOp(left=left, right=right):
                return self._is_number(left) and self._is_number(right)
        return False

    def _is_float(self, node: ast.expr) -> bool:
        match node:
            case ast.Constant(value=value):
                return isinstance(value, float)
            case ast.Name(id=name):
                return name in self.floats
            case ast.UnaryOp(op=op, operand=operand):
                return not isinstance(op, ast.Not) and self._is_float(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return isinstance(op, ast.Div) or self._is_float(left) or self._is_float(right)
        return False
