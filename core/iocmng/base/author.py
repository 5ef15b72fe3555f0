"""What tasks and jobs share: the names an author uses for parameters, ports, log and waiting."""

from __future__ import annotations

import datetime
import inspect
import logging
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar

from iocmng.base.context import Context
from iocmng.base.devices import DeviceAccess
from iocmng.spec import Direction
from iocmng.values import Reading, Severity, Value

C = TypeVar("C", bound=Context)
A = TypeVar("A", bound="Author[Any]")


class Pv:
    """One PV of the instance, as `pvs[name]` gives it."""

    __slots__ = ("_context", "name")

    def __init__(self, context: Context, name: str) -> None:
        self._context = context
        self.name = name

    def get(self) -> Value | None:
        """The present value."""
        return self._context.read(self.name).value

    def set(self, value: object, severity: Severity | None = None, timestamp: float | None = None) -> None:
        """Publish a value; see `TaskBase.set_pv` for what is refused."""
        self._context.write(self.name, value, severity, timestamp)


class Author(DeviceAccess, Generic[C]):
    """Base of TaskBase and JobBase; objects are made by the runtime, which binds their context first."""

    _context: C | None = None

    def __init__(
        self, name: str = "", parameters: Mapping[str, Any] | None = None, *earlier: Any, **others: Any
    ) -> None:
        """Take, and leave to the runtime, what iocmng 2.x handed to a constructor."""

    @property
    def _bound(self) -> C:
        if self._context is None:
            raise RuntimeError(
                f"{type(self).__name__} has no host: let a host run it, or iocmng.testing.run_task / run_job"
            )
        return self._context

    @property
    def name(self) -> str:
        """The instance's name."""
        return self._bound.spec.name

    @property
    def parameters(self) -> Any:
        """Parameters in force: a mapping, or the `Parameters` model of the class."""
        own: Any = self.__dict__.get("parameters")
        return self._bound.parameters if own is None else own

    @parameters.setter
    def parameters(self, own: object) -> None:
        self._shadow("parameters", own)

    @property
    def beamline_config(self) -> Mapping[str, Any]:
        """The beamline file's content."""
        return self._bound.spec.beamline

    @property
    def logger(self) -> logging.Logger:
        """The instance's log."""
        return self.__dict__.get("logger") or self._bound.logger

    @logger.setter
    def logger(self, own: logging.Logger) -> None:
        self._shadow("logger", own)

    def _shadow(self, name: str, own: object) -> None:
        """Let an object have its own, as iocmng 2.x plugins do that assign what their base class offers."""
        if name not in self.__dict__ and self._context is not None:
            words = "%s assigns self.%s: it uses its own from now on, the host keeps the one it gave"
            self._context.logger.warning(words, type(self).__name__, name)
        self.__dict__[name] = own

    @property
    def pv_prefix(self) -> str:
        """The full PV prefix."""
        return self._bound.spec.pv_prefix

    @property
    def plugin_prefix(self) -> str:
        """The instance's own segment of the PV prefix."""
        return self._bound.spec.prefix

    @property
    def pvs(self) -> dict[str, Pv]:
        """All ports and default PVs by name, each with `get()` and `set(value)`."""
        spec = self._bound.spec
        names = [*spec.defaults, *(port.name for port in spec.ports)]
        return {name: Pv(self._bound, name) for name in names}

    @property
    def readings(self) -> Mapping[str, Reading]:
        """Declared ports with value, severity, status, time and connection."""
        return self._bound.readings()

    @property
    def stopping(self) -> bool:
        """Whether it is time to leave."""
        return self._bound.stopping

    def get_pv(self, name: str) -> Value | None:
        """The value of a port or default PV: float, int, bool, str or a numpy array.

        Raises:
            KeyError: No such PV; the text names the known ones. In a plugin directory: None instead.
        """
        context = self._bound
        if not context.known(name) and context.spec.plugin.origin == "directory":
            return None
        return context.read(name).value

    def set_pv(
        self, name: str, value: object, severity: Severity | None = None, timestamp: float | None = None
    ) -> None:
        """Publish a value on an output.

        Args:
            name: The port.
            value: What converts without loss; NaN and infinities are published as INVALID.
            severity: Quality; the record's own alarm limits can make it worse.
            timestamp: Seconds since 1970-01-01 UTC; now when None.

        Raises:
            KeyError: No such port; the text names the known ones. In a plugin directory it is logged once instead.
            TypeError: A wrong type, or None.
            ValueError: Too long, or outside the type's range.
        """
        self._bound.write(name, value, severity, timestamp)

    def _of(self, direction: Direction, name: str) -> str:
        names = [port.name for port in self._bound.spec.ports if port.direction is direction]
        if name not in names:
            raise KeyError(f"{self.name} has no {direction} {name!r}; known: {', '.join(names) or 'none'}")
        return name

    def get_input(self, name: str) -> Value | None:
        """The value of a declared input."""
        return self.get_pv(self._of(Direction.INPUT, name))

    def set_input(self, name: str, value: object) -> None:
        """Set a writable input from inside."""
        self.set_pv(self._of(Direction.INPUT, name), value)

    def get_output(self, name: str) -> Value | None:
        """The value of a declared output."""
        return self.get_pv(self._of(Direction.OUTPUT, name))

    def set_output(
        self, name: str, value: object, severity: Severity | None = None, timestamp: float | None = None
    ) -> None:
        """Publish a value on a declared output."""
        self.set_pv(self._of(Direction.OUTPUT, name), value, severity, timestamp)

    def set_message(self, text: str) -> None:
        """Show `text` in MESSAGE."""
        self._bound.message(str(text))

    def keepalive(self) -> None:
        """Say that there is progress in a long piece of work."""
        self._bound.keepalive()

    def sleep(self, seconds: float) -> bool:
        """Wait; return False as soon as it is time to leave. Async code awaits `asleep` instead.

        Raises:
            RuntimeError: Called in async code, where it would hold up every other async task.
        """
        return self._bound.sleep(seconds)

    async def asleep(self, seconds: float) -> bool:
        """`sleep` for async code."""
        return await self._bound.asleep(seconds)

    @staticmethod
    def get_datetime() -> str:
        """Local date and time, YYYY-MM-DD HH:MM:SS.mmm."""
        return datetime.datetime.now().isoformat(" ", "milliseconds")

    @staticmethod
    def get_timems() -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000_000


def make(cls: type[A], context: Context) -> A:
    """Make an author's object with its context bound before its constructor runs.

    A constructor of its own may ask by name for what iocmng 2.x handed over (`name`, `parameters`, …).
    """
    author = cls.__new__(cls)
    author._context = context
    offered = {
        "name": context.spec.name,
        "parameters": context.parameters,
        "pv_definitions": {port.name: port for port in context.spec.ports},
        "beamline_config": context.spec.beamline,
        "ophyd_devices": author.ophyd_devices,
        "prefix": context.spec.pv_prefix,
        "plugin_prefix": context.spec.prefix,
    }
    asked, takes_all = _asked(cls.__init__)
    author.__init__(**{key: value for key, value in offered.items() if takes_all or key in asked})  # type: ignore[misc]
    return author


@lru_cache(maxsize=256)
def _asked(constructor: Callable[..., None]) -> tuple[frozenset[str], bool]:
    """What a constructor takes by name, and whether it takes anything."""
    parameters = inspect.signature(constructor).parameters
    return frozenset(parameters), any(one.kind is one.VAR_KEYWORD for one in parameters.values())
