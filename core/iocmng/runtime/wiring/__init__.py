"""Links of instances to PVs: linked inputs and outputs, and PVs of this host without the network."""

from iocmng.runtime.wiring.inputs import InputLinks
from iocmng.runtime.wiring.local import LocalPvs
from iocmng.runtime.wiring.outputs import OutputLinks
from iocmng.runtime.wiring.routed import Routed
from iocmng.runtime.wiring.wiring import Wiring

__all__ = ["InputLinks", "LocalPvs", "OutputLinks", "Routed", "Wiring"]
