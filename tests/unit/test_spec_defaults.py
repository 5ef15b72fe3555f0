"""The default PVs, as the reference lists them."""

from __future__ import annotations

import pytest

from iocmng.spec import Kind, Mode, RecordSpec
from iocmng.spec.defaults import host_records, invalid_defaults, job_defaults, task_defaults

TASK = {
    "ENABLE": "bo", "STATUS": "mbbi", "MESSAGE": "lsi", "LAST_ERROR": "lsi", "LAST_ERROR_TIME": "stringin",
    "DEGRADED": "bi", "RESTART": "bo", "VERSION": "stringin", "CLEAR": "bo", "RESET": "bo", "HEARTBEAT": "bi",
    "BUSY": "bi", "TASK_STATUS": "mbbi", "TASK_DURATION": "ai", "CYCLE_ERRORS": "longin",
    "OVERRUNS": "longin", "RESTARTS": "longin",
}  # fmt: skip
JOB = {
    "STATUS": "mbbi", "MESSAGE": "lsi", "RUN": "bo", "ABORT": "bo", "PROGRESS": "ai", "RUN_ID": "stringin",
    "STARTED": "stringin", "ELAPSED": "ai", "EXIT_CODE": "longin", "LAST_LINE": "lsi",
}  # fmt: skip
HOST = [
    "STATE",
    "HEARTBEAT",
    "UPTIME",
    "VERSION",
    "INSTANCES",
    "RUNNING",
    "FAILED",
    "DEGRADED",
    "SPARES_FREE",
    "RESTART_REQUIRED",
    "SAFE_MODE",
    "ALIVE",
    "CPU",
    "MEMORY",
    "MESSAGE",
    "BOOT_ID",
    "HOSTNAME",
    "PID",
    "URL",
]


def types(records: dict[str, RecordSpec]) -> dict[str, str]:
    return {name: record.record_type for name, record in records.items()}


def fields(record: RecordSpec) -> dict[str, str]:
    return dict(record.fields)


def test_the_pvs_of_a_task() -> None:
    assert types(task_defaults("A:B", Mode.CONTINUOUS)) == {**TASK, "CYCLE_COUNT": "longin"}
    assert types(task_defaults("A:B", Mode.REACTIVE)) == {**TASK, "CYCLE_COUNT": "longin"}
    assert types(task_defaults("A:B", Mode.TRIGGERED)) == {**TASK, "RUN": "bo"}


def test_the_pvs_of_a_job() -> None:
    assert types(job_defaults("A:B")) == JOB


def test_the_pvs_of_a_host() -> None:
    records = host_records("A:B")
    assert set(HOST) <= set(records)
    assert all(record.name == f"A:B:HOST:{name}" for name, record in records.items())
    assert not any(record.writable for record in records.values())
    assert fields(records["FAILED"]) == {"HIGH": "1", "HSV": "MAJOR"}
    assert fields(records["DEGRADED"]) == {"HIGH": "1", "HSV": "MINOR"}
    assert fields(records["SAFE_MODE"]) == {"OSV": "MINOR"}
    assert records["STATE"].labels == ("STARTING", "RUN", "SAFE_MODE", "STOPPING")


def test_states_and_their_severities() -> None:
    status = task_defaults("A", Mode.CONTINUOUS)["STATUS"]
    assert status.labels == ("INIT", "RUN", "PAUSED", "END", "ERROR", "BACKOFF", "STALLED", "INVALID")
    assert fields(status) == {"FRSV": "MAJOR", "FVSV": "MINOR", "SXSV": "MAJOR", "SVSV": "INVALID"}
    job = job_defaults("A")["STATUS"]
    assert job.labels[:7] == ("IDLE", "RUNNING", "SUCCESS", "FAILED", "ABORTED", "TIMEOUT", "LOST")
    assert job.labels[7:] == ("INVALID", "QUEUED")
    assert fields(job) == {
        "THSV": "MAJOR",
        "FRSV": "MINOR",
        "FVSV": "MAJOR",
        "SXSV": "MAJOR",
        "SVSV": "INVALID",
    }
    cycle = task_defaults("A", Mode.CONTINUOUS)["TASK_STATUS"]
    assert cycle.labels == ("Success", "Task Fail", "IO Failure", "Code Crash")
    assert fields(cycle) == {"ONSV": "MINOR", "TWSV": "MINOR", "THSV": "MAJOR"}
    assert fields(task_defaults("A", Mode.CONTINUOUS)["DEGRADED"]) == {"OSV": "MINOR"}


def test_what_clients_may_write() -> None:
    task = {name for name, record in task_defaults("A", Mode.TRIGGERED).items() if record.writable}
    assert task == {"ENABLE", "RESTART", "CLEAR", "RESET", "RUN"}
    assert {name for name, record in job_defaults("A").items() if record.writable} == {"RUN", "ABORT"}
    everything = {**task_defaults("A", Mode.TRIGGERED), **job_defaults("A"), **host_records("A")}
    assert {name for name, record in everything.items() if record.completes} == {"RUN"}
    assert not any(record.autosave for record in everything.values())
    assert task_defaults("A", Mode.TRIGGERED)["ENABLE"].value is True


def test_an_invalid_plugin_shows_why() -> None:
    for kind in Kind:
        records = invalid_defaults("A:B", kind)
        assert set(records) == {"STATUS", "MESSAGE", "LAST_ERROR"}
        assert records["STATUS"].labels[7] == "INVALID"
    assert invalid_defaults("A", Kind.TASK)["STATUS"] == task_defaults("A", Mode.CONTINUOUS)["STATUS"]
    assert invalid_defaults("A", Kind.JOB)["STATUS"] == job_defaults("A")["STATUS"]


@pytest.mark.parametrize(
    "records",
    [
        task_defaults("A", Mode.TRIGGERED),
        job_defaults("A"),
        host_records("A"),
        task_defaults("A", Mode.CONTINUOUS),
    ],
)
def test_texts_fit_epics(records: dict[str, RecordSpec]) -> None:
    for record in records.values():
        assert record.description
        assert record.description.isascii()
        assert len(record.description) <= 40
        assert len(record.unit) <= 15
        assert all(len(label) <= 25 for label in record.labels)
        assert record.length in (1, 39, 255)
