"""Values, PVs and findings as short texts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from iocmng.wire import Finding, InstanceView, PvView, to_plain

SHOWN_ELEMENTS = 8


def value_text(value: Any) -> str:
    """A value on one line; long lists are cut with their length."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.7g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={value_text(item)}" for key, item in value.items())
    plain = to_plain(value)
    if isinstance(plain, list):
        shown = ", ".join(value_text(item) for item in plain[:SHOWN_ELEMENTS])
        return f"[{shown}, … {len(plain)} in all]" if len(plain) > SHOWN_ELEMENTS else f"[{shown}]"
    return str(plain)


def pv_text(pv: PvView) -> str:
    """What a PV shows: the state's name, or the value with its unit."""
    if pv.labels and isinstance(pv.value, int) and 0 <= pv.value < len(pv.labels):
        return pv.labels[pv.value]
    text = value_text(pv.value)
    return f"{text} {pv.unit}" if pv.unit and text else text


def limited_text(pv: PvView, asked: Any) -> str:
    """What became of a put of `asked` beyond the PV's limits; "" when it was within them."""
    if pv.low is None or pv.high is None or not isinstance(asked, (int, float)) or pv.low <= asked <= pv.high:
        return ""
    return f"limited to {value_text(pv.value)} (low {value_text(pv.low)}, high {value_text(pv.high)})"


def quality_text(pv: PvView) -> str:
    """Severity, status and the source's words for the alarm; "" when there is none."""
    if pv.severity == "NO_ALARM":
        return ""
    return " ".join(filter(None, (pv.severity, pv.status, pv.message)))


def said(view: InstanceView) -> str:
    """The message of an instance, else the first error that validation found."""
    if view.message or not view.findings:
        return view.message
    return worst_first(view.findings)[0].message


def reason(view: InstanceView) -> str:
    """What an instance has to say, and what is not well."""
    words = said(view)
    return "; ".join(filter(None, (words, "" if view.complaint in words else view.complaint)))


def notes(view: InstanceView) -> str:
    """What a list must not hide: degraded, disabled, busy and how far, what waits."""
    busy = f"{view.progress:.0f} %" if view.kind == "job" and view.progress else "busy"
    said = {"degraded": view.degraded, "disabled": not view.enabled, busy: view.busy}
    said[f"+{view.waiting}"] = bool(view.waiting)
    return " ".join(note for note, holds in said.items() if holds)


def worst_first(findings: tuple[Finding, ...]) -> list[Finding]:
    """Findings with the errors first."""
    return sorted(findings, key=lambda finding: _RANK[finding.level.value])


_RANK = {"error": 0, "warning": 1, "note": 2}
