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
SEEDED_TYPES = frozenset({"lsi", "lso", "waveform"})
"""Types whose VAL is no plain field: their first value is written into memory before clients are served."""

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
    {"NAME", "DTYP", "VAL", "UDF", "STAT", "SEVR", "TIME", "ASG", "TSE", "TSEL", "NELM", "FTVL", "SIZV"}
)
_BINDING = frozenset(
    {"SCAN", "PINI", "INP", "OUT", "DOL", "OMSL", "SIOL", "SIML", "SIMM", "SDIS", "DISA", "DISP"}
)
"""Fields that would let the record process, or be written, by something else than its one writer."""

_NAME = re.compile(r"[A-Za-z0-9_\-+:\[\]<>;.]+\Z")
_FIELD = re.compile(r"[A-Z][A-Z0-9]*\Z")
_TAG = re.compile(r"[A-Za-z0-9_:.\-]+\Z")
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
    if _MACRO.search(text):
        raise RecordError(f"{where}: text {text!r} holds '$(' or '${{', which EPICS takes for a macro",
                          hint="write it without the bracket")  # fmt: skip
    if "\0" in text:
        raise RecordError(f"{where}: text {text!r} holds a NUL character", hint="remove it")
    return (
        '"'
        + "".join(_ESCAPES.get(c) or (c if c >= " " and c != "\x7f" else f"\\x{ord(c):02x}") for c in text)
        + '"'
    )


def record_text(spec: RecordSpec) -> str:
    """Return the `.db` text of one record.

    Raises:
        RecordError: A name, field or text cannot be written, or a field belongs to the host; names both.
    """
    if not _NAME.match(spec.name):
        raise RecordError(f"record {spec.name!r}: the name holds a character that EPICS refuses")
    if len(spec.name) > MAX_PV:
        raise RecordError(f"record {spec.name!r}: {len(spec.name)} characters, at most {MAX_PV} fit")
    if not re.match(r"[a-z0-9]+\Z", spec.record_type):
        raise RecordError(f"record {spec.name}: no record type {spec.record_type!r}")
    lines = [f"record({spec.record_type}, {quoted(spec.name, spec.name)}) {{"]
    for field, text in field_texts(spec):
        if not _FIELD.match(field):
            raise RecordError(f"{spec.name}: {field!r} is no field name", hint="field names are upper case")
        lines.append(f"  field({field}, {quoted(text, f'{spec.name}.{field}')})")
    for tag, text in spec.info:
        if not _TAG.match(tag):
            raise RecordError(f"{spec.name}: {tag!r} is no name of an info tag")
        lines.append(f"  info({tag}, {quoted(text, f'{spec.name} info {tag}')})")
    lines.append("}\n")
    return "\n".join(lines)


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
    declared = dict(spec.fields)
    owned = _OWNED if spec.record_type == "calc" else _OWNED | _BINDING
    if refused := sorted(owned & declared.keys()):
        raise RecordError(f"{spec.name}: field {refused[0]} is set by the host and cannot be given",
                          hint="remove it from `fields`")  # fmt: skip
    yield from _binding(spec)
    derived = {**_texts(spec), **_shape(spec)}
    for field, text in derived.items():
        if field not in declared:
            yield field, ascii_text(text)
    for field, text in spec.fields:
        yield field, ascii_text(text)
    yield from _first_value(spec)


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
    if spec.record_type not in SEEDED_TYPES:
        value = spec.value
        yield (
            "VAL",
            value
            if isinstance(value, str)
            else repr(float(value))
            if spec.record_type in ("ai", "ao")
            else str(int(value)),
        )
    # A VAL in the text makes a record defined, which an output is not before its first publish.
    yield "UDF", "0" if spec.writable else "1"
    if spec.writable:
        yield "STAT", "NO_ALARM"
