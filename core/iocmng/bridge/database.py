"""The standard database of the handshake, for the IOC that owns the records."""

from __future__ import annotations

_DATABASE = """\
# Records of a bridge task. Load with {load}.
# Clients set Trigger to 1; the task sets Busy, works, writes TaskStatus and TaskDuration, and clears Busy and Trigger.

record(bo, "{p}Trigger") {{
    field(DESC, "Set to 1 to run the task once")
    field(ZNAM, "Idle")
    field(ONAM, "Run")
    field(VAL, "0")
    field(PINI, "YES")
}}

record(bo, "{p}Busy") {{
    field(DESC, "The task is at work")
    field(ZNAM, "Idle")
    field(ONAM, "Busy")
    field(VAL, "0")
    field(PINI, "YES")
}}

record(bo, "{p}Heartbeat") {{
    field(DESC, "Changes each second while it lives")
    field(ZNAM, "0")
    field(ONAM, "1")
}}

record(mbbi, "{p}TaskStatus") {{
    field(DESC, "How the last cycle went")
    field(DTYP, "Soft Channel")
    field(ZRVL, "0")
    field(ZRST, "Success")
    field(ONVL, "1")
    field(ONST, "Task Fail")
    field(ONSV, "MINOR")
    field(TWVL, "2")
    field(TWST, "IO Failure")
    field(TWSV, "MINOR")
    field(THVL, "3")
    field(THST, "Code Crash")
    field(THSV, "MAJOR")
    field(FRVL, "4")
    field(FRST, "Skipped")
}}

record(ai, "{p}TaskDuration") {{
    field(DESC, "Duration of the last cycle")
    field(EGU, "s")
    field(PREC, "3")
}}
"""


def database(prefix: str = "") -> str:
    """The records as text.

    Args:
        prefix: First part of the PV names with its separator; the macro `$(P)` when empty.
    """
    load = 'dbLoadRecords("bridge.db")' if prefix else 'dbLoadRecords("bridge.db", "P=IOC:MOTOR:01:")'
    return _DATABASE.format(p=prefix or "$(P)", load=load)
