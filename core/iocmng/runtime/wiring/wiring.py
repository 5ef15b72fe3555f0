"""All links of a host: what instances read from PVs elsewhere or of the same host, and write to them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from iocmng.runtime.ports import Clock, PvClient
from iocmng.runtime.wiring.inputs import InputLinks
from iocmng.runtime.wiring.outputs import OutputLinks
from iocmng.runtime.wiring.routed import Routed
from iocmng.runtime.wiring.timers import Timers
from iocmng.spec import InstanceSpec


class Wiring:
    """One per host; a thread of its own runs only when something is due later.

    Args:
        client: Takes addresses with a scheme; a `Routed` one reaches PVs of this host without the network.
        clock: Whose seconds count.
    """

    def __init__(self, client: PvClient, clock: Clock) -> None:
        self.client = client
        self._clock = clock
        self._timers = Timers(clock)
        self._lock = threading.Lock()
        self._outputs: dict[str, list[OutputLinks]] = {}

    def inputs(self, spec: InstanceSpec, changed: Callable[[str], None]) -> InputLinks:
        """Subscribe to what an instance reads; `changed` is told of ports and must only enqueue."""
        return InputLinks(spec, self.client, self._clock, self._timers, changed, self._is_local)

    def outputs(self, spec: InstanceSpec, changed: Callable[[], None]) -> OutputLinks:
        """Write what an instance forwards and commands; `changed` must only enqueue.

        What a run before has not been able to hand over is dropped: this run decides.
        """
        made = OutputLinks(spec, self.client, self._clock, self._timers, changed, self._is_local)
        with self._lock:
            before = self._outputs.get(spec.name, [])
            late = [links for links in before if links.lingers]
            self._outputs[spec.name] = [*(links for links in before if not links.over), made]
        for links in late:
            links.drop()
        return made

    def close(self) -> None:
        """Nothing happens later any more; the client is closed by whoever made it."""
        self._timers.close()

    def _is_local(self, address: str) -> bool:
        return isinstance(self.client, Routed) and self.client.is_local(address)
