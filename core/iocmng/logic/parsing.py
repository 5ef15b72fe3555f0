"""The allow-list parser of expressions: a checked tree and bounded code, or an error with its position."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType, MappingProxyType

from iocmng.errors import BadInput
from iocmng.logic.bounds import MAX_BITS

MAX_LENGTH = 4000
MAX_NODES = 400
MAX_DEPTH = 60

_TOO_DEEP = f"nested too deeply, at most {MAX_DEPTH} levels are allowed"

# Calls and guarded operators are compiled under names that no variable can have and hide.
CALL_SUFFIX = "()"
MULTIPLY = "*"
REMAINDER = "%"

_UNARY = (ast.USub, ast.UAdd, ast.Not)
_BINARY = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Mod)
_COMPARE = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_LITERALS = (bool, int, float, str, type(None))

_WORDS: Mapping[type[ast.AST], str] = MappingProxyType(
    {
        ast.Attribute: "attribute access",
        ast.Subscript: "subscript",
        ast.Lambda: "lambda",
        ast.ListComp: "comprehension",
        ast.SetComp: "comprehension",
        ast.DictComp: "comprehension",
        ast.GeneratorExp: "comprehension",
        ast.NamedExpr: "assignment",
        ast.JoinedStr: "formatted text",
        ast.Starred: "unpacking",
        ast.Dict: "dictionary",
        ast.Set: "set",
        ast.Await: "await",
        ast.Yield: "yield",
        ast.YieldFrom: "yield",
        ast.Pow: "operator ** (use pow)",
        ast.FloorDiv: "operator // (use floor)",
        ast.MatMult: "operator @",
        ast.LShift: "operator <<",
        ast.RShift: "operator >>",
        ast.BitOr: "operator | (use or)",
        ast.BitAnd: "operator & (use and)",
        ast.BitXor: "operator ^",
        ast.Invert: "operator ~ (use not)",
        ast.In: "operator in",
        ast.NotIn: "operator not in",
        ast.Is: "operator is (use ==)",
        ast.IsNot: "operator is not (use !=)",
    }
)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in an expression: line and column, both from 1, columns in characters."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


class ExpressionError(BadInput):
    """An expression that is not accepted, with the place and the text that are wrong.

    Attributes:
        reason: What is wrong, without position and text.
        position: Where it is.
        fragment: The offending text.
        syntax: Whether Python's grammar refuses it already.
    """

    code = "expression"

    def __init__(
        self, reason: str, position: Position, fragment: str, *, hint: str = "", syntax: bool = False
    ) -> None:
        shown = fragment if len(fragment) <= 60 else f"{fragment[:57]}..."
        super().__init__(f"{position}: {reason}: {shown!r}", hint=hint)
        self.reason = reason
        self.position = position
        self.fragment = fragment
        self.syntax = syntax


@dataclass(frozen=True, slots=True)
class Parsed:
    """A checked expression: its tree as written, its code, and where each name and function first stands."""

    tree: ast.expr
    code: CodeType
    names: Mapping[str, Position]
    calls: Mapping[str, Position]


@lru_cache(maxsize=4096)
def parse(text: str) -> Parsed:
    """Parse `text` against the allow-list.

    Raises:
        ExpressionError: It is no expression, uses something that is not allowed, or is too long, too large
            or nested too deeply.
    """
    source = _Source(text)
    tree = source.parse()
    checker = _Checker(source)
    try:
        guarded = ast.fix_missing_locations(ast.Expression(checker.check(tree, 1)))
        code = compile(guarded, "<expression>", "eval")
    except RecursionError:
        raise source.error(tree, _TOO_DEEP) from None
    return Parsed(tree, code, MappingProxyType(checker.names), MappingProxyType(checker.calls))


def place_of(node: ast.expr, text: str) -> Position:
    """Where a term of an expression begins; `node` is of the tree of `text`."""
    return _Source(text).position(node)


class _Source:
    """The text of an expression, and the way from a syntax tree back to places in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.parsed = text.strip()
        start = text.find(self.parsed)
        self.first_line = text.count("\n", 0, start)
        self.first_column = start - (text.rfind("\n", 0, start) + 1)
        # A text of several lines is one expression, as in the brackets that Python wants around such.
        self.wrapped = "\n" in self.parsed
        self.code = f"({self.parsed}\n)" if self.wrapped else self.parsed

    def parse(self) -> ast.expr:
        if len(self.text) > MAX_LENGTH:
            reason = f"expression has {len(self.text)} characters, at most {MAX_LENGTH} are allowed"
            raise self._error_at(1, 0, reason)
        if not self.parsed:
            raise self._error_at(1, 0, "expression is empty", syntax=True)
        try:
            tree = ast.parse(self.code, mode="eval").body
        except SyntaxError as error:
            raise self._error_at(
                error.lineno or 1,
                max((error.offset or 1) - 1, 0) - self._shift(error.lineno or 1),
                error.msg.partition(" (<")[0],
                syntax=True,
            ) from None
        except (RecursionError, MemoryError):
            raise self._error_at(1, 0, _TOO_DEEP) from None
        except ValueError as error:
            raise self._error_at(1, 0, str(error), syntax=True) from None
        if self.wrapped and (tree.lineno, tree.col_offset) == (1, 0):
            # The brackets that were put around it have become part of it, as in "a) + (b".
            raise self._error_at(1, 0, "brackets do not match", syntax=True)
        return tree

    def error(self, node: ast.expr | ast.keyword, reason: str, hint: str = "") -> ExpressionError:
        return ExpressionError(reason, self.position(node), self._fragment(node), hint=hint)

    def position(self, node: ast.expr | ast.keyword) -> Position:
        column = len(self._line(node.lineno).encode()[: node.col_offset].decode(errors="replace"))
        return self._position(node.lineno, column - self._shift(node.lineno))

    def _shift(self, line: int) -> int:
        return int(self.wrapped and line == 1)

    def _line(self, line: int) -> str:
        lines = self.code.split("\n")
        return lines[line - 1] if line <= len(lines) else ""

    def _fragment(self, node: ast.expr | ast.keyword) -> str:
        return ast.get_source_segment(self.code, node) or self.parsed

    def _position(self, line: int, column: int) -> Position:
        if line == 1:
            column += self.first_column
        return Position(line + self.first_line, max(column, 0) + 1)

    def _error_at(self, line: int, column: int, reason: str, *, syntax: bool = False) -> ExpressionError:
        last = self.parsed.count("\n") + 1
        if line > last:
            # Python means the bracket that was put around the text.
            line, column = last, len(self._line(last)) - self._shift(last)
        rest = self._line(line)[max(column, 0) + self._shift(line) :]
        return ExpressionError(reason, self._position(line, column), rest or self.parsed, syntax=syntax)


class _Checker:
    """Walks a tree once: refuses what is not on the list, and rebuilds the rest with guarded operators."""

    def __init__(self, source: _Source) -> None:
        self.source = source
        self.names: dict[str, Position] = {}
        self.calls: dict[str, Position] = {}
        self.count = 0

    def check(self, node: ast.expr, depth: int) -> ast.expr:
        self.count += 1
        if self.count > MAX_NODES:
            raise self.source.error(node, f"expression has more than {MAX_NODES} terms")
        if depth > MAX_DEPTH:
            raise self.source.error(node, _TOO_DEEP)
        return self._rebuilt(node, depth + 1)

    def _rebuilt(self, node: ast.expr, depth: int) -> ast.expr:
        match node:
            case ast.Constant():
                return self._constant(node)
            case ast.Name():
                return self._name(node)
            case ast.UnaryOp(op=op, operand=operand):
                self._operator(node, op, _UNARY)
                return ast.UnaryOp(op, self.check(operand, depth))
            case ast.BinOp():
                return self._binary(node, depth)
            case ast.BoolOp(op=op, values=values):
                return ast.BoolOp(op, [self.check(value, depth) for value in values])
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                for comparison in ops:
                    self._operator(node, comparison, _COMPARE)
                terms = [self.check(term, depth) for term in (left, *comparators)]
                return ast.Compare(terms[0], ops, terms[1:])
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return ast.IfExp(self.check(test, depth), self.check(body, depth), self.check(orelse, depth))
            case ast.List(elts=elements):
                return ast.List([self.check(element, depth) for element in elements], ast.Load())
            case ast.Tuple(elts=elements):
                return ast.Tuple([self.check(element, depth) for element in elements], ast.Load())
            case ast.Call():
                return self._call(node, depth)
        raise self._refused(node, type(node))

    def _constant(self, node: ast.Constant) -> ast.expr:
        if not isinstance(node.value, _LITERALS):
            raise self.source.error(node, f"{type(node.value).__name__} literal is not allowed")
        if type(node.value) is int and node.value.bit_length() > MAX_BITS:
            raise self.source.error(node, f"number has more than {MAX_BITS} bits")
        return ast.Constant(node.value)

    def _name(self, node: ast.Name) -> ast.expr:
        if node.id.startswith("__"):
            raise self.source.error(node, "name with two leading underscores is not allowed")
        self.names.setdefault(node.id, self.source.position(node))
        return ast.Name(node.id, ast.Load())

    def _binary(self, node: ast.BinOp, depth: int) -> ast.expr:
        self._operator(node, node.op, _BINARY)
        left, right = self._operands(node, depth)
        if isinstance(node.op, (ast.Mult, ast.Mod)):
            if _is_sequence(node.left) or _is_sequence(node.right):
                raise self.source.error(node, "repetition and formatting of texts and lists are not allowed")
            guard = MULTIPLY if isinstance(node.op, ast.Mult) else REMAINDER
            return ast.Call(ast.Name(guard, ast.Load()), [left, right], [])
        return ast.BinOp(left, node.op, right)

    def _operands(self, node: ast.BinOp, depth: int) -> tuple[ast.expr, ast.expr]:
        # A chain a + b + c … leans left; it counts as one level, so that long sums are not refused.
        chain = isinstance(node.left, ast.BinOp)
        return self.check(node.left, depth - 1 if chain else depth), self.check(node.right, depth)

    def _call(self, node: ast.Call, depth: int) -> ast.expr:
        if not isinstance(node.func, ast.Name):
            raise self.source.error(node, "only direct calls of functions are allowed")
        name = node.func.id
        self.calls.setdefault(name, self.source.position(node.func))
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self.source.error(keyword, "unpacking is not allowed")
        return ast.Call(
            ast.Name(name + CALL_SUFFIX, ast.Load()),
            [self.check(argument, depth) for argument in node.args],
            [ast.keyword(keyword.arg, self.check(keyword.value, depth)) for keyword in node.keywords],
        )

    def _operator(self, node: ast.expr, op: ast.AST, allowed: tuple[type[ast.AST], ...]) -> None:
        if not isinstance(op, allowed):
            raise self._refused(node, type(op))

    def _refused(self, node: ast.expr, kind: type[ast.AST]) -> ExpressionError:
        return self.source.error(node, f"{_WORDS.get(kind, kind.__name__)} is not allowed")


def _is_sequence(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    return isinstance(node, (ast.List, ast.Tuple))
