"""What links and logic of a host's instances share: the clients, the run queue, the latches on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from iocmng.host.inside import InsidePuts
from iocmng.links import Links, pv_client
from iocmng.names import Provider
from iocmng.runtime.evaluation import LatchFiles, RunQueue
from iocmng.runtime.ports import Clock, Put, RecordPort
from iocmng.runtime.wiring import LocalPvs, Routed, Wiring


class Linking:
    """Made once per host; without any link there is neither a thread nor a client library.

    Args:
        default: Provider of PVs that are named without a scheme.
        records: The records of this host.
        clock: Time.
        directory: Where latches are kept.
        post: Queues a call for the supervising thread.
        heard: Told there of puts from inside.

    Attributes:
        client: PVs elsewhere.
        wiring, evaluation, latches: See `Environment`.
        problem: What cannot be kept on disk, or "".
    """

    def __init__(
        self,
        default: Provider,
        records: RecordPort,
        clock: Clock,
        directory: Path,
        post: Callable[[Callable[[], None]], None],
        heard: Callable[[Put], None],
    ) -> None:
        self.client = Links(default)
        inside = InsidePuts(records, post, heard)
        self._routed = Routed(LocalPvs(records, inside.put), self.client)
        self.wiring = Wiring(self._routed, clock)
        pv_client.adopt(self._routed)
        self.evaluation = RunQueue(clock)
        self.latches = LatchFiles(directory / "latches", clock, self._complain)
        self.problem = ""

    def _complain(self, problem: str) -> None:
        self.problem = problem

    def rebind(self, names: Iterable[str]) -> None:
        """Records of these full PV names have come or gone: links to them are led anew."""
        self._routed.rebind(names)

    def close(self) -> None:
        """Evaluate no more, write what is pending, let go of all PVs; may block for the time of a write."""
        self.evaluation.close()
        pv_client.adopt(None)
        self.wiring.close()
        self.latches.close()
        self.client.close()
