"""The functions of EPICS' C libraries that this process calls, each with its argument and result types."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from ctypes import (
    CFUNCTYPE,
    POINTER,
    PYFUNCTYPE,
    c_char_p,
    c_int,
    c_long,
    c_short,
    c_uint,
    c_ushort,
    c_void_p,
)
from pathlib import Path
from typing import Any

# As root EPICS would lock the whole process in memory; its libraries ask for this once, while they are opened.
os.environ.setdefault("EPICS_ALLOW_POSIX_THREAD_PRIORITY_SCHEDULING", "NO")

import iocmng.dso  # noqa: F401

# isort: split
import softioc
from epicscorelibs.ioc import Com, dbCore, pdbbase

from iocmng.errors import RecordError

DBD = Path(__file__).with_name("iocmng.dbd")


class DbAddr(ctypes.Structure):
    """What EPICS calls DBADDR: where a field of a record lies and what it holds."""

    _fields_ = [
        ("record", c_void_p),
        ("field", c_void_p),
        ("description", c_void_p),
        ("elements", c_long),
        ("field_type", c_short),
        ("field_size", c_short),
        ("special", c_short),
        ("request_type", c_short),
    ]


class Entry(ctypes.Structure):
    """What EPICS calls DBENTRY: a place in its descriptions of records, with room for what a later EPICS adds."""

    _fields_ = [
        ("base", c_void_p),
        ("record_type", c_void_p),
        ("field_description", c_void_p),
        ("node", c_void_p),
        ("tag", c_void_p),
        ("field", c_void_p),
        ("message", c_char_p),
        ("index", c_short),
        ("more", ctypes.c_byte * 64),
    ]


class NameNode(ctypes.Structure):
    """The start of a dbRecordNode: a name of a record."""

    _fields_ = [("next", c_void_p), ("previous", c_void_p), ("record", c_void_p), ("name", c_void_p)]


class TagNode(ctypes.Structure):
    """A dbInfoNode: an info tag of a record."""

    _fields_ = [
        ("next", c_void_p),
        ("previous", c_void_p),
        ("name", c_void_p),
        ("text", c_void_p),
        ("pointer", c_void_p),
    ]


class RoomyDbAddr(DbAddr):
    """A DBADDR with room for what a later EPICS may add to it."""

    _fields_ = [("more", ctypes.c_byte * 64)]


def _function(name: str, result: Any, *arguments: Any, library: Any = dbCore) -> Callable[..., Any]:
    function: Callable[..., Any] = CFUNCTYPE(result, *arguments)((name, library))
    return function


def _brief_function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A function that never waits for Python: called with the GIL kept, because a record lock is held."""
    function: Callable[..., Any] = PYFUNCTYPE(result, *arguments)((name, dbCore))
    return function


WriteSupport = CFUNCTYPE(c_long, c_void_p)


class DeviceSupport(ctypes.Structure):
    """A device support table; `ao` has one entry more than the others, which none of ours fills."""

    _fields_ = [
        ("number", c_long),
        ("report", c_void_p),
        ("init", c_void_p),
        ("init_record", c_void_p),
        ("get_ioint_info", c_void_p),
        ("write", WriteSupport),
        ("special_linconv", c_void_p),
    ]


class Channel(ctypes.Structure):
    """The start of a dbChannel: its name and where it points."""

    _fields_ = [("name", c_char_p), ("address", DbAddr)]


class TrapMessage(ctypes.Structure):
    """What a listener for writes is handed: the start of `asTrapWriteMessage`."""

    _fields_ = [
        ("user", c_char_p),
        ("host", c_char_p),
        ("channel", c_void_p),
        ("private", c_void_p),
        ("request_type", c_int),
        ("elements", c_int),
        ("data", c_void_p),
    ]


TrapListener = CFUNCTYPE(None, POINTER(TrapMessage), c_int)

EventFunction = CFUNCTYPE(None, c_void_p, c_void_p, c_int, c_void_p)
ThreadStarted = CFUNCTYPE(None, c_void_p)

load_database = _function("dbLoadDatabase", c_int, c_char_p, c_char_p, c_char_p)
put_field = _function("dbPutField", c_long, c_void_p, c_short, c_void_p, c_long)
put_field_briefly = _brief_function("dbPutField", c_long, c_void_p, c_short, c_void_p, c_long)
put = _brief_function("dbPut", c_long, c_void_p, c_short, c_void_p, c_long)
lock_record = _function("dbScanLock", None, c_void_p)
lock_record_briefly = _brief_function("dbScanLock", None, c_void_p)
unlock_record = _brief_function("dbScanUnlock", None, c_void_p)
get_field = _function("dbGetField", c_long, c_void_p, c_short, c_void_p, c_void_p, c_void_p, c_void_p)
name_to_address = _function("dbNameToAddr", c_long, c_char_p, c_void_p)
post_events = _brief_function("db_post_events", c_int, c_void_p, c_void_p, c_uint)
reset_alarms = _brief_function("recGblResetAlarms", c_ushort, c_void_p)
get_time_stamp = _brief_function("recGblGetTimeStamp", None, c_void_p)
add_device_support = _function("registryDeviceSupportAdd", c_int, c_char_p, c_void_p)
register_drivers = _function("registerAllRecordDeviceDrivers", c_int, c_void_p)
set_callback_queue = _function("callbackSetQueueSize", c_int, c_int)
build = _function("iocBuild", c_int)
run = _function("iocRun", c_int)
set_access_file = _function("asSetFilename", c_int, c_char_p)
listen_to_writes = _function("asTrapWriteRegisterListener", c_void_p, TrapListener, library=Com)
create_channel = _function("dbChannelCreate", c_void_p, c_char_p)
open_channel = _function("dbChannelOpen", c_long, c_void_p)
init_events = _function("db_init_events", c_void_p)
start_events = _function("db_start_events", c_int, c_void_p, c_char_p, ThreadStarted, c_void_p, c_uint)
add_event = _function("db_add_event", c_void_p, c_void_p, c_void_p, EventFunction, c_void_p, c_uint)
cancel_event = _function("db_cancel_event", None, c_void_p)
enable_event = _function("db_event_enable", None, c_void_p)
post_single_event = _function("db_post_single_event", None, c_void_p)
flush_messages = _function("errlogFlush", None, library=Com)
flush_streams = _function("fflush", c_int, c_void_p, library=ctypes.CDLL(None))
get_env = _function("getenv", c_char_p, c_char_p, library=ctypes.CDLL(None))
init_entry = _function("dbInitEntry", None, c_void_p, c_void_p)
finish_entry = _function("dbFinishEntry", None, c_void_p)
find_record = _function("dbFindRecord", c_long, c_void_p, c_char_p)
init_entry_from_record = _function("dbInitEntryFromRecord", None, c_void_p, c_void_p)
create_alias = _function("dbCreateAlias", c_long, c_void_p, c_char_p)
find_tag = _function("dbFindInfo", c_long, c_void_p, c_char_p)
put_tag = _function("dbPutInfo", c_long, c_void_p, c_char_p, c_char_p)
delete_record = _function("dbDeleteRecord", c_long, c_void_p)
discover_broadcasts = _function(
    "osiSockDiscoverBroadcastAddresses", None, c_void_p, c_int, c_void_p, library=Com
)
free_list = _function("ellFree2", None, c_void_p, c_void_p, library=Com)
free = ctypes.cast(ctypes.CDLL(None).free, c_void_p)

check_client_ip = c_int.in_dll(Com, "asCheckClientIP")

DATABASE = pdbbase
LIBRARY = dbCore
VERSION: str = softioc.__version__


def address_of(name: str) -> DbAddr:
    """Return where a record's value, or the field of `RECORD.FIELD`, lies.

    Raises:
        RecordError: EPICS knows no such record or field.
    """
    where = RoomyDbAddr()
    if name_to_address(name.encode(), ctypes.byref(where)):
        raise RecordError(f"EPICS has no record or field {name}")
    return where
