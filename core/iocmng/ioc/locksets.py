"""Which records share an EPICS lock: linked ones do, and Python that runs under it changes how others may be put."""

from __future__ import annotations

import re
from collections.abc import Iterable

from iocmng.spec import RecordSpec

_LINK = re.compile(r"(FLNK|SDIS|TSEL|SIOL|SIML|DOL\d?|INP[A-Z]?|OUT[A-Z]?|LNK[0-9A-F]|NVL|SELL|SVL|SGNL)\Z")


class LockSets:
    """Knows whether no native record shares its lock with one that clients write, whose processing needs the GIL.

    Only then may a native record be put with the GIL kept: a thread that processes the other one would hold the
    lock and wait for the GIL, while the put holds the GIL and waits for the lock. Records are only added: one that
    departs keeps its links until it is dressed anew.
    """

    def __init__(self) -> None:
        self._writable: set[str] = set()
        self._targets: set[str] = set()
        self._linked = False

    def add(self, specs: Iterable[RecordSpec]) -> None:
        """Take records and their links into account."""
        for spec in specs:
            if spec.writable:
                self._writable.add(spec.name)
            for field, text in spec.fields:
                if _LINK.match(field) and text.strip():
                    self._linked = self._linked or spec.writable
                    self._targets.add(_target(text))

    @property
    def python_stays_alone(self) -> bool:
        """Whether a native record may be put with the GIL kept."""
        return not self._linked and self._targets.isdisjoint(self._writable)


def python_stays_alone(specs: Iterable[RecordSpec]) -> bool:
    """Whether among these records none is linked to one that clients write."""
    locks = LockSets()
    locks.add(specs)
    return locks.python_stays_alone


def _target(text: str) -> str:
    return text.split()[0].partition(".")[0]
