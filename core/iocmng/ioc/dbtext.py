"""RecordSpecs as EPICS `.db` text: quoting, field order, protection. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from iocmng.errors import RecordError
from iocmng.names import MAX_PV
from iocmng.spec import RecordSpec
from iocmng.values import DType

READ_ONLY_GROUP = "IOCMNG_RO"
DEVICE_TYPE = "iocmng"

INPUT_TYPES = frozenset({"ai", "longin", "int64in", "bi", "mbbi", "stringin", "lsi", "waveform"})
OUTPUT_TYPES = frozenset({"ao", "longout", "int64out", "bo", "mbbo", "stringout", "lso", "waveform"})
SEEDED_TYPES = frozenset({"lsi", "lso", "waveform", "stringin", "stringout"})
"""Types whose first value is written into memory before clients are served: their VAL is no plain field, or a
text that a user wrote and that `.db` text might refuse."""

FTVL = {
    DType.FLOAT64: "DOUBLE",
    DType.FLOAT32: "FLOAT",
    DType.INT8: "CHAR",
    DType.UINT8: "UCHAR",
    DType.INT16: "SHORT",
    DType.UINT16: "USHORT",
    DType.INT32: "LONG",
    DType.UINT32: "ULONG",
    DType.INT64: "INT64",
    DType.UINT64: "UINT64",
    DType.STRING: "STRING",
}

_ENUM_STRINGS = ("ZRST", "ONST", "TWST", "THST", "FRST", "FVST", "SXST", "SVST",
                 "EIST", "NIST", "TEST", "ELST", "TVST", "TTST", "FTST", "FFST")  # fmt: skip
ENUM_SEVERITIES = tuple(f"{name[:2]}SV" for name in _ENUM_STRINGS)
"""Severity fields of the states of an mbbi or mbbo."""
_BOOL_STRINGS = ("ZNAM", "ONAM")
_UNIT_TYPES = frozenset({"ai", "ao", "longin", "longout", "int64in", "int64out", "waveform", "calc"})

_OWNED = frozenset(
    {
        "NAME",
        "DTYP",
        "VAL",
        "UDF",
        "UDFS",
        "STAT",
        "SEVR",
        "TIME",
        "ASG",
        "TSE",
        "TSEL",
        "NELM",
        "FTVL",
        "SIZV",
    }
)
_BINDING = frozenset(
    {"SCAN", "PINI", "INP", "OUT", "DOL", "OMSL", "SIOL", "SIML", "SIMM", "SDIS", "DISA", "DISP"}
)
"""Fields that would let the record process, or be written, by something else than its one writer."""

_NAME = re.compile(r"[A-Za-z0-9_\-+:\[\]<>;.]+\Z")
_FIELD = re.compile(r"[A-Z][A-Z0-9]*\Z")
_TAG = re.compile(r"[A-Za-z0-9_:.\-]+\Z")
_TYPE = re.compile(r"[A-Za-z0-9]+\Z")
_PLAIN = re.compile(r"[ !#%-\[\]-~]*\Z")
_MACRO = re.compile(r"\$[({]")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_SPOKEN = str.maketrans(
    {
        "\N{DEGREE SIGN}": "deg",
        "\N{GREEK SMALL LETTER MU}": "u",
        "\N{GREEK CAPITAL LETTER OMEGA}": "Ohm",
        "\N{MULTIPLICATION SIGN}": "x",
        "\N{MIDDLE DOT}": ".",
        "\N{EN DASH}": "-",
        "\N{EM DASH}": "-",
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
        "\N{LATIN SMALL LETTER SHARP S}": "ss",
    }
)


def ascii_text(text: str) -> str:
    """Return `text` with each character outside ASCII replaced by its nearest ASCII form, else "?".

    A client that gets 39 bytes of a longer text fails when the cut falls inside a character.
    """
    if text.isascii():
        return text
    spoken = unicodedata.normalize("NFKC", text).translate(_SPOKEN)
    plain = (c for c in unicodedata.normalize("NFKD", spoken) if not unicodedata.combining(c))
    return "".join(c if c.isascii() else "?" for c in plain)


def quoted(text: str, where: str) -> str:
    """Return `text` in quotes and escaped, so that the database parser reads it back unchanged.

    Raises:
        RecordError: It holds a macro reference or a NUL, which no escape brings through; `where` names it.
    """
    if _PLAIN.match(text):
        return f'"{text}"'
    if _MACRO.search(text):
        raise RecordError(
            f"{where}: text {text!r} holds '$(' or '${{', which EPICS takes for a macro",
            hint="write it without the bracket",
        )
    if "\0" in text:
        raise RecordError(f"{where}: text {text!r} holds a NUL character", hint="remove it")
    return f'"{"".join(_escaped(character) for character in text)}"'


def _escaped(character: str) -> str:
    if escape := _ESCAPES.get(character):
        return escape
    return character if character >= " " and character != "\x7f" else f"\\x{ord(character):02x}"


def record_text(spec: RecordSpec) -> str:
    """Return the `.db` text of one record.

    Raises:
        RecordError: A name, field or text cannot be written, or a field belongs to the host; names both.
    """
    if not _NAME.match(spec.name):
        raise RecordError(f"record {spec.name!r}: the name holds a character that EPICS refuses")
    if len(spec.name) > MAX_PV:
        raise RecordError(f"record {spec.name!r}: {len(spec.name)} characters, at most {MAX_PV} fit")
    alike = (spec.record_type, spec.writable, spec.value is None, _value_text(spec),
             spec.fields, spec.info, spec.labels, spec.length,
             spec.dtype, spec.access, spec.unit, spec.description)  # fmt: skip
    body = _bodies.get(alike)
    if body is None:
        if len(_bodies) >= _KEPT_BODIES:
            _bodies.clear()
        body = _bodies[alike] = _body(spec)
    return f'record({spec.record_type}, "{spec.name}") {{{body}}}\n'


_LONGEST_LINE = 800
_KEPT_BODIES = 4096
_bodies: dict[tuple[object, ...], str] = {}
"""Texts between the braces: records of instances of one plugin differ in their names only."""


def _body(spec: RecordSpec) -> str:
    if not _TYPE.match(spec.record_type):
        raise RecordError(f"record {spec.name}: no record type {spec.record_type!r}")
    parts = []
    for field, text in field_texts(spec):
        if not _FIELD.match(field):
            raise RecordError(f"{spec.name}: {field!r} is no field name", hint="field names are upper case")
        parts.append(f"field({field}, {quoted(text, f'{spec.name}.{field}')})")
    for tag, text in spec.info:
        if not _TAG.match(tag):
            raise RecordError(f"{spec.name}: {tag!r} is no name of an info tag")
        parts.append(f"info({tag}, {quoted(text, f'{spec.name} info {tag}')})")
    # The parser works line by line: a record on one line loads a seventh faster, a line over 1,023 bytes is cut.
    return " ".join(parts) if sum(map(len, parts)) < _LONGEST_LINE else "\n  ".join(parts)


def database_text(specs: Iterable[RecordSpec]) -> str:
    """Return the `.db` text of several records.

    Raises:
        RecordError: As `record_text`.
    """
    return "".join(record_text(spec) for spec in specs)


def field_texts(spec: RecordSpec) -> Iterator[tuple[str, str]]:
    """Yield every field of the record in the order it is written, texts as clients shall see them.

    Raises:
        RecordError: `spec.fields` names a field that the host sets itself.
    """
    _check_declared(spec)
    yield from _binding(spec)
    yield from _derived(spec)
    yield from _shape(spec).items()
    yield from _declared(spec)
    yield from _first_value(spec)


def dress_texts(spec: RecordSpec) -> Iterator[tuple[str, str]]:
    """Yield the fields that a record can be given at any time: all but what binds it, its size and its value.

    Raises:
        RecordError: It has more labels than its type holds.
    """
    yield from _derived(spec)
    yield from _declared(spec)


def _derived(spec: RecordSpec) -> Iterator[tuple[str, str]]:
    declared = {field for field, _ in spec.fields}
    for field, text in _texts(spec).items():
        if field not in declared:
            yield field, ascii_text(text)


def _declared(spec: RecordSpec) -> Iterator[tuple[str, str]]:
    for field, text in spec.fields:
        yield field, ascii_text(text)


def _check_declared(spec: RecordSpec) -> None:
    owned = _OWNED if spec.record_type == "calc" else _OWNED | _BINDING
    if refused := sorted(owned & {field for field, _ in spec.fields}):
        raise RecordError(f"{spec.name}: field {refused[0]} is set by the host and cannot be given",
                          hint="remove it from `fields`")  # fmt: skip


def _binding(spec: RecordSpec) -> Iterator[tuple[str, str]]:
    if spec.writable:
        yield "DTYP", DEVICE_TYPE
        if spec.access:
            yield "ASG", spec.access
        return
    yield "ASG", READ_ONLY_GROUP
    if spec.record_type != "calc":
        yield "TSE", "-2"


def _texts(spec: RecordSpec) -> dict[str, str]:
    texts = {"DESC": spec.description} if spec.description else {}
    if spec.unit and spec.record_type in _UNIT_TYPES:
        texts["EGU"] = spec.unit
    names = {"bi": _BOOL_STRINGS, "bo": _BOOL_STRINGS, "mbbi": _ENUM_STRINGS, "mbbo": _ENUM_STRINGS}
    if len(spec.labels) > (allowed := len(names.get(spec.record_type, spec.labels))):
        raise RecordError(
            f"{spec.name}: {len(spec.labels)} labels, a {spec.record_type} record holds {allowed}"
        )
    texts.update(zip(names.get(spec.record_type, ()), spec.labels, strict=False))
    return texts


def _shape(spec: RecordSpec) -> dict[str, str]:
    if spec.record_type == "waveform":
        return {"NELM": str(max(1, spec.length)), "FTVL": FTVL[spec.dtype or DType.FLOAT64]}
    if spec.record_type in ("lsi", "lso"):
        return {"SIZV": str(spec.length + 1)}
    return {}


def _first_value(spec: RecordSpec) -> Iterator[tuple[str, str]]:
    if spec.value is None or spec.record_type == "calc":
        return
    if (value := _value_text(spec)) is not None:
        # A VAL in the text makes a record defined, which an output is not before its first publish.
        yield "VAL", value
        yield "UDF", "1"
    if spec.writable:
        yield "UDF", "0"
        yield "STAT", "NO_ALARM"


def _value_text(spec: RecordSpec) -> str | None:
    """The first value as the field VAL, None when there is none or it is seeded in memory."""
    value = spec.value
    if value is None or spec.record_type in SEEDED_TYPES or not isinstance(value, (bool, int, float)):
        return None
    return repr(float(value)) if spec.record_type in ("ai", "ao") else str(int(value))
