"""The script that docs/jobs.md shows does what the chapter says."""

from __future__ import annotations

from pathlib import Path

from documents import sections

from iocmng import ScriptJob
from iocmng.testing import make_job


def test_the_script_of_the_chapter_runs(tmp_path: Path) -> None:
    for block in sections("docs/jobs.md")["Script jobs"]:
        if block.file:
            path = tmp_path / block.file
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text)
    with make_job(ScriptJob, tmp_path / "config.yaml") as job:
        result = job.run({"bands": [4, 5], "dry-run": True})
        assert (result.success, result.data) == (True, {"tuned": [4, 5]}), result.message
        (run,) = job.job.store.runs("job")
        assert "tuning band 5 of crate 1" in [line.text for line in job.job.store.log(run.id)]
        assert run.progress == 100.0
        assert job.get("EXIT_CODE") == 0
