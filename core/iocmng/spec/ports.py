"""Ports of a config as record templates (type, fields, first value), made once and named per instance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from iocmng.config import Alarm, InputPort, OutputPort, Port
from iocmng.config.document import SwitchWord
from iocmng.names import Provider, parse_link
from iocmng.spec.convert import convert
from iocmng.spec.defaults import STATE_SEVERITY_FIELDS, Template
from iocmng.spec.instance import Direction, PortSpec
from iocmng.spec.record import RecordSpec
from iocmng.spec.wiring import AgeBy, LatchDirection, LinkMode, LinkSpec
from iocmng.values import PortType, Value

LIMIT_FIELDS = {
    "lolo": ("LOLO", "LLSV"),
    "low": ("LOW", "LSV"),
    "high": ("HIGH", "HSV"),
    "hihi": ("HIHI", "HHSV"),
}
DEFAULT_SEVERITY = {"lolo": "MAJOR", "low": "MINOR", "high": "MINOR", "hihi": "MAJOR"}
SEED_HIGH = 100
"""Where `alarm_on` of a number acted in iocmng 2 when no `high` was stated."""

LONGEST_SHORT_TEXT = 39
LATCH_DIRECTIONS = {"0->1": LatchDirection.RISE, "1->0": LatchDirection.FALL}
_INT32 = 2**31

_RECORD_TYPES = {
    PortType.FLOAT: ("ai", "ao"),
    PortType.BOOL: ("bi", "bo"),
    PortType.ENUM: ("mbbi", "mbbo"),
    PortType.ARRAY: ("waveform", "waveform"),
}


@dataclass(frozen=True, slots=True)
class LinkTemplate:
    """A link without its instance; `mode` None leaves that to `trigger` and the instance's mode."""

    text: str
    mode: LinkMode | None = None
    poll_rate: float | None = None
    max_age: float | None = None
    age_by: AgeBy = AgeBy.RECEIPT
    trigger: bool = False
    reassert: bool = True

    def link(self, provider: Provider, *, monitor: bool) -> LinkSpec:
        """The link of one instance; instances share it.

        Args:
            provider: Provider of a link without a scheme.
            monitor: Whether inputs of this instance are monitored unless they say otherwise.
        """
        return _link_spec(self, provider, monitor)


@lru_cache(maxsize=8192)
def _link_spec(template: LinkTemplate, provider: Provider, monitor: bool) -> LinkSpec:
    default = LinkMode.MONITOR if monitor or template.trigger else LinkMode.POLL
    return LinkSpec(
        address=parse_link(template.text, provider),
        mode=template.mode or default,
        poll_rate=template.poll_rate,
        max_age=template.max_age,
        age_by=template.age_by,
        trigger=template.trigger,
        reassert=template.reassert,
    )


@dataclass(frozen=True, slots=True)
class PortTemplate:
    """A port without its instance: `record` are the record's arguments but its name, `link` is as written."""

    name: str
    direction: Direction
    record: Template
    value: Value | None
    fail_safe: Value | None
    hold_on_pause: bool
    link: LinkTemplate | None = None
    buffer_size: int | None = None
    latch: LatchDirection | None = None

    def port(self, pv_name: str, provider: Provider, *, reactive: bool = False) -> PortSpec:
        """The port of one instance.

        Args:
            pv_name: Its PV.
            provider: Provider of a link without a scheme.
            reactive: Whether the instance is in reactive mode, where inputs are monitored by default.
        """
        return PortSpec(
            name=self.name,
            direction=self.direction,
            record=RecordSpec(name=pv_name, **self.record),
            value=self.value,
            fail_safe=self.fail_safe,
            hold_on_pause=self.hold_on_pause,
            link=self.link.link(provider, monitor=reactive) if self.link else None,
            buffer_size=self.buffer_size,
            latch=self.latch,
        )


class PortProblem(Exception):
    """A key of a port does not fit its record; `args` are the key and the message."""

    def __init__(self, key: str, message: str, hint: str = "") -> None:
        super().__init__(key, message)
        self.key = key
        self.message = message
        self.hint = hint


def port_template(name: str, port: Port) -> PortTemplate:
    """Make the template of one port.

    Raises:
        PortProblem: `value` or `fail_safe` does not fit.
    """
    writable = isinstance(port, InputPort) and port.link is None
    record: dict[str, Any] = {
        "port": name,
        "type": port.type,
        "record_type": _record_type(port, writable=writable),
        "writable": writable,
        "labels": _labels(port),
        "length": _length(port),
        "dtype": port.dtype if port.type is PortType.ARRAY else None,
        "unit": port.unit,
        "description": port.description,
        "info": tuple((tag, str(text)) for tag, text in port.info.items()),
        "access": port.access if writable else None,
        "autosave": writable and isinstance(port, InputPort) and port.autosave,
    }
    shape = RecordSpec(name=name, **record)
    value = _declared(shape, port, "value")
    fail_safe = _declared(shape, port, "fail_safe")
    if writable:
        _check_clamp(port, value)
    record["value"] = value
    record["fields"] = tuple({**dict(_fields(port, writable=writable)), **_texts(port.fields)}.items())
    return PortTemplate(
        name=name,
        direction=Direction.INPUT if isinstance(port, InputPort) else Direction.OUTPUT,
        record=record,
        value=value,
        fail_safe=fail_safe,
        hold_on_pause=isinstance(port, OutputPort) and port.on_pause == "hold",
        link=_link(port),
        buffer_size=port.buffer_size,
        latch=_latch(port),
    )


def _link(port: Port) -> LinkTemplate | None:
    if port.link is None:
        return None
    if isinstance(port, InputPort):
        return LinkTemplate(
            port.link,
            mode=LinkMode(port.link_mode) if port.link_mode else None,
            poll_rate=port.poll_rate,
            max_age=port.max_age,
            age_by=AgeBy(port.age_by),
            trigger=port.trigger,
        )
    return LinkTemplate(port.link, mode=LinkMode.POLL, reassert=getattr(port, "reassert", True))


def _latch(port: Port) -> LatchDirection | None:
    if not isinstance(port, OutputPort) or not port.latch:
        return None
    return LATCH_DIRECTIONS.get(port.latch_dir) or LatchDirection(port.latch_dir)


def _record_type(port: Port, *, writable: bool) -> str:
    if port.type is PortType.STRING:
        short, long = ("stringout", "lso") if writable else ("stringin", "lsi")
        return short if port.size <= LONGEST_SHORT_TEXT else long
    if port.type is PortType.INT:
        narrow, wide = ("longout", "int64out") if writable else ("longin", "int64in")
        return wide if any(not -_INT32 <= number < _INT32 for number in _whole_numbers(port)) else narrow
    return _RECORD_TYPES[port.type][writable]


def _whole_numbers(port: Port) -> Iterator[int | float]:
    fail_safe = getattr(port, "fail_safe", None)
    limits = (port.low, port.high, port.value, fail_safe, port.deadband, port.archive_deadband)
    alarm = port.alarm
    marks = (alarm.lolo, alarm.low, alarm.high, alarm.hihi, alarm.hysteresis) if alarm else ()
    for number in (*limits, *marks):
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            yield number


def _labels(port: Port) -> tuple[str, ...]:
    if port.type is PortType.BOOL:
        return (port.znam, port.onam)
    return port.labels if port.type is PortType.ENUM else ()


def _length(port: Port) -> int:
    if port.type is PortType.STRING:
        return port.size
    if port.type is PortType.ARRAY:
        return port.length or (len(port.value) if isinstance(port.value, (list, tuple)) else 0) or 1
    return 1


def _declared(shape: RecordSpec, port: Port, key: str) -> Value | None:
    given = getattr(port, key, None)
    if given is None:
        return None
    given = meant(given, port.type)
    try:
        return convert(shape, given)
    except (TypeError, ValueError) as error:
        quote = port.type is PortType.STRING and isinstance(given, (bool, int, float))
        raise PortProblem(key, f"{key}: {error}", "quote it" if quote else "") from None


def meant(value: Any, kind: PortType) -> Any:
    """What an author means for a port of a type: a switch word is a truth value, or the word for a text or label."""
    if isinstance(value, list):
        return [meant(item, PortType.STRING if kind is PortType.STRING else kind) for item in value]
    if isinstance(value, SwitchWord):
        return str(value) if kind in (PortType.STRING, PortType.ENUM) else value.truth
    return value


def _check_clamp(port: Port, value: Value | None) -> None:
    if value is None or not port.clamp or port.low is None or port.high is None:
        return
    if isinstance(value, (int, float)) and not port.low <= value <= port.high:
        raise PortProblem(
            "value", f"value {value} lies outside low {port.low} … high {port.high}", "widen the limits"
        )


def _fields(port: Port, *, writable: bool) -> Iterator[tuple[str, str]]:
    if port.type is PortType.FLOAT or (port.type is PortType.ARRAY and port.dtype != "string"):
        yield "PREC", str(port.prec)
    if port.type in (PortType.FLOAT, PortType.INT, PortType.ARRAY):
        yield from _display(port)
    if port.type in (PortType.FLOAT, PortType.INT):
        if writable and port.clamp and port.low is not None and port.high is not None:
            yield "DRVL", _number(port, port.low)
            yield "DRVH", _number(port, port.high)
        yield from _number_alarms(port)
        if port.deadband:
            yield "MDEL", _number(port, port.deadband)
        if port.archive_deadband:
            yield "ADEL", _number(port, port.archive_deadband)
    elif port.type is PortType.BOOL:
        yield from _state_alarms(port, ("ZSV", "OSV"))
    elif port.type is PortType.ENUM:
        yield from _state_alarms(port, STATE_SEVERITY_FIELDS)


def _display(port: Port) -> Iterator[tuple[str, str]]:
    if port.low is not None:
        yield "LOPR", _number(port, port.low)
    if port.high is not None:
        yield "HOPR", _number(port, port.high)


def _number_alarms(port: Port) -> Iterator[tuple[str, str]]:
    alarm = port.alarm
    if alarm is None:
        if port.alarm_on:
            yield "HIGH", _number(port, SEED_HIGH if port.high is None else port.high)
            yield "HSV", port.alarm_on.upper()
        return
    for key, (limit_field, severity_field) in LIMIT_FIELDS.items():
        limit = getattr(alarm, key)
        if limit is not None:
            yield limit_field, _number(port, limit)
            yield severity_field, _severity(alarm, key)
    if alarm.hysteresis:
        yield "HYST", _number(port, alarm.hysteresis)


def _severity(alarm: Alarm, key: str) -> str:
    if isinstance(alarm.severity, str):
        return alarm.severity
    return (alarm.severity or {}).get(key, DEFAULT_SEVERITY[key])


def _state_alarms(port: Port, fields: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    labels = _labels(port)
    if port.alarm is not None and isinstance(port.alarm.severity, dict):
        # Labels that do not exist, and those beyond the sixteenth, are findings of the config.
        for label, severity in port.alarm.severity.items():
            if label in labels[: len(fields)]:
                yield fields[labels.index(label)], severity
    elif port.alarm_on:
        yield fields[1], port.alarm_on.upper()


def _number(port: Port, number: float) -> str:
    return str(int(number)) if port.type is PortType.INT else repr(float(number))


def _texts(fields: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in fields.items()}
