"""EPICS' own opinion of records, asked in a child that ends, also one forked from a preloaded parent."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import os, pickle, sys
import iocmng.ioc.check as check
specs = pickle.load(sys.stdin.buffer)
if sys.argv[1] == "fork":
    check.preload()
    print(len(os.listdir("/proc/self/task")), *sorted({"softioc", "numpy"} & set(sys.modules)), flush=True)
    pid = os.fork()
    if pid:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
out = check.check_records(specs)
print(repr(out), flush=True)
os._exit(0)
"""


def _child(specs: list[Any], how: str = "plain") -> list[str]:
    import pickle

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], input=pickle.dumps(specs), capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().splitlines()


def _complaints(specs: list[Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = eval(_child(specs)[-1])
    return found


def _spec(name: str, kind: str = "ai", **more: Any) -> Any:
    from iocmng.spec import RecordSpec
    from iocmng.values import PortType

    types = {"ai": PortType.FLOAT, "bo": PortType.BOOL, "mbbi": PortType.ENUM, "lso": PortType.STRING}
    return RecordSpec(name=name, type=types.get(kind, PortType.FLOAT), record_type=kind, **more)


def test_the_default_records_are_accepted() -> None:
    from iocmng.spec import Kind, Mode
    from iocmng.spec.defaults import host_records, invalid_defaults, job_defaults, task_defaults

    specs = [*host_records("P").values(), *job_defaults("P:J").values()]
    for mode in Mode:
        specs += task_defaults(f"P:{mode}", mode).values()
    specs += invalid_defaults("P:X", Kind.TASK).values()
    assert _complaints(specs) == []


def test_every_bad_field_is_named_with_what_epics_says() -> None:
    found = _complaints(
        [
            _spec("K:GOOD", unit="V"),
            _spec("K:BAD", fields=(("HIHI", "high"), ("NOPE", "1"), ("HHSV", "LOUD"))),
            _spec("K:LONG", unit="V" * 16, description="d" * 41),
            _spec("K:STATE", kind="bo", labels=("o" * 26, "On"), writable=True),
            _spec("K:TYPE", kind="aj"),
            _spec("K:MACRO", description="$(x)"),
            _spec("K:LSO", kind="lso", length=255, writable=True, value="text"),
        ]
    )
    names = {record for record, _ in found}
    assert names == {"K:BAD", "K:LONG", "K:STATE", "K:TYPE", "K:MACRO"}
    text = "\n".join(f"{record} {complaint}" for record, complaint in found)
    for expected in (
        "K:BAD Can't set 'K:BAD.HIHI' to 'high'",
        "doesn't have a field 'NOPE'",
        "using menu menuAlarmSevr",
        "K:LONG EGU: the text is too long: 16 bytes",
        "K:LONG DESC: the text is too long: 41 bytes",
        "K:STATE ZNAM: the text is too long: 26 bytes",
        "K:TYPE Record type 'aj' for record 'K:TYPE' not found",
        "K:MACRO K:MACRO.DESC: text '$(x)' holds",
    ):
        assert expected in text


def test_a_preloaded_parent_stays_single_threaded_and_its_child_can_ask() -> None:
    lines = _child([_spec("K:BAD", fields=(("HIHI", "high"),))], "fork")
    assert lines[0] == "1"
    assert "K:BAD.HIHI" in lines[1]


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc")
def test_importing_the_package_opens_no_library() -> None:
    program = (
        "import sys, iocmng.ioc, iocmng.ioc.dbtext, iocmng.testing.records;"
        "print('softioc' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["False", "False"]
