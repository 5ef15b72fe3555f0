"""Checks of one port: keys that do not fit its type, limits, alarms, texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from iocmng import names
from iocmng.config.document import Path
from iocmng.config.ports import KEYS_BY_TYPE, TYPED_KEYS, InputPort, OutputPort, Port
from iocmng.config.report import Report
from iocmng.config.text import MAX_DESCRIPTION, MAX_ELEMENT, MAX_STATE, MAX_STATES, MAX_UNIT, text_problem
from iocmng.errors import BadInput
from iocmng.values import PortType
from iocmng.wire import Level

LINK_KEYS = ("link_mode", "poll_rate", "max_age", "age_by", "trigger", "reassert")
POINT_KEYS = frozenset({"access", "autosave", "clamp"})
LIMITS = ("lolo", "low", "high", "hihi")
NUMBERS = frozenset({PortType.FLOAT, PortType.INT})

_OWNED = (
    "NAME RTYP TIME DTYP SCAN PINI TSE TSEL SIOL SIML SIMM UDF UDFS STAT SEVR NSTA NSEV "
    "DISP PACT PROC OMSL DOL DISA SDIS DISV TPRO"
)
OWNED_FIELDS: Mapping[str, str] = {
    **dict.fromkeys(_OWNED.split(), ""),
    "VAL": "value",
    "INP": "link",
    "OUT": "link",
    "ASG": "access",
    "NELM": "length",
    "FTVL": "dtype",
    "SIZV": "size",
}
"""Fields that the host sets by itself, and the key that speaks of them."""

_FIELD = re.compile(r"[A-Z][A-Z0-9]*\Z")
_TAG = re.compile(r"[A-Za-z_][A-Za-z0-9_:.\-]*\Z")
_ASG = re.compile(r"[A-Za-z0-9_\-+:.\[\]<>;]{1,28}\Z")
INT64 = 2**63


def check_port(path: Path, port: Port, report: Report, *, lenient: bool) -> None:
    """Report everything about the port at `path` that one key alone does not tell."""
    _check_link(path, port, report, lenient=lenient)
    _check_keys(path, port, report, lenient=lenient)
    _check_texts(path, port, report)
    _check_fields(path, port, report)
    if port.type in NUMBERS or port.type is PortType.ARRAY:
        _check_limits(path, port, report)
    _check_alarm(path, port, report, lenient=lenient)
    if port.type is PortType.ARRAY and port.length is None and not isinstance(port.value, (list, tuple)):
        report.error(
            "missing-key",
            f"{path[-1]}: an array needs length, or a value that has it",
            *path,
            hint="add length: N",
        )
    if port.type is PortType.ENUM and not port.labels:
        report.error("missing-key", f"{path[-1]}: an enum needs labels", *path, hint="add labels: [A, B]")


def _check_link(path: Path, port: Port, report: Report, *, lenient: bool) -> None:
    if port.link is not None:
        check_address(port.link, report, *path, "link")
        for key in POINT_KEYS & port.model_fields_set if isinstance(port, InputPort) else ():
            text = f"{path[-1]}.{key} is about what clients write, and no client writes a linked input"
            report.warning("does-not-apply", text, *path, key, hint="remove it", key=True)
        return
    for key in LINK_KEYS:
        field = type(port).model_fields.get(key)
        if field is not None and getattr(port, key) != field.default:
            report.add(
                Level.WARNING if lenient else Level.ERROR,
                "needs-link",
                f"{path[-1]}.{key} is about a link, and {path[-1]} has none",
                (*path, key),
                "add link: NAME, or remove it",
                key=True,
            )


def check_address(link: str, report: Report, *path: str | int | float) -> None:
    """Report a link that names no PV, or an unknown scheme."""
    try:
        names.parse_link(link, names.Provider.PVA)
    except BadInput as problem:
        report.error("link", f"{path[-2]}: {problem.detail}", *path, hint=problem.hint)


def _check_keys(path: Path, port: Port, report: Report, *, lenient: bool) -> None:
    fitting = KEYS_BY_TYPE[port.type]
    for key in sorted(port.model_fields_set & TYPED_KEYS - fitting):
        if getattr(port, key) in (None, "", ()):
            continue
        types = " or ".join(kind.value for kind, keys in KEYS_BY_TYPE.items() if key in keys)
        report.add(
            Level.WARNING if lenient else Level.ERROR,
            "does-not-apply",
            f"{path[-1]} is of type {port.type.value}: {key} belongs to {types}",
            (*path, key),
            "remove it",
            key=True,
        )
    if isinstance(port, OutputPort) and port.access is not None:
        report.error(
            "does-not-apply",
            f"{path[-1]} is an output, which clients cannot write: access belongs to inputs",
            *path,
            "access",
            hint="remove it",
            key=True,
        )


def _check_texts(path: Path, port: Port, report: Report) -> None:
    texts: list[tuple[str, str, int | None]] = [
        ("description", port.description, MAX_DESCRIPTION),
        ("unit", port.unit, MAX_UNIT),
    ]
    if port.type is PortType.BOOL:
        texts += [("znam", port.znam, MAX_STATE), ("onam", port.onam, MAX_STATE)]
    for key, text, longest in texts:
        if found := text_problem(text, longest=longest):
            report.error(found[0], f"{path[-1]}.{key}: {found[1]}", *path, key)
    if port.type is PortType.ENUM:
        _check_labels(path, port, report)
    for key in ("value", "fail_safe"):
        value = getattr(port, key, None)
        many = value if isinstance(value, (list, tuple)) else [value]
        longest = port.size if port.type is PortType.STRING else MAX_ELEMENT
        for item in many:
            if isinstance(item, str) and (found := text_problem(item, longest=longest, lines=True)):
                report.error(found[0], f"{path[-1]}.{key}: {found[1]}", *path, key)


def _check_labels(path: Path, port: Port, report: Report) -> None:
    if len(port.labels) > MAX_STATES:
        report.error(
            "too-long", f"{path[-1]}: {len(port.labels)} labels, at most {MAX_STATES} fit", *path, "labels"
        )
    seen: set[str] = set()
    for index, label in enumerate(port.labels):
        if found := text_problem(label, longest=MAX_STATE):
            report.error(found[0], f"{path[-1]}.labels: {found[1]}", *path, "labels", index)
        if label in seen:
            report.error(
                "duplicate-label", f"{path[-1]}: label {label!r} stands twice", *path, "labels", index
            )
        seen.add(label)


def _check_fields(path: Path, port: Port, report: Report) -> None:
    for name, value in port.fields.items():
        here = (*path, "fields", name)
        if not _FIELD.match(name):
            report.error(
                "bad-key",
                f"{path[-1]}: {name!r} is no EPICS field name",
                *here,
                hint="use upper case",
                key=True,
            )
        elif name in OWNED_FIELDS:
            key = OWNED_FIELDS[name]
            hint = f"use the key {key}" if key else "remove it"
            report.error(
                "owned-field", f"{path[-1]}: field {name} is set by the host", *here, hint=hint, key=True
            )
        elif isinstance(value, str) and (found := text_problem(value)):
            report.error(found[0], f"{path[-1]}.fields.{name}: {found[1]}", *here)
    for name, value in port.info.items():
        here = (*path, "info", name)
        if not _TAG.match(name):
            report.error("bad-key", f"{path[-1]}: {name!r} is no name of an info tag", *here, key=True)
        elif isinstance(value, str) and (found := text_problem(value)):
            report.error(found[0], f"{path[-1]}.info.{name}: {found[1]}", *here)
    if port.access is not None and not _ASG.match(port.access):
        report.error(
            "bad-value",
            f"{path[-1]}: {port.access!r} is no name of an access security group",
            *path,
            "access",
        )
    elif port.access is not None and port.access.startswith("IOCMNG_"):
        report.error(
            "bad-value", f"{path[-1]}: access group {port.access!r} belongs to the host", *path, "access"
        )


def _check_limits(path: Path, port: Port, report: Report) -> None:
    if port.low is not None and port.high is not None and port.low >= port.high:
        report.error("limits", f"{path[-1]}: low {port.low} is not below high {port.high}", *path, "low")
    if port.type is PortType.INT:
        for key in ("low", "high", "deadband", "archive_deadband"):
            _check_whole(path, key, getattr(port, key), report)


def _check_whole(path: Path, key: str, value: Any, report: Report) -> None:
    if value is None:
        return
    keys = key.split(".")
    if value != int(value):
        report.error(
            "wrong-type", f"{path[-1]} is of type int: {key} must be whole; it is {value}", *path, *keys
        )
    elif not -INT64 <= value < INT64:
        report.error("limits", f"{path[-1]}: {key} {value} does not fit 64 bits", *path, *keys)


def _check_alarm(path: Path, port: Port, report: Report, *, lenient: bool) -> None:
    name = path[-1]
    if port.alarm_on and port.alarm is not None:
        report.error(
            "alarm",
            f"{name}: alarm and alarm_on both state severities",
            *path,
            "alarm_on",
            hint="keep alarm",
            key=True,
        )
    if port.alarm_on and port.type in NUMBERS and port.high is None:
        report.add(
            Level.WARNING if lenient else Level.ERROR,
            "alarm",
            f"{name}: alarm_on of a number needs high{' (100 is taken, as before)' if lenient else ''}",
            (*path, "alarm_on"),
            "add high, or use alarm: {high: …}",
        )
    alarm = port.alarm
    if alarm is None or "alarm" not in KEYS_BY_TYPE[port.type]:
        return
    states = (
        port.labels
        if port.type is PortType.ENUM
        else (port.znam, port.onam)
        if port.type is PortType.BOOL
        else ()
    )
    if port.type in NUMBERS:
        limits = [(key, getattr(alarm, key)) for key in LIMITS if getattr(alarm, key) is not None]
        for (lower, below), (upper, above) in pairwise(limits):
            if below > above or (below == above and (lower, upper) == ("low", "high")):
                report.error(
                    "alarm-order",
                    f"{name}: alarm {lower} {below} is not below {upper} {above}",
                    *path,
                    "alarm",
                    lower,
                )
        if port.type is PortType.INT:
            for key in (*LIMITS, "hysteresis"):
                _check_whole(path, f"alarm.{key}", getattr(alarm, key), report)
    elif states:
        for key in (*LIMITS, "hysteresis"):
            if key in alarm.model_fields_set:
                report.error(
                    "does-not-apply",
                    f"{name} is of type {port.type.value}: alarm.{key} belongs to numbers",
                    *path,
                    "alarm",
                    key,
                    hint=f"use severity: {{{states[-1]}: MAJOR}}",
                    key=True,
                )
    if isinstance(alarm.severity, str) and port.type not in NUMBERS:
        report.error(
            "bad-value",
            f"{name}: severity of a {port.type.value} is a mapping state name → severity",
            *path,
            "alarm",
            "severity",
        )
    if isinstance(alarm.severity, dict):
        known = LIMITS if port.type in NUMBERS else states
        for key in alarm.severity:
            if key not in known:
                report.error(
                    "unknown-key",
                    f"{name}: alarm.severity knows no {key!r}",
                    *path,
                    "alarm",
                    "severity",
                    key,
                    hint=names.did_you_mean(key, known),
                    key=True,
                )
            elif port.type in NUMBERS and getattr(alarm, key) is None:
                report.error(
                    "alarm",
                    f"{name}: alarm.severity.{key} has no limit beside it",
                    *path,
                    "alarm",
                    "severity",
                    key,
                    hint=f"add {key}: …",
                    key=True,
                )
