"""Read YAML or JSON text as plain values that remember the line and column of every key and value."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from iocmng.config.positions import Position, inside
from iocmng.wire import Finding, Level, Where

Path = tuple[str | int | float, ...]
Expand = Callable[[str], str]

MAX_DEPTH = 40
MAX_NODES = 100_000

_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset({_TAG + "str", _TAG + "timestamp", _TAG + "value"})
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+\Z")
_TRUE_WORDS = frozenset({"yes", "on", "true"})


class SwitchWord(str):
    """An unquoted yes, no, on or off: a truth value for YAML 1.1, often a word for authors (`onam: On`)."""

    __slots__ = ()

    @property
    def truth(self) -> bool:
        """What YAML 1.1 takes it for."""
        return self.lower() in _TRUE_WORDS


def plain(value: Any) -> Any:
    """Return `value` with every switch word as the bool that YAML means."""
    if isinstance(value, SwitchWord):
        return value.truth
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def dotted(path: Path) -> str:
    """Write a key path as people write it: `arguments.inputs.TEMP`, `rules[2].id`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


@dataclass(frozen=True)
class Document:
    """Plain values of one file, where each came from, and what was wrong with the text itself.

    Positions are 1-based (line, column). `aliases` maps the first part of a path to the file's word. `text` is
    the file's content.
    """

    file: str = ""
    value: Any = None
    keys: Mapping[Path, Position] = field(default_factory=dict)
    values: Mapping[Path, Position] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    text: str = ""

    def inside(self, value: str, line: int, column: int, *path: str | int | float) -> Where:
        """The place of one character of the text at `path`; `value` is that text, both numbers count from 1."""
        where = self.where(*path)
        if not where.line or (path not in self.values and self._spelled(path) not in self.values):
            return where
        place = inside(self.text, (where.line, where.column), value, line, column)
        return replace(where, line=place[0], column=place[1])

    def where(self, *path: str | int | float, key: bool = False) -> Where:
        """The place of the value (with `key`, of the key) at `path`, or of its nearest parent in the file."""
        first, second = (self.keys, self.values) if key else (self.values, self.keys)
        for length in range(len(path), -1, -1):
            part = path[:length]
            for spelled in (part, self._spelled(part)):
                position = first.get(spelled) or second.get(spelled)
                if position:
                    return Where(self.file, *position, dotted(path))
        return Where(self.file, 0, 0, dotted(path))

    def _spelled(self, path: Path) -> Path:
        if path and isinstance(path[0], str) and path[0] in self.aliases:
            return (self.aliases[path[0]], *path[1:])
        return path

    def named(self, file: str) -> Document:
        """The same content under another file name."""
        if file == self.file:
            return self
        return replace(self, file=file, findings=in_file(self.findings, file))


def in_file(findings: tuple[Finding, ...], file: str) -> tuple[Finding, ...]:
    """The same findings as of another file."""
    return tuple(replace(finding, where=replace(finding.where, file=file)) for finding in findings)


def read_document(
    text: str, file: str = "", *, is_json: bool = False, expand: Expand | None = None
) -> Document:
    """Read one YAML or JSON document; never raises, what is broken is in `findings`.

    Args:
        text: The content.
        file: Its name for findings.
        is_json: Whether it has to be JSON.
        expand: Applied to a scalar's text before its type is decided; a ValueError from it becomes a finding.
    """
    reader = _Reader(file, expand)
    if is_json:
        value = reader.json(text)
        if not reader.findings:
            positions = _Reader(file, None)
            positions.yaml(text)
            reader.keys, reader.values = positions.keys, positions.values
    else:
        value = reader.yaml(text)
    return Document(file, value, reader.keys, reader.values, tuple(reader.findings), text=text)


class _Refused(Exception):
    """The document goes beyond a bound."""


class _Reader:
    def __init__(self, file: str, expand: Expand | None) -> None:
        self.file = file
        self.expand = expand
        self.keys: dict[Path, Position] = {}
        self.values: dict[Path, Position] = {}
        self.findings: list[Finding] = []
        self._count = 0
        self._loader: Any = None

    def json(self, text: str) -> Any:
        def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
            made: dict[str, Any] = {}
            for key, value in items:
                if key in made:
                    self._find(
                        "duplicate-key", f"key {key!r} stands twice in one object", Where(self.file, key=key)
                    )
                made[key] = value
            return made

        try:
            return json.loads(text, object_pairs_hook=pairs) if text.strip() else None
        except json.JSONDecodeError as error:
            self._find("syntax", f"not JSON: {error.msg}", Where(self.file, error.lineno, error.colno))
        except RecursionError:
            self._find("syntax", "values are nested too deeply", Where(self.file))
        return None

    def yaml(self, text: str) -> Any:
        try:
            self._loader = _LOADER(text)
            node = self._loader.get_single_node()
            return None if node is None else self._value(node, (), ())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            if "expected ':'" in (error.problem or ""):
                mark = error.context_mark or mark  # the problem is noticed only in a line below the key
            place = Where(self.file, mark.line + 1, mark.column + 1) if mark else Where(self.file)
            problem = " ".join(part for part in (error.context, error.problem) if part)
            hint = "check indentation, colons, brackets and quotes"
            if mark and re.match(r"[ ]*\t", (text.splitlines()[mark.line : mark.line + 1] or [""])[0]):
                hint = "indent with spaces; YAML takes no tabs"
            if self.expand is not None and re.search(r"[{,][^}]*\$\{", text):
                hint = "inside { } an unquoted ${...} is no YAML: write that mapping over several lines"
            self._find("syntax", f"not YAML: {problem}", place, hint)
        except yaml.reader.ReaderError as error:
            self._find_character(text, error.character)
        except UnicodeEncodeError as error:
            self._find_character(text, text[error.start])
        except _Refused as error:
            self._find("too-large", str(error), Where(self.file))
        finally:
            if self._loader is not None:
                self._loader.dispose()
        return None

    def _find_character(self, text: str, character: int | str | bytes) -> None:
        # The C and the Python reader count positions differently, in bytes and in characters.
        found = chr(character) if isinstance(character, int) else str(character)
        before, there, _ = text.partition(found)
        where = (
            Where(self.file, before.count("\n") + 1, len(before) - before.rfind("\n"))
            if there
            else Where(self.file)
        )
        self._find(
            "syntax", f"not YAML: character U+{ord(found[:1] or ' '):04X} is not allowed", where, "remove it"
        )

    def _find(self, code: str, message: str, where: Where, hint: str = "") -> None:
        self.findings.append(Finding(Level.ERROR, code, message, where, hint))

    def _where(self, node: Any, path: Path) -> Where:
        return Where(self.file, node.start_mark.line + 1, node.start_mark.column + 1, dotted(path))

    def _value(self, node: Any, path: Path, parents: tuple[int, ...]) -> Any:
        self._count += 1
        if self._count > MAX_NODES:
            raise _Refused(f"more than {MAX_NODES} values (anchors that multiply each other?)")
        if len(parents) > MAX_DEPTH or id(node) in parents:
            raise _Refused(f"values are nested more than {MAX_DEPTH} levels, or contain themselves")
        self.values[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        inside = (*parents, id(node))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if isinstance(node, yaml.SequenceNode):
            if node.tag != _TAG + "seq":
                self._find(
                    "tag", f"tag {node.tag} is not supported", self._where(node, path), "write a plain list"
                )
            return [self._value(item, (*path, index), inside) for index, item in enumerate(node.value)]
        if node.tag != _TAG + "map":
            self._find(
                "tag", f"tag {node.tag} is not supported", self._where(node, path), "write a plain mapping"
            )
        return self._mapping(node, path, inside)

    def _mapping(self, node: Any, path: Path, inside: tuple[int, ...]) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                many = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for one in many:
                    self._merge(one, path, inside, merged)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._find("bad-key", "a key must be a single word or text", self._where(key_node, path))
                continue
            key = self._scalar(key_node, path)
            key = (
                str(key)
                if isinstance(key, str)
                else key_node.value
                if isinstance(key, bool) or key is None
                else key
            )
            here = (*path, key)
            if key in made:
                line = self.keys[here][0]
                self._find(
                    "duplicate-key",
                    f"key {key!r} stands twice in one mapping, first in line {line}",
                    self._where(key_node, here),
                    "remove one of the two",
                )
                continue
            self.keys[here] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            made[key] = self._value(value_node, here, inside)
        return {**merged, **made} if merged else made

    def _merge(self, node: Any, path: Path, inside: tuple[int, ...], merged: dict[Any, Any]) -> None:
        if not isinstance(node, yaml.MappingNode) or id(node) in inside:
            self._find("bad-key", "'<<' takes a mapping, or a list of them", self._where(node, path))
            return
        for key, value in self._mapping(node, path, (*inside, id(node))).items():
            merged.setdefault(key, value)

    def _scalar(self, node: Any, path: Path) -> Any:
        text, tag = node.value, node.tag
        if self.expand is not None and "${" in text:
            try:
                text = self.expand(text)
            except ValueError as error:
                self._find("unset-variable", str(error), self._where(node, path))
                return None
            if not node.style:
                tag = self._loader.resolve(yaml.ScalarNode, text, (True, False))
            node = yaml.ScalarNode(tag, text, node.start_mark, node.end_mark, node.style)
        if tag in _TEXT_TAGS:
            return float(text) if not node.style and _EXPONENT.match(text) else text
        try:
            if tag == _TAG + "int":
                return self._loader.construct_yaml_int(node)
            if tag == _TAG + "float":
                return self._loader.construct_yaml_float(node)
        except ValueError:
            return text
        if tag == _TAG + "bool":
            lower = text.lower()
            return lower == "true" if lower in ("true", "false") else SwitchWord(text)
        if tag == _TAG + "null":
            return None
        self._find("tag", f"tag {tag} is not supported", self._where(node, path), "write the plain value")
        return None
