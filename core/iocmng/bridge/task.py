"""BridgeTask: a task that runs once whenever a record of another IOC asks for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, cast

from iocmng.base import TaskBase
from iocmng.bridge.handshake import Handshake
from iocmng.bridge.interface import BasePVInterface, make_interface
from iocmng.bridge.pvio import BridgeIO
from iocmng.bridge.responder import BridgeContext, Responder, another
from iocmng.errors import BadInput
from iocmng.lifecycle import TaskStatus
from iocmng.spec import HandshakeSpec

_POLL_RATE = 1.0


class BridgeTask(TaskBase):
    """A task whose trigger, status and heartbeat are records of another IOC.

    Its author writes `run_task`. The records are those of `self.interface`: an `interface_class` filled from
    `handshake:` of config.yaml, or what the code assigns in its constructor or in `initialize`.
    """

    interface_class: ClassVar[type[BasePVInterface]] = BasePVInterface

    _iocmng_interface: BasePVInterface | None = None
    _iocmng_io: BridgeIO | None = None
    _iocmng_handshake: Handshake | None = None
    _iocmng_responder: Responder | None = None

    def run_task(self) -> TaskStatus:
        """Do the work of one cycle and say how it went."""
        raise NotImplementedError(f"{type(self).__name__} has no run_task()")

    def trigger(self) -> bool:
        """Whether a cycle is due, by default whether the trigger record is set.

        One of a class's own is asked every `get_poll_rate()` seconds as well.
        """
        return self._iocmng_made().triggered()

    def reset_cycle(self) -> bool:
        """Clear Busy and Trigger, with three attempts; return whether both records have taken it."""
        return self._iocmng_made().clear()

    def get_poll_rate(self) -> float:
        """Seconds between two calls of a `trigger()` of the class's own."""
        return self._iocmng_spec.poll_rate or _POLL_RATE

    def get_max_stall_limit(self) -> float:
        """Seconds of a cycle without progress after which the heartbeat stops; at least four times the poll rate."""
        return self._iocmng_spec.max_stall_limit

    def get_max_stuck_cycles(self) -> int:
        """Heartbeats that may fail or be withheld in a row before `on_stall` acts."""
        return self._iocmng_spec.max_stuck_cycles

    @property
    def interface(self) -> Any:
        """The PV names of the other IOC's records.

        Raises:
            BadInput: Prefixes are missing.
        """
        if self._iocmng_interface is None:
            self._iocmng_interface = make_interface(
                self.interface_class, self._iocmng_spec.prefixes, self._iocmng_spec.records
            )
        return self._iocmng_interface

    @interface.setter
    def interface(self, own: BasePVInterface) -> None:
        self._iocmng_interface = own

    @property
    def io(self) -> BridgeIO:
        """Gets and puts of PVs elsewhere."""
        if self._iocmng_io is None:
            context = self._iocmng_host
            self._iocmng_io = BridgeIO(context.links, self._iocmng_spec.provider, context.clock, self.logger)
        return self._iocmng_io

    @property
    def _iocmng_host(self) -> BridgeContext:
        return cast(BridgeContext, self._bound)

    @property
    def _iocmng_spec(self) -> HandshakeSpec:
        spec = self._bound.spec.handshake
        if spec is None:
            raise BadInput(
                f"{type(self).__name__} is a bridge task, and its config has no handshake",
                hint='add handshake: {prefixes: {main: "IOC:"}} to config.yaml',
            )
        return spec

    def _iocmng_made(self) -> Handshake:
        if self._iocmng_handshake is None:
            clock = self._iocmng_host.clock
            self._iocmng_handshake = Handshake(
                self.interface, self.io, lambda seconds: clock.wakeup().wait(seconds), self.logger
            )
        return self._iocmng_handshake

    @classmethod
    def _iocmng_problems(
        cls, prefixes: Mapping[str, str], records: Mapping[str, str]
    ) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with this class and a handshake, each with its remedy."""
        if cls.run_task is BridgeTask.run_task:
            yield f"bridge task {cls.__name__} has no run_task()", "write 'def run_task(self) -> TaskStatus:'"
        if not (prefixes or records):
            return  # the code makes its interface
        try:
            make_interface(cls.interface_class, prefixes, records)
        except BadInput as problem:
            yield problem.detail, problem.hint

    def _iocmng_open(self) -> None:
        context, spec = self._iocmng_host, self._iocmng_spec
        # What fails there is told by the heartbeat, and not each second.
        beats = BridgeIO(another(context.links), spec.provider, context.clock, self.logger, logging.DEBUG)
        own = type(self).trigger is not BridgeTask.trigger
        responder = Responder(self, context, self._iocmng_made(), beats, own_trigger=own)
        self._iocmng_responder = responder
        responder.open()

    def _iocmng_close(self) -> None:
        if self._iocmng_responder is not None:
            self._iocmng_responder.close()

    def triggered(self) -> Any:
        """One cycle of the handshake; a put to RUN runs one without a trigger."""
        assert self._iocmng_responder is not None
        return self._iocmng_responder.triggered()
