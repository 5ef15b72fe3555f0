"""Moves a stage in small steps when a record of another IOC asks for it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from iocmng.bridge import BasePVInterface, BridgeDaemon, TaskStatus

STEP = 0.1


@dataclass
class StageRecords(BasePVInterface):
    """The records of the stage, beside those of the handshake."""

    target: str = "{main}Target"
    position: str = "{main}Position"
    limit: str = "{main}Limit"


class Stage(BridgeDaemon):
    """Brings Position to Target, 1 unit in 0.1 s."""

    interface_class = StageRecords

    def run_task(self) -> TaskStatus:
        records = self.interface
        read = self.io.pvget([records.target, records.position, records.limit], timeout=2.0)
        if None in read.values():
            return TaskStatus.IO_FAILURE
        target, position, limit = (float(read[name]) for name in read)
        if target == position:
            return TaskStatus.SKIPPED
        if abs(target) > limit:
            self.logger.warning("target %g is beyond the limit %g", target, limit)
            return TaskStatus.LOGIC_FAILURE
        while position != target:
            if not self.sleep(STEP):
                return TaskStatus.LOGIC_FAILURE
            position += max(-1.0, min(1.0, target - position))
            if not self.io.pvput({records.position: position}, timeout=2.0):
                return TaskStatus.IO_FAILURE
        return TaskStatus.SUCCESS


def main() -> None:
    """Run one daemon in the foreground, without a host."""
    parser = argparse.ArgumentParser(prog="stage-daemon", description="Answer the records of the stage.")
    parser.add_argument("--prefix", default="STAGE:", help="first part of the PV names (default: STAGE:)")
    chosen = parser.parse_args()
    Stage(interface=StageRecords(prefixes={"main": chosen.prefix})).start()
