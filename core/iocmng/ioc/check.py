"""Ask EPICS itself whether it takes records, in a child process that serves nothing and ends afterwards.

Loading a database description starts a thread of EPICS, and a refused text can crash its parser. So a parent
that forks calls `preload()` only, which imports Python modules and nothing else; `check_records` opens the
libraries in the child (20 ms), before code of the plugin runs there.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from iocmng.errors import RecordError
from iocmng.ioc.dbtext import field_texts, quoted, record_text
from iocmng.ioc.readable import readable
from iocmng.spec import RecordSpec

_DBD = Path(__file__).with_name("iocmng.dbd")
_NUMBERED = re.compile(r"\s*:?\s*Error \((\d+),(\d+)\)")
_REASONS = {"512,21": "the text is too long"}


def preload() -> None:
    """Import what `check_records` needs, for forked children to share; starts no thread, opens no library."""
    import iocmng.dso  # noqa: F401

    # isort: split
    import epicscorelibs.path  # noqa: F401


def check_records(specs: Sequence[RecordSpec]) -> list[tuple[str, str]]:
    """Load the records' text and return (record, complaint) for every field or record that EPICS refuses.

    Only for a child process that ends afterwards: the records stay in its memory. What EPICS prints goes to a
    file meanwhile, so nothing else may write to standard error.
    """
    found: list[tuple[str, str]] = []
    texts: dict[str, str] = {}
    for spec in specs:
        try:
            texts[spec.name] = record_text(spec)
        except RecordError as error:
            found.append((spec.name, str(error)))
    if _complaint("".join(texts.values())) is not None:
        for spec in specs:
            if spec.name in texts and (complaint := _complaint(texts[spec.name])) is not None:
                found.extend((spec.name, each) for each in _field_complaints(spec) or [complaint])
    return found


def _field_complaints(spec: RecordSpec) -> list[str]:
    """One complaint for each bad field: the parser stops at the first."""
    if (complaint := _complaint(f'record({spec.record_type}, "{spec.name}") {{}}\n')) is not None:
        return [complaint]
    complaints = []
    for field, text in field_texts(spec):
        one = f'record({spec.record_type}, "{spec.name}") {{ field({field}, {quoted(text, field)}) }}\n'
        if (complaint := _complaint(one)) is not None:
            complaints.append(_explained(field, text, complaint))
    return complaints


def _explained(field: str, text: str, complaint: str) -> str:
    numbered = _NUMBERED.search(complaint)
    if numbered and (reason := _REASONS.get(f"{numbered[1]},{numbered[2]}")):
        return f"{field}: {reason}: {len(text.encode())} bytes in {text!r}"
    return complaint


def _complaint(text: str) -> str | None:
    """Load a text; None when EPICS takes it, else what EPICS says."""
    libraries = _libraries()
    with tempfile.NamedTemporaryFile("w", suffix=".db") as file, tempfile.TemporaryFile() as messages:
        file.write(text)
        file.flush()
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(messages.fileno(), 2)
        try:
            failed = libraries.dbLoadDatabase(file.name.encode(), None, None)
            libraries.errlogFlush()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        if not failed:
            return None
        messages.seek(0)
        said = readable(messages.read().decode(errors="replace"))
    return said or f"EPICS refused it with status {failed}"


@cache
def _libraries() -> ctypes.CDLL:
    """Open EPICS' libraries and load its record types and our device support.

    Raises:
        RecordError: A description of record types cannot be loaded.
    """
    from epicscorelibs import path

    for name in ("Com", "dbCore", "dbRecStd"):
        core = ctypes.CDLL(path.get_lib(name), mode=ctypes.RTLD_GLOBAL)
    core = ctypes.CDLL(path.get_lib("dbCore"), mode=ctypes.RTLD_GLOBAL)
    core.dbLoadDatabase.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p)
    core.registerAllRecordDeviceDrivers.argtypes = (ctypes.c_void_p,)
    core.iocshRegisterCommon.restype = None
    base = ctypes.c_void_p.in_dll(core, "pdbbase")
    if not base:
        core.iocshRegisterCommon()
        _load(core, "base.dbd", os.path.join(path.base_path, "dbd"))
        if core.registerAllRecordDeviceDrivers(base):
            raise RecordError("EPICS cannot register its record types")
    _load(core, str(_DBD), None)
    return core


def _load(core: ctypes.CDLL, name: str, directory: str | None) -> None:
    if core.dbLoadDatabase(name.encode(), directory.encode() if directory else None, None):
        raise RecordError(f"EPICS cannot read {name}")
