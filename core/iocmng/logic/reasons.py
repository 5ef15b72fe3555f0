"""Why an expression gives what it gives, in words: the terms that decide it and the values they read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from iocmng.logic.formula import Formula, Term
from iocmng.logic.unknown import Unknown
from iocmng.logic.variables import Variables
from iocmng.spec.instance import PortSpec
from iocmng.values import PortType

MAX_VALUES = 6
_LABELLED = (PortType.BOOL, PortType.ENUM)


def because(formula: Formula, result: Any, variables: Variables, ports: Mapping[str, PortSpec]) -> str:
    """Say why `formula` gives `result`: "p = 6.2 mbar: p > 5 holds", or "unknown: t (not connected)"."""
    if isinstance(result, Unknown):
        return f"unknown: {result}"
    terms = list(_decisive(formula, formula.terms, variables))
    names = dict.fromkeys(name for term in terms for name in term.names)
    shown = [_value(name, variables.values[name], ports) for name in names if name in variables.values]
    if len(shown) > MAX_VALUES:
        shown[MAX_VALUES:] = ["…"]
    text = _verdict(list(dict.fromkeys(term.text for term in terms)), result)
    return f"{', '.join(shown)}: {text}" if shown else text


def _verdict(terms: list[str], holds: bool) -> str:
    if len(terms) == 1:
        return f"{terms[0]} {'holds' if holds else 'does not hold'}"
    return f"{' and '.join(terms)} hold" if holds else f"neither {' nor '.join(terms)} holds"


def _decisive(formula: Formula, term: Term, variables: Variables) -> Iterator[Term]:
    """The terms that make a known condition true or false."""
    for part in term.parts:
        result = formula.part(part, variables)
        if not isinstance(result, Unknown) and result is term.stop:
            yield from _decisive(formula, part, variables)
            return
    for part in term.parts:
        yield from _decisive(formula, part, variables)
    if not term.parts:
        yield term


def _value(name: str, value: Any, ports: Mapping[str, PortSpec]) -> str:
    port = ports.get(name)
    record = port.record if port is not None else None
    if record is not None and record.type in _LABELLED and isinstance(value, int):
        label = f" ({record.labels[value]})" if 0 <= value < len(record.labels) else ""
        return f"{name} = {int(value)}{label}"
    unit = f" {record.unit}" if record is not None and record.unit else ""
    return f"{name} = {_plain(value)}{unit}"


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else f"{value[:39]}…")
    if hasattr(value, "__len__"):
        return f"{len(value)} values"
    return str(value)
