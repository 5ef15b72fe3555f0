"""The job, run on fake records and a virtual clock: no network, no waiting."""

from __future__ import annotations

from iocmng.testing import run_job

from {{ cookiecutter.__module }}.plugin import {{ cookiecutter.__class }}


def test_it_takes_as_many_readings_as_asked():
    result = run_job({{ cookiecutter.__class }}, SAMPLES=6)
    assert result.success
    assert result.message == "6 readings"
    assert result.data["mean"] == 21.0
