"""The heartbeat that another IOC sees: a PV of its own that is toggled."""

from __future__ import annotations

from iocmng.runtime.ports import PvClient

_PERIOD = 1.0


class HeartbeatLink:
    """Writes the beats of an instance to a PV of another IOC.

    Args:
        pv: The PV as the client names it.
        client: Writes it.
    """

    def __init__(self, pv: str, client: PvClient) -> None:
        self.pv = pv
        self._client = client

    def beat(self, value: bool) -> None:
        """Hand over 1 or 0; never blocks; what could not be written before the next is due is dropped."""
        self._client.post(self.pv, int(value), timeout=_PERIOD)
