"""The job around the tuning script: what the script has found becomes PVs."""

from __future__ import annotations

from iocmng import JobResult, ScriptJob


class BandTuner(ScriptJob):
    def execute(self) -> JobResult:
        result = self.run_script()
        if result.success:
            found = result.data["bands"]
            self.set_pv("BEST", [band["power"] for band in found])
            self.set_pv("WORST", min(band["response"] for band in found))
            result.message = f"{len(found)} bands tuned"
        return result
