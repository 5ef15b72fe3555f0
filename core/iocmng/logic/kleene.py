"""Three-valued evaluation of a checked expression: what the known names decide is decided, the rest is unknown."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iocmng.logic.bounds import multiply, remainder
from iocmng.logic.functions import BUILTINS, Function
from iocmng.logic.samples import as_list
from iocmng.logic.unknown import Unknown, failure, is_nan, merged

Evaluate = Callable[[Mapping[str, Any], Mapping[str, Unknown]], Any]
"""Gives a value or an `Unknown` for the values of known names and the unknown ones."""

_BINARY: Mapping[type[ast.operator], Function] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: multiply,
    ast.Div: operator.truediv,
    ast.Mod: remainder,
}
_UNARY: Mapping[type[ast.unaryop], Function] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
_COMPARE: Mapping[type[ast.cmpop], Function] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_TRUTHS = frozenset({"any_of", "all_of", "at_least", "isfinite"})


@dataclass(frozen=True, slots=True)
class Kinds:
    """What is known of names before they have values: bools, floats, all numbers, and what may be a list or array."""

    booleans: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    floats: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()

    def of(self, names: frozenset[str]) -> Kinds:
        """The same about `names` only."""
        return Kinds(self.booleans & names, self.lists & names, self.floats & names, self.numbers & names)


def three_valued(
    tree: ast.expr, functions: Mapping[str, Function], kinds: Kinds, *, truth: bool = False
) -> Evaluate:
    """Compile a tree that `parse` has checked.

    Args:
        tree: The tree as written.
        functions: The functions that it calls.
        kinds: What is known of its names.
        truth: Only whether the result is true matters, so that more of it may be decided.
    """
    return _Compiler(functions, kinds).compile(tree, truth=truth)


class _Compiler:
    def __init__(self, functions: Mapping[str, Function], kinds: Kinds) -> None:
        self.functions = functions
        self.kinds = kinds

    def compile(self, node: ast.expr, *, truth: bool = False) -> Evaluate:
        match node:
            case ast.Constant(value=value):
                return lambda values, unknown: value
            case ast.Name(id=name):
                return lambda values, unknown: unknown[name] if name in unknown else values[name]
            case ast.UnaryOp(op=op, operand=operand):
                inner = self.compile(operand, truth=isinstance(op, ast.Not))
                return _strict(_UNARY[type(op)], [inner], node)
            case ast.BinOp(left=left, op=binary, right=right):
                return _strict(_BINARY[type(binary)], [self.compile(left), self.compile(right)], node)
            case ast.BoolOp():
                return self._bool_op(node, truth)
            case ast.Compare():
                return self._compare(node)
            case ast.IfExp():
                return self._conditional(node, truth)
            case ast.List(elts=elements):
                return _strict(_listed, [self.compile(element) for element in elements], node)
            case ast.Tuple(elts=elements):
                return _strict(_tupled, [self.compile(element) for element in elements], node)
            case ast.Call():
                return self._call(node)
        raise TypeError(f"{type(node).__name__} is no node of an expression")

    def _is_boolean(self, node: ast.expr) -> bool:
        match node:
            case ast.Constant(value=value):
                return isinstance(value, bool)
            case ast.Name(id=name):
                return name in self.kinds.booleans
            case ast.UnaryOp(op=op):
                return isinstance(op, ast.Not)
            case ast.BoolOp(values=terms):
                return all(self._is_boolean(term) for term in terms)
            case ast.Compare():
                return not self._may_be_list(node)
            case ast.IfExp(body=body, orelse=orelse):
                return self._is_boolean(body) and self._is_boolean(orelse)
            case ast.Call(func=ast.Name(id=name)):
                return self._is_builtin(name) and name in _TRUTHS
        return False

    def _may_be_list(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Call) and self._is_boolean(node):
            return False
        return any(isinstance(one, ast.Name) and one.id in self.kinds.lists for one in ast.walk(node))

    def _is_builtin(self, name: str) -> bool:
        return name in BUILTINS and self.functions.get(name) is BUILTINS[name]

    def _bool_op(self, node: ast.BoolOp, truth: bool) -> Evaluate:
        terms = [self.compile(value, truth=truth) for value in node.values]
        stop = isinstance(node.op, ast.Or)
        # `t or 5` with t unknown is true, but neither t nor 5 as a number.
        certain = truth or all(self._is_boolean(value) for value in node.values)

        def evaluate(values: Mapping[str, Any], unknown: Mapping[str, Unknown]) -> Any:
            unknowns: list[Unknown] = []
            value: Any = None
            for term in terms:
                value = term(values, unknown)
                if isinstance(value, Unknown):
                    unknowns.append(value)
                    continue
                try:
                    decided = bool(value) is stop
                except Exception as error:  # noqa: BLE001 - a foreign value may raise anything
                    unknowns.append(failure(error, ast.unparse(node)))
                    continue
                if decided:
                    return value if certain or not unknowns else merged(unknowns)
            return merged(unknowns) if unknowns else value

        return evaluate

    def _compare(self, node: ast.Compare) -> Evaluate:
        first = self.compile(node.left)
        rest = [
            (_COMPARE[type(op)], self.compile(term))
            for op, term in zip(node.ops, node.comparators, strict=True)
        ]
        chained = len(rest) > 1

        def evaluate(values: Mapping[str, Any], unknown: Mapping[str, Unknown]) -> Any:
            unknowns: list[Unknown] = []
            result: Any = True
            left = first(values, unknown)
            for compare, term in rest:
                right = term(values, unknown)
                missing = [side for side in (left, right) if isinstance(side, Unknown)]
                if missing:
                    unknowns.extend(missing)
                else:
                    try:
                        result = compare(left, right)
                        if chained and not result:
                            return result
                    except Exception as error:  # noqa: BLE001 - a foreign value may raise anything
                        unknowns.append(failure(error, ast.unparse(node)))
                left = right
            return merged(unknowns) if unknowns else result

        return evaluate

    def _conditional(self, node: ast.IfExp, truth: bool) -> Evaluate:
        test = self.compile(node.test, truth=True)
        body, orelse = self.compile(node.body, truth=truth), self.compile(node.orelse, truth=truth)

        def evaluate(values: Mapping[str, Any], unknown: Mapping[str, Unknown]) -> Any:
            decided = test(values, unknown)
            if not isinstance(decided, Unknown):
                try:
                    branch = body if decided else orelse
                except Exception as error:  # noqa: BLE001 - a foreign value may raise anything
                    return failure(error, ast.unparse(node.test))
                return branch(values, unknown)
            one, other = body(values, unknown), orelse(values, unknown)
            if isinstance(one, Unknown) or isinstance(other, Unknown):
                return decided
            try:
                same = bool(one) is bool(other) if truth else type(one) is type(other) and bool(one == other)
            except Exception:  # noqa: BLE001 - values that cannot be compared do not decide
                return decided
            return one if same else decided

        return evaluate

    def _call(self, node: ast.Call) -> Evaluate:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        function = self.functions[name]
        if self._is_builtin(name) and name in _TRUTHS and not node.keywords:
            if name == "isfinite" and len(node.args) == 1:
                return _finite(_strict(function, [inner := self.compile(node.args[0])], node), inner)
            if name in ("any_of", "all_of"):
                return _any_of(self._terms(node.args), node, stop=name == "any_of")
            if name == "at_least" and node.args:
                return _at_least(self.compile(node.args[0]), self._terms(node.args[1:]), node)
        arguments = [self.compile(argument) for argument in node.args]
        keywords = [keyword.arg or "" for keyword in node.keywords]
        arguments.extend(self.compile(keyword.value) for keyword in node.keywords)
        if not keywords:
            return _strict(function, arguments, node)
        count = len(node.args)

        def with_keywords(*given: Any) -> Any:
            return function(*given[:count], **dict(zip(keywords, given[count:], strict=True)))

        return _strict(with_keywords, arguments, node)

    def _terms(self, arguments: Sequence[ast.expr]) -> list[_Term]:
        terms: list[_Term] = []
        for argument in arguments:
            if isinstance(argument, (ast.List, ast.Tuple)):
                terms.extend(_Term(self.compile(item, truth=True), False, False) for item in argument.elts)
            else:
                terms.append(_Term(self.compile(argument), True, self._may_be_list(argument)))
        return terms


@dataclass(frozen=True, slots=True)
class _Term:
    """An argument of any_of, all_of, at_least: `spread` when its elements count, `many` when it may have several."""

    evaluate: Evaluate
    spread: bool
    many: bool


def _listed(*items: Any) -> list[Any]:
    return list(items)


def _tupled(*items: Any) -> tuple[Any, ...]:
    return items


def _strict(function: Function, arguments: Sequence[Evaluate], node: ast.expr) -> Evaluate:
    def evaluate(values: Mapping[str, Any], unknown: Mapping[str, Unknown]) -> Any:
        given = [argument(values, unknown) for argument in arguments]
        missing = [value for value in given if isinstance(value, Unknown)]
        if missing:
            return merged(missing)
        try:
            result = function(*given)
            nan = is_nan(result)
        except Exception as error:  # noqa: BLE001 - registered functions are foreign code and may raise anything
            return failure(error, ast.unparse(node))
        return Unknown((f"{ast.unparse(node)} is NaN",), failed=True, nan=True) if nan else result

    return evaluate


def _finite(strict: Evaluate, argument: Evaluate) -> Evaluate:
    def evaluate(values: Mapping[str, Any], unknown: Mapping[str, Unknown]) -> Any:
        value = argument(values, unknown)
        return False if isinstance(value, Unknown) and value.nan else strict(values, unknown)

    return evaluate


@dataclass(slots=True)
class _Tally:
    """How many elements are true and false, how many unknown ones there may be, and why they are unknown."""

    true: int
    false: int
    open: float
    unknowns: list[Unknown]


def _tally(
    terms: Sequence[_Term], node: ast.expr, values: Mapping[str, Any], unknown: Mapping[str, Unknown]
) -> _Tally:
    tally = _Tally(0, 0, 0, [])
    for term in terms:
        value = term.evaluate(values, unknown)
        if isinstance(value, Unknown):
            tally.unknowns.append(value)
            tally.open += float("inf") if term.many else 1
            continue
        for item in as_list(value) if term.spread else (value,):
            try:
                true = bool(item)
            except Exception as error:  # noqa: BLE001 - a foreign value may raise anything
                tally.unknowns.append(failure(error, ast.unparse(node)))
                tally.open += 1
                continue
            tally.true += true
            tally.false += not true
    return tally


def _any_of(terms: Sequence[_Term], node: ast.expr, *, stop: bool) -> Evaluate:
    def evaluate(values: Mapping[str, Any], unknown: Mapping[str, Unknown]) -> Any:
        tally = _tally(terms, node, values, unknown)
        if tally.true if stop else tally.false:
            return stop
        return merged(tally.unknowns) if tally.unknowns else not stop

    return evaluate


def _at_least(needed: Evaluate, terms: Sequence[_Term], node: ast.expr) -> Evaluate:
    def evaluate(values: Mapping[str, Any], unknown: Mapping[str, Unknown]) -> Any:
        count = needed(values, unknown)
        if isinstance(count, Unknown):
            return count
        tally = _tally(terms, node, values, unknown)
        try:
            if tally.true >= count:
                return True
            return merged(tally.unknowns) if tally.true + tally.open >= count else False
        except Exception as error:  # noqa: BLE001 - the number may be anything
            return failure(error, ast.unparse(node))

    return evaluate
