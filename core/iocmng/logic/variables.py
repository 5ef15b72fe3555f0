"""What expressions see of an instance: values of known names, and why the others are unknown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from iocmng.logic.decisions import Snapshot
from iocmng.logic.samples import Samples
from iocmng.logic.unknown import Unknown, is_nan
from iocmng.values import Reading, Severity, Value

OK, AGE, SEVERITY, BUFFER = "_ok", "_age", "_severity", "_buf"

_NUMBERS = frozenset((float, int, bool))
_NO_ALARM = Severity.NO_ALARM
NEVER_READ = Reading(None, Severity.INVALID, connected=False, message="never read")


@dataclass(frozen=True, slots=True)
class Names:
    """The names that the expressions of a program read, by where their values come from.

    Attributes:
        ports: Ports whose readings come with the snapshot.
        owned: Outputs that the program writes itself and reads too.
        buffers: Ports whose ring buffer is read.
        ages: Ports whose age is read, with the age of one that the snapshot does not name.
        flags: Ports of which `_ok` or `_severity` is read.
        parameters: Parameters.
    """

    ports: tuple[str, ...]
    owned: frozenset[str]
    buffers: tuple[str, ...]
    ages: Mapping[str, float]
    flags: frozenset[str]
    parameters: tuple[str, ...]


class Variables:
    """The variables of one running program.

    Attributes:
        values: The last known value of each name.
        unknown: Names that are unknown now, and why.
        odd: Unknown names and those that hold an infinity, for which plain evaluation will not do.
        alarmed: Names that are known and in MINOR or MAJOR.
        touched: Names that have changed in this step.
        later: Names that count as changed in the next step, because some expression has been computed before them.
    """

    def __init__(self, names: Names) -> None:
        self._names = names
        self._readings: dict[str, Reading | None] = dict.fromkeys(names.ports)
        self._samples: dict[str, Samples | None] = dict.fromkeys(names.buffers)
        self._parameters: dict[str, Any] = {}
        self._good: set[str] = set()
        self.values: dict[str, Any] = {}
        self.unknown: dict[str, Unknown] = {}
        self.odd: set[str] = set()
        self.alarmed: dict[str, Severity] = {}
        self.touched: set[str] = set()
        self.later: set[str] = set()
        for name in names.parameters:
            self._unknown(name, Unknown((f"{name} (no value)",)))
        for name in names.owned:
            self.own(name, None, Severity.INVALID, undecided(name))

    def take(self, snapshot: Snapshot) -> None:
        """Begin a step: take in what differs from the one before."""
        self.touched, self.later = self.later, self.touched
        self.later.clear()
        known = self._readings
        readings = snapshot.readings
        for name, last in known.items():
            reading = readings.get(name, NEVER_READ)
            if reading is not last:
                known[name] = reading
                value: Any = reading.value
                if (
                    name in self._good
                    and type(value) in _NUMBERS
                    and reading.severity is _NO_ALARM
                    and reading.connected
                    and value - value == 0.0
                ):
                    # As good as before: what most readings are.
                    if value != self.values[name]:
                        self.values[name] = value
                        self.touched.add(name)
                elif last is None or not _same_reading(reading, last):
                    self._read(name, reading)
        if self._names.parameters:
            self._take_parameters(snapshot.parameters)
        if self._samples:
            self._take_buffers(snapshot.buffers)
        for name, otherwise in self._names.ages.items():
            self._known(name + AGE, snapshot.ages.get(name, otherwise))

    def own(self, name: str, value: Value | None, severity: Severity, unknown: Unknown | None) -> None:
        """Take in what this step decided for an output; `value` None leaves the last one."""
        if unknown is not None:
            if value is not None:
                self.values[name] = value
            self._unknown(name, unknown)
        else:
            self._known(name, value)
        self._quality(name, severity, unknown is None)

    def owns(self, name: str) -> bool:
        """Whether an expression reads this output."""
        return name in self._names.owned

    def recall(self, name: str) -> bool:
        """Let an output that is unknown be read as it was decided last, until `own` is called; whether it is so."""
        if name not in self.unknown:
            return False
        if name in self.values:
            self._known(name, self.values[name])
        else:
            self._unknown(name, undecided(name))
        return True

    def _read(self, name: str, reading: Reading) -> None:
        unknown = doubt(name, reading)
        self._good.discard(name)
        if unknown is None:
            self._known(name, reading.value)
            self._quality(name, reading.severity, True)
            if reading.severity is _NO_ALARM and name not in self.odd and type(reading.value) in _NUMBERS:
                self._good.add(name)
        else:
            self._unknown(name, unknown)
            there = reading.connected and reading.value is not None
            self._quality(name, reading.severity if there else Severity.INVALID, False)

    def _known(self, name: str, value: Any) -> None:
        self.values[name] = value
        if name in self.unknown:
            del self.unknown[name]
        if type(value) is float and value - value != 0.0:
            self.odd.add(name)
        elif name in self.odd:
            self.odd.remove(name)
        self.touched.add(name)

    def _unknown(self, name: str, unknown: Unknown) -> None:
        self.unknown[name] = unknown
        self.odd.add(name)
        self.touched.add(name)

    def _quality(self, name: str, severity: Severity, known: bool) -> None:
        if known and severity is not Severity.NO_ALARM:
            self.alarmed[name] = severity
        else:
            self.alarmed.pop(name, None)
        if name in self._names.flags:
            self._known(name + OK, known)
            self._known(name + SEVERITY, int(severity))

    def _take_parameters(self, parameters: Mapping[str, Any]) -> None:
        for name in self._names.parameters:
            value = parameters.get(name)
            last = self._parameters.get(name)
            if value is last:
                continue
            self._parameters[name] = value
            if value is None or is_nan(value):
                self._unknown(name, Unknown((f"{name} ({'no value' if value is None else 'NaN'})",)))
            else:
                self._known(name, value)

    def _take_buffers(self, buffers: Mapping[str, Samples]) -> None:
        for port, last in self._samples.items():
            samples = buffers.get(port)
            if samples is last and port not in self.touched and last is not None:
                continue
            self._samples[port] = samples
            name = port + BUFFER
            if (why := self.unknown.get(port)) is not None:
                self._unknown(name, why)
            elif not (usable := _without_nan(samples)):
                self._unknown(name, Unknown((f"{name} (empty)",), failed=True))
            else:
                self._known(name, usable)
                if port in self.alarmed:
                    self.alarmed[name] = self.alarmed[port]
                else:
                    self.alarmed.pop(name, None)


def undecided(name: str) -> Unknown:
    """Return why an output is unknown that nothing has been decided about."""
    return Unknown((f"{name} (not decided yet)",))


def doubt(name: str, reading: Reading) -> Unknown | None:
    """Return why the value of a reading is unknown, None when it may be used."""
    if reading.value is None:
        return Unknown((f"{name} ({_word(reading, 'no value yet')})",))
    if not reading.connected:
        return Unknown((f"{name} (not connected)",))
    if reading.severity is Severity.INVALID:
        return Unknown((f"{name} ({_word(reading, 'INVALID')})",))
    if is_nan(reading.value):
        return Unknown((f"{name} (NaN)",), nan=True)
    return None


def _word(reading: Reading, otherwise: str) -> str:
    if reading.message:
        return reading.message
    return otherwise if reading.connected else "not connected"


def _same_reading(one: Reading, other: Reading) -> bool:
    return (
        one.severity is other.severity
        and one.connected is other.connected
        and one.message == other.message
        and type(one.value) is type(other.value)
        and isinstance(one.value, (bool, int, float, str, type(None)))
        and one.value == other.value
    )


def _without_nan(samples: Samples | None) -> Samples | None:
    """The samples that are values; a NaN says that there was none."""
    if samples is None:
        return None
    try:
        # One sum tells for almost every buffer that all of them are.
        if math.isfinite(sum(samples)):
            return samples
    except (TypeError, ValueError, OverflowError):
        pass
    kept = [index for index, item in enumerate(samples) if not is_nan(item)]
    if len(kept) == len(samples):
        return samples
    return Samples([samples[index] for index in kept], [samples.times[index] for index in kept])
