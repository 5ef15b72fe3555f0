"""Links and logic of instances, evaluated by one thread when something changed or is due."""

from iocmng.runtime.evaluation.latches import Latches, LatchFiles, MemoryLatches
from iocmng.runtime.evaluation.runqueue import RunQueue

__all__ = ["LatchFiles", "Latches", "MemoryLatches", "RunQueue"]
