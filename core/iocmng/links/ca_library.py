"""The C library of Channel Access as pyepics finds and starts it, with typed functions."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

# It tells pyepics which libca to load, so it comes first: two of them in one process do not live together.
import iocmng.dso  # noqa: F401

# isort: split
import epicscorelibs.path.pyepics  # noqa: F401
from epics import ca, dbr

NORMAL: int = dbr.ECA_NORMAL
NO_READ_ACCESS = 368
NO_WRITE_ACCESS = 376
PUT = 1
VALUE_AND_ALARM = 5
TIME: int = dbr.TIME_STRING
STRING: int = dbr.STRING
ENUM: int = dbr.ENUM
STATES: int = dbr.CTRL_ENUM
CHAR: int = dbr.CHAR
SHORT: int = dbr.SHORT
FLOAT: int = dbr.FLOAT
LONG: int = dbr.LONG
DOUBLE: int = dbr.DOUBLE

Connection = dbr.connection_args
Event = dbr.event_handler_args


def state_names(event: Any) -> tuple[str, ...]:
    """Return the labels that an event of the type `STATES` carries."""
    states = ctypes.cast(event.raw_dbr, ctypes.POINTER(dbr.ctrl_enum)).contents
    return tuple(
        bytes(states.strs[index]).split(b"\0", 1)[0].decode(errors="replace")
        for index in range(states.no_str)
    )


class Failure(ctypes.Structure):
    """`exception_handler_args` of cadef.h: what a server complained about."""

    _fields_ = [
        ("usr", ctypes.c_void_p),
        ("chid", ctypes.c_void_p),
        ("type", ctypes.c_long),
        ("count", ctypes.c_long),
        ("address", ctypes.c_void_p),
        ("status", ctypes.c_long),
        ("operation", ctypes.c_long),
        ("context", ctypes.c_char_p),
        ("file", ctypes.c_char_p),
        ("line", ctypes.c_uint),
    ]


OnConnection = ctypes.CFUNCTYPE(None, Connection)
OnEvent = ctypes.CFUNCTYPE(None, Event)
OnFailure = ctypes.CFUNCTYPE(None, Failure)


class Library:
    """libca in the calling thread, attached to the one client context that pyepics made.

    Args:
        on_failure: Called in a thread of libca with each complaint that belongs to no callback.
    """

    def __init__(self, on_failure: Callable[[Any], None]) -> None:
        ca.use_initial_context()
        # A handle of its own: types set on pyepics' handle would change how pyepics calls.
        self._functions = ctypes.CDLL(ca.libca._name)
        chid, pointer, number, text = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long, ctypes.c_char_p
        event_user = ctypes.py_object
        self.create_channel = self._function(
            "ca_create_channel", text, OnConnection, event_user, ctypes.c_uint, pointer
        )
        self.clear_channel = self._function("ca_clear_channel", chid)
        self.create_subscription = self._function(
            "ca_create_subscription", number, ctypes.c_ulong, chid, number, OnEvent, event_user, pointer
        )
        self.clear_subscription = self._function("ca_clear_subscription", pointer)
        self.get = self._function("ca_array_get_callback", number, ctypes.c_ulong, chid, OnEvent, event_user)
        self.put = self._function("ca_array_put", number, ctypes.c_ulong, chid, pointer)
        self.put_callback = self._function(
            "ca_array_put_callback", number, ctypes.c_ulong, chid, pointer, OnEvent, event_user
        )
        self.flush = self._function("ca_flush_io")
        self.write_access = self._function("ca_write_access", chid)
        self.field_type = self._function("ca_field_type", chid, result=ctypes.c_short)
        self.element_count = self._function("ca_element_count", chid, result=ctypes.c_ulong)
        self._user = self._function("ca_puser", chid, result=ctypes.c_void_p)
        self._message = self._function("ca_message", number, result=ctypes.c_char_p)
        self._on_failure = OnFailure(on_failure)
        self._function("ca_add_exception_event", OnFailure, pointer)(self._on_failure, None)

    def user(self, chid: int) -> Any:
        """Return the object that a channel was created with."""
        return ctypes.cast(self._user(chid), ctypes.py_object).value

    def message(self, status: int) -> str:
        """Return what a status code means."""
        text: bytes | None = self._message(status)
        return text.decode(errors="replace") if text else f"status {status}"

    def _function(self, name: str, *arguments: Any, result: Any = ctypes.c_int) -> Any:
        function = self._functions[name]
        function.argtypes = arguments
        function.restype = result
        return function
