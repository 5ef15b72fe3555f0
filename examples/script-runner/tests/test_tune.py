"""The tuning job with a real script, and without a host."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import iocmng_script_runner.tune
import pytest
from iocmng_script_runner.tune.job import BandTuner

from iocmng.errors import BadInput
from iocmng.testing import make_job, run_job

CONFIG = Path(iocmng_script_runner.tune.__file__).with_name("config.yaml")
SCRIPT = CONFIG.with_name("scripts") / "tune.py"


def test_what_the_script_finds_becomes_pvs():
    with make_job(BandTuner, CONFIG) as job:
        result = job.run({"bands": [0, 3], "step": 0.5})
        assert result.success, result.message
        assert result.message == "2 bands tuned"
        assert [band["band"] for band in result.data["bands"]] == [0, 3]
        assert list(job.get("BEST")) == [0.0, -3.0]
        assert job.get("WORST") == result.data["bands"][1]["response"]
        assert job.get("EXIT_CODE") == 0
        assert job.get("PROGRESS") == 100.0


def test_a_band_that_is_not_there_fails_the_run_with_its_reason():
    result = run_job(BandTuner, CONFIG, bands=[9])
    assert not result.success
    assert result.message == "exit code 2: there is no band 9: bands are 0 to 7"


def test_wrong_arguments_are_refused_before_anything_runs():
    with pytest.raises(BadInput, match=r"step.*is not within 0.01 to 5; .*no argument 'dwel'"):
        run_job(BandTuner, CONFIG, step=50, dwel=1)


def test_the_script_runs_from_a_shell_too(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT, "--bands", "0", "--step", "1"],
        cwd=tmp_path, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["band 0: +0.00 dB", "amplifiers off"]
    assert (tmp_path / "bands.csv").read_text().splitlines() == ["band,power,response", "0,0.0,-0.0"]
