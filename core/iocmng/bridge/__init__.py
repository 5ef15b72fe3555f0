"""Bridge tasks: they answer the trigger of records that another IOC owns."""

from iocmng.bridge.daemon import BridgeDaemon
from iocmng.bridge.interface import BasePVInterface
from iocmng.bridge.pvio import BridgeIO
from iocmng.bridge.task import BridgeTask
from iocmng.lifecycle import TaskStatus

__all__ = ["BasePVInterface", "BridgeDaemon", "BridgeIO", "BridgeTask", "TaskStatus"]
