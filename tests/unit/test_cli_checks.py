"""What `iocmng doctor` notices."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from iocmng.wire import Finding, Level
from iocmng_cli.checks import (
    check_clock,
    check_distributions,
    check_entry_points,
    check_epics,
    check_imports,
    check_ports,
    check_python,
    check_state_dir,
)


def _said(findings: Iterable[Finding], level: Level) -> str:
    found = [finding for finding in findings if finding.level is level]
    assert all(finding.hint for finding in found) or level is Level.NOTE, found
    return "\n".join(finding.message for finding in found)


def test_a_good_machine_has_no_errors(tmp_path: Path) -> None:
    for findings in (
        check_python(),
        check_clock(),
        check_epics({}),
        check_state_dir(tmp_path / "state" / "new"),
    ):
        assert _said(findings, Level.ERROR) == ""


@pytest.mark.parametrize(
    ("environ", "level", "needed"),
    [
        ({"EPICS_CA_SERVER_PORT": "5064x"}, Level.ERROR, "'5064x' is no port number"),
        ({"EPICS_PVA_BROADCAST_PORT": "70000"}, Level.ERROR, "EPICS_PVA_BROADCAST_PORT"),
        ({"EPICS_CA_AUTO_ADDR_LIST": "maybe"}, Level.WARNING, "neither YES nor NO"),
        ({"EPICS_CA_AUTO_ADDR_LIST": "NO"}, Level.WARNING, "find nothing"),
        ({"EPICS_PVA_AUTO_ADDR_LIST": "no", "EPICS_PVA_ADDR_LIST": " "}, Level.WARNING, "find nothing"),
        (
            {"EPICS_CA_ADDR_LIST": "127.0.0.1:5064", "EPICS_CAS_SERVER_PORT": "6064"},
            Level.WARNING,
            "would listen at 6064",
        ),
    ],
)
def test_variables_that_make_no_sense(environ: dict[str, str], level: Level, needed: str) -> None:
    assert needed in _said(check_epics(environ), level)


@pytest.mark.parametrize(
    "environ",
    [
        {
            "EPICS_CA_ADDR_LIST": "127.0.0.1:6064",
            "EPICS_CA_SERVER_PORT": "6064",
            "EPICS_CA_AUTO_ADDR_LIST": "NO",
        },
        {
            "EPICS_PVA_ADDR_LIST": "127.0.0.1",
            "EPICS_PVA_BROADCAST_PORT": "6076",
            "EPICS_PVA_AUTO_ADDR_LIST": "NO",
        },
        {"EPICS_CA_ADDR_LIST": "127.0.0.1:5064 127.0.0.1:6064", "EPICS_CAS_SERVER_PORT": "6064"},
    ],
)
def test_variables_that_do(environ: dict[str, str]) -> None:
    assert [finding.level for finding in check_epics(environ)] == [Level.NOTE]


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen(1)
        port = holder.getsockname()[1]
        environ = {"EPICS_CAS_SERVER_PORT": str(port), "EPICS_PVAS_SERVER_PORT": "1"}
        findings = list(check_ports("127.0.0.1", port, environ))
    assert f"127.0.0.1:{port} is in use" in _said(findings, Level.WARNING)
    assert f"CA TCP {port} is in use" in _said(findings, Level.NOTE)


def test_an_address_of_another_machine_cannot_be_bound() -> None:
    assert "cannot be bound" in _said(check_ports("192.0.2.1", 8080, {}), Level.ERROR)


def test_a_state_directory_that_others_may_enter(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert "mode 755" in _said(check_state_dir(tmp_path), Level.WARNING)
    tmp_path.chmod(0o700)
    assert _said(check_state_dir(tmp_path), Level.WARNING) == ""


def test_a_state_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "is no directory" in _said(check_state_dir(tmp_path / "file"), Level.ERROR)


def test_who_holds_the_state_directory_and_who_left_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(20)
    holder = {
        "pid": ended.pid,
        "hostname": socket.gethostname(),
        "prefix": "LAB",
        "url": "",
        "started": time.time(),
    }
    (tmp_path / "lock").write_text(json.dumps(holder))
    assert "without releasing its lock" in _said(check_state_dir(tmp_path), Level.WARNING)
    (tmp_path / "lock").write_text(json.dumps({**holder, "pid": os.getpid()}))
    assert f"held by process {os.getpid()}" in _said(check_state_dir(tmp_path), Level.NOTE)
    (tmp_path / "lock").write_text(json.dumps({**holder, "hostname": "elsewhere"}))
    assert "across machines" in _said(check_state_dir(tmp_path), Level.WARNING)


def test_corrupt_files_that_were_set_aside(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "desired.json.corrupt-20260101T000000Z").write_text("{")
    assert "1 corrupt state files" in _said(check_state_dir(tmp_path), Level.WARNING)


def test_libraries_that_do_not_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "crashes.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    (tmp_path / "raises.py").write_text("raise ImportError('libca.so: not found')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    said = _said(check_imports(("crashes", "raises", "json")), Level.ERROR)
    assert "import crashes: ends with SIGSEGV" in said
    assert "import raises: ImportError: libca.so: not found" in said
    assert "json" not in said


def _distribution(site: Path, name: str, entry_points: str = "", requires: str = "") -> None:
    folder = site / f"{name}-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}")
    (folder / "entry_points.txt").write_text(entry_points)


def test_requirements_that_are_not_met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    wanted = ("typer>=99", "never-was", "rich", "other; extra == 'x'")
    _distribution(tmp_path, "acme", requires="".join(f"Requires-Dist: {one}\n" for one in wanted))
    said = _said(check_distributions("acme"), Level.ERROR)
    assert "typer>=99 is needed and typer" in said
    assert "never-was is not installed" in said
    assert len(said.splitlines()) == 2


def test_entry_points_that_lead_nowhere_or_twice_somewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    _distribution(
        tmp_path, "acme", "[iocmng.plugins]\nbeam = nowhere.at:All\ntwice = json:x\nbad!name = json:x\n"
    )
    _distribution(tmp_path, "other", "[iocmng.plugins]\ntwice = json:y\n[iocmng.cli]\nsurvey = json:app\n")
    findings = list(check_entry_points())
    said = _said(findings, Level.ERROR)
    assert "beam = nowhere.at:All of acme 1.0: there is no module 'nowhere'" in said
    assert "twice is offered by acme 1.0 and by other 1.0" in said
    assert "bad!name" in said
    assert "survey" in _said(findings, Level.NOTE)
