"""The check at boot: what is served answers, what is read-only refuses, and everything else is named."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from links_bench import Source, free_ports

from iocmng.errors import RecordError
from iocmng.links.selfcheck import check_served


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Iterator[SimpleNamespace]:
    environment = free_ports()
    source = Source(tmp_path_factory.mktemp("source"), environment)
    yield SimpleNamespace(
        source=source,
        ca=int(environment["EPICS_CA_SERVER_PORT"]),
        pva=int(environment["EPICS_PVAS_SERVER_PORT"]),
    )
    source.go_on()
    source.kill()


def test_all_is_well(real):
    check_served("SRC:FLOAT", "SRC:READONLY", real.ca, real.pva, 20.0)


@pytest.mark.parametrize(
    ("pv", "readonly", "complaint"),
    [
        ("SRC:NOWHERE", "SRC:READONLY", "SRC:NOWHERE is not served over CA"),
        ("SRC:FLOAT", "SRC:NOWHERE", "SRC:NOWHERE is not served over CA"),
        ("SRC:FLOAT", "SRC:INT", "SRC:INT was not refused over CA"),
    ],
)
def test_what_is_wrong_is_named(real, pv, readonly, complaint):
    with pytest.raises(RecordError, match=complaint):
        check_served(pv, readonly, real.ca, real.pva, 20.0)


def test_a_wrong_port(real):
    with pytest.raises(RecordError, match=f"not answered over CA at 127.0.0.1:{real.pva}"):
        check_served("SRC:FLOAT", "SRC:READONLY", real.pva, real.pva, 5.0)
    with pytest.raises(RecordError, match=f"not answered over PVA at 127.0.0.1:{real.ca}"):
        check_served("SRC:FLOAT", "SRC:READONLY", real.ca, real.ca, 5.0)


def test_somebody_who_never_answers(real):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        start = time.monotonic()
        with pytest.raises(RecordError, match=r"CA .*(the deadline has passed|timed out)"):
            check_served("SRC:FLOAT", "SRC:READONLY", mute.getsockname()[1], real.pva, 0.3)
        assert time.monotonic() - start < 10.0


def test_no_client_library_is_imported():
    code = (
        "import sys, iocmng.links.selfcheck as _; "
        "found = {'epics', 'p4p', 'numpy', 'pydantic', 'epicscorelibs', 'softioc'} & set(sys.modules); "
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
