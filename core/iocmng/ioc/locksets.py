"""Which records share an EPICS lock: linked ones do, and Python that runs under it changes how others may be put."""

from __future__ import annotations

import re
from collections.abc import Iterable

from iocmng.spec import RecordSpec

_LINK = re.compile(r"(FLNK|SDIS|TSEL|SIOL|SIML|DOL\d?|INP[A-Z]?|OUT[A-Z]?|LNK[0-9A-F]|NVL|SELL|SVL|SGNL)\Z")


def python_stays_alone(specs: Iterable[RecordSpec]) -> bool:
    """Whether no native record shares its lock with one that clients write, whose processing needs the GIL.

    Only then may a native record be put with the GIL kept: a thread that processes the other one would hold the
    lock and wait for the GIL, while the put holds the GIL and waits for the lock.
    """
    known = list(specs)
    writable = {spec.name for spec in known if spec.writable}
    for spec in known:
        for field, text in spec.fields:
            if not _LINK.match(field) or not text.strip():
                continue
            if spec.writable or _target(text) in writable:
                return False
    return True


def _target(text: str) -> str:
    return text.split()[0].partition(".")[0]
