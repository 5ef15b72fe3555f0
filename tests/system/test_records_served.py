"""Records as clients on the network see them: protection, metadata, who wrote, and many puts at once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hosts import own_world
from support.records_bench import DEADLINE, until
from support.records_remote import Remote

from iocmng.errors import RecordError
from iocmng.spec import RecordSpec
from iocmng.spec.defaults import host_records
from iocmng.values import DType, PortType, Severity, Status

SUPPORT = Path(__file__).parents[1] / "support"
RUNS = [f"S:RUN{number:03}" for number in range(200)]


def _spec(name: str, port_type: PortType, record_type: str, **more: Any) -> RecordSpec:
    return RecordSpec(name=name, type=port_type, record_type=record_type, **more)


SPECS = [
    _spec("S:AI", PortType.FLOAT, "ai", unit="°C", description="Größe of “it”",
          fields=(("PREC", "2"), ("LOPR", "-5"), ("HOPR", "5"), ("HIHI", "4"), ("HHSV", "MAJOR"))),
    _spec("S:AO", PortType.FLOAT, "ao", writable=True, value=1.0, unit="V",
          fields=(("DRVL", "-1"), ("DRVH", "1"))),
    _spec("S:MODE", PortType.ENUM, "mbbo", writable=True, value=0, labels=("Idle", "Scan", "Hold")),
    _spec("S:STATE", PortType.ENUM, "mbbi", labels=("Idle", "Scan", "Hold")),
    _spec("S:BIT", PortType.BOOL, "bi", labels=("Closed", "Open")),
    _spec("S:LONG", PortType.STRING, "lsi", length=255),
    _spec("S:ARRAY", PortType.ARRAY, "waveform", length=8, dtype=DType.FLOAT64, unit="mm"),
    _spec("S:QUOTE", PortType.STRING, "stringout", writable=True, value='a "b" \\ $(c)',
          description='quote " slash \\', info=(("archive", 'monitor "1"'),)),
    *(_spec(name, PortType.BOOL, "bo", writable=True, value=False, completes=True, labels=("Idle", "Run"))
      for name in RUNS),
]  # fmt: skip


class Served:
    """One host, a CA client and a PVA client, each in its own process."""

    def __init__(self, directory: Path) -> None:
        env = {**os.environ, **own_world(directory)}
        self.host = Remote(SUPPORT / "records_host.py", str(directory / "state"), "", env=env)
        self.host.call("load", SPECS, "S")
        self.host.call("load", list(host_records("S").values()), "HOST")
        self.endpoints = self.host.call("start")
        for spec in SPECS:
            if spec.writable:
                self.host.call("listen", spec.name)
        self.ca = Remote(SUPPORT / "records_client.py", "ca", env=env)
        self.pva = Remote(SUPPORT / "records_client.py", "pva", env=env)
        self.env = env

    def close(self) -> None:
        for each in (self.ca, self.pva, self.host):
            each.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("served"))
    yield served
    served.close()


@pytest.fixture(params=["ca", "pva"])
def client(served: Served, request: pytest.FixtureRequest) -> Remote:
    found: Remote = getattr(served, request.param)
    return found


def _answered(client: Remote, put: int) -> str:
    until(lambda: client.call("over", put), "the put is answered")
    error: str = client.call("error", put)
    return error


def test_the_real_ports_are_told(served: Served) -> None:
    assert served.endpoints.ca_port == int(served.env["EPICS_CAS_SERVER_PORT"])
    assert served.endpoints.pva_port == int(served.env["EPICS_PVAS_SERVER_PORT"])
    assert served.endpoints.notes == ()


def test_handlers_run_on_the_loop(served: Served) -> None:
    assert not _answered(served.pva, served.pva.call("put", "S:AO", 0.5))
    until(lambda: served.host.call("puts", "S:AO"), "the handler")
    assert served.host.call("threads") == {"loop"}
    assert served.host.call("origins", "S:AO") <= {"127.0.0.1"} | {os.uname().nodename}


@pytest.mark.parametrize("field", ["HIHI", "DESC", "ASG", "SCAN", "DISP", "PROC", "NAME"])
@pytest.mark.parametrize("record", ["S:AI", "S:AO"])
def test_no_other_field_can_be_written(served: Served, client: Remote, record: str, field: str) -> None:
    before = served.ca.call("get", f"{record}.{field}")[0]
    assert _answered(client, client.call("put", f"{record}.{field}", "1"))
    assert served.ca.call("get", f"{record}.{field}")[0] == before


def test_a_refused_put_leaves_no_trace(served: Served, client: Remote) -> None:
    served.host.call("publish", "S:AI", 2.5, Severity.MINOR, Status.COMM, "kept", 1_500_000_000.5)
    assert _answered(client, client.call("put", "S:AI", 1.0))
    value, severity, _, stamp, _ = client.call("get", "S:AI")
    assert (value, severity, stamp) == (2.5, Severity.MINOR, 1_500_000_000.5)
    assert served.host.call("traces", "S:AI") == []


def test_metadata_of_numbers(served: Served) -> None:
    found = served.pva.call("metadata", "S:AI")
    assert found["display"]["units"] == "degC"
    assert found["display"]["description"] == 'Grosse of "it"'
    assert (found["display"]["limitLow"], found["display"]["limitHigh"]) == (-5, 5)
    assert found["display"]["precision"] == 2
    assert found["valueAlarm"]["highAlarmLimit"] == 4
    assert served.pva.call("metadata", "S:AO")["control"]["limitHigh"] == 1
    ca = served.ca.call("metadata", "S:AI")
    assert (ca["units"], ca["precision"], ca["upper_alarm_limit"]) == ("degC", 2, 4)
    assert served.pva.call("metadata", "S:ARRAY")["display"]["units"] == "mm"


def test_metadata_of_states(served: Served) -> None:
    for name, labels in (
        ("S:MODE", ["Idle", "Scan", "Hold"]),
        ("S:STATE", ["Idle", "Scan", "Hold"]),
        ("S:BIT", ["Closed", "Open"]),
    ):
        assert served.pva.call("metadata", name)["value"]["choices"] == labels
        assert list(served.ca.call("metadata", name)["enum_strs"]) == labels


def test_a_reason_is_the_alarm_message_on_pva(served: Served) -> None:
    served.host.call("publish", "S:STATE", 1, Severity.INVALID, Status.COMM, "detector switched off")
    assert served.pva.call("get", "S:STATE")[4] == "detector switched off"


def test_texts_are_kept_as_they_were_written(served: Served, client: Remote) -> None:
    assert client.call("get", "S:QUOTE")[0] == 'a "b" \\ $(c)'
    assert client.call("get", "S:QUOTE.DESC")[0] == 'quote " slash \\'


def test_a_long_text_never_breaks_a_client(served: Served) -> None:
    text = "x" * 38 + "é and on"
    served.host.call("publish", "S:LONG", text)
    assert served.ca.call("get", "S:LONG")[0] == "x" * 38 + "e"
    assert served.ca.call("get", "S:LONG.VAL$")[0] == "x" * 38 + "e and on"
    served.host.call("publish", "S:LONG", "température")
    assert served.pva.call("get", "S:LONG")[0] == "température"


def test_who_wrote_what_is_traced_on_both(served: Served, client: Remote) -> None:
    before = len(served.host.call("traces", "S:MODE"))
    assert not _answered(client, client.call("put", "S:MODE", 1))
    assert not _answered(client, client.call("put", "S:MODE", 2))
    traces = until(lambda: served.host.call("traces", "S:MODE")[before:][1:], "both traces")
    assert (traces[-1].old, traces[-1].new) == ("Scan", "Hold")
    assert traces[-1].actor.user
    assert traces[-1].actor.origin


def test_many_puts_with_callback_are_completed_at_once(served: Served) -> None:
    puts = [served.ca.call("put", name, 1) for name in RUNS]
    for name in RUNS:
        until(lambda name=name: served.host.call("puts", name), f"the handler of {name}")
    for name in RUNS:
        served.host.call("complete", name, 0)
    until(lambda: all(served.ca.call("over", put) for put in puts), "all are answered")
    until(lambda: not any(served.host.call("read", name).value for name in RUNS), "all are back at 0")


def test_a_put_is_heard_beside_busy_threads(served: Served, client: Remote) -> None:
    served.host.call("busy", 4, 1.0)
    for value in (1, 2, 0):
        assert not _answered(client, client.call("put", "S:MODE", value))


def test_alive_falls_to_major_when_the_heartbeat_stops(served: Served) -> None:
    def alive(value: int, severity: Severity) -> bool:
        served_value, served_severity, *_ = served.ca.call("get", "S:HOST:ALIVE")
        return bool((served_value, served_severity) == (value, severity))

    end = time.monotonic() + 2 * DEADLINE
    beat = 0
    while not alive(1, Severity.NO_ALARM):
        assert time.monotonic() < end, served.ca.call("get", "S:HOST:ALIVE")
        beat += 1
        served.host.call("publish", "S:HOST:BEAT", beat)
        time.sleep(0.2)
    until(lambda: alive(0, Severity.MAJOR), "ALIVE is 0 and MAJOR")


def _host(directory: Path, access: str = "", without: str = "", **env: str) -> Remote:
    world = {**os.environ, **own_world(directory), **env}
    world.pop(without, None)
    return Remote(SUPPORT / "records_host.py", str(directory / "state"), access, env=world)


def test_records_that_are_refused_take_their_instance_along_and_no_other(tmp_path: Path) -> None:
    host = _host(tmp_path)
    good = _spec("L:GOOD", PortType.FLOAT, "ai")
    host.call("load", [good], "good")
    bad = _spec("L:BAD", PortType.FLOAT, "ai", fields=(("HIHI", "high"),))
    with pytest.raises(RecordError, match=r"(?s)broken.*L:BAD.HIHI"):
        host.call("load", [_spec("L:FIRST", PortType.FLOAT, "ai"), bad], "broken")
    with pytest.raises(RecordError, match="L:GOOD of again exists already"):
        host.call("load", [good], "again")
    with pytest.raises(RecordError, match="nobody"):
        host.call("load", [_spec("L:ASG", PortType.FLOAT, "ao", writable=True, access="nobody")], "access")
    host.call("load", [_spec("L:FIRST", PortType.INT, "longin")], "second try")
    host.call("start")
    host.call("publish", "L:FIRST", 7)
    assert host.call("read", "L:FIRST").value == 7
    host.call("publish", "L:GOOD", 1.0)
    with pytest.raises(KeyError):
        host.call("read", "L:BAD")
    with pytest.raises(RecordError, match="while it serves"):
        host.call("load", [_spec("L:LATE", PortType.FLOAT, "ai")], "late")
    host.close()


def test_nothing_is_published_before_records_are_served(tmp_path: Path) -> None:
    host = _host(tmp_path)
    host.call("load", [_spec("L:AI", PortType.FLOAT, "ai", value=2.0)], "early")
    with pytest.raises(RecordError, match="not served yet"):
        host.call("publish", "L:AI", 1.0)
    reading = host.call("read", "L:AI")
    assert (reading.value, reading.severity, reading.connected) == (2.0, Severity.INVALID, False)
    host.close()


@pytest.mark.parametrize("text", ["ASG(DEFAULT) { RULE(1, READ", "this is no access file"])
def test_a_bad_access_file_is_noticed(tmp_path: Path, text: str) -> None:
    rules = tmp_path / "site.acf"
    rules.write_text(text)
    host = _host(tmp_path, str(rules))
    host.call("load", [_spec("L:AI", PortType.FLOAT, "ai")], "one")
    with pytest.raises(RecordError, match="did not start"):
        host.call("start")
    host.close()


def test_the_rules_of_the_site_hold_and_outputs_stay_protected(tmp_path: Path) -> None:
    rules = tmp_path / "site.acf"
    rules.write_text("# ours\nASG(DEFAULT) { RULE(1, READ) RULE(1, WRITE) }\nASG(locked) { RULE(1, READ) }")
    host = _host(tmp_path, str(rules))
    host.call(
        "load",
        [
            _spec("L:AI", PortType.FLOAT, "ai"),
            _spec("L:AO", PortType.FLOAT, "ao", writable=True, value=0.0),
            _spec("L:LOCKED", PortType.FLOAT, "ao", writable=True, value=0.0, access="locked"),
        ],
        "one",
    )
    endpoints = host.call("start")
    assert "TRAPWRITE" in endpoints.notes[0]
    client = Remote(SUPPORT / "records_client.py", "ca", env=host.env)
    host.call("listen", "L:AO")
    assert not _answered(client, client.call("put", "L:AO", 3.0))
    until(lambda: host.call("puts", "L:AO"), "the handler")
    assert not _answered(client, client.call("put", "L:AO.HIHI", 3.0))
    assert _answered(client, client.call("put", "L:LOCKED", 3.0))
    assert _answered(client, client.call("put", "L:AI", 3.0))
    client.close()
    host.close()


def test_a_busy_port_is_noticed(tmp_path: Path, served: Served) -> None:
    taken = {name: served.env[name] for name in ("EPICS_CAS_SERVER_PORT", "EPICS_PVAS_SERVER_PORT")}
    host = _host(tmp_path, **taken)
    host.call("load", [_spec("L:AI", PortType.FLOAT, "ai")], "one")
    endpoints = host.call("start")
    assert endpoints.ca_port != served.endpoints.ca_port
    assert endpoints.pva_port != served.endpoints.pva_port
    assert f"CA port {served.endpoints.ca_port} is busy" in endpoints.notes[0]
    assert f"PVA port {served.endpoints.pva_port} is busy" in endpoints.notes[1]
    host.close()


def test_generated_files_are_the_owners_alone(tmp_path: Path) -> None:
    host = _host(tmp_path)
    host.call("load", [_spec("L:AI", PortType.FLOAT, "ai")], "one")
    host.call("start")
    directory = tmp_path / "state" / "ioc"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert "L:AI" in (directory / "records.db").read_text()
    assert "IOCMNG_RO" in (directory / "access.acf").read_text()
    host.close()


def test_an_array_of_the_full_length_and_a_cut_one(served: Served, client: Remote) -> None:
    served.host.call("publish", "S:ARRAY", np.arange(8.0))
    assert list(client.call("get", "S:ARRAY")[0]) == list(range(8))
    served.host.call("publish", "S:ARRAY", np.arange(3.0)[::-1])
    assert list(client.call("get", "S:ARRAY")[0]) == [2, 1, 0]


def test_a_record_with_many_long_fields_is_loaded_whole(tmp_path: Path) -> None:
    labels = tuple(f"{'state name ' * 2}{number:02}" for number in range(16))
    host = _host(tmp_path)
    info = tuple((f"note{number}", "x" * 100) for number in range(10))
    host.call("load", [_spec("L:MANY", PortType.ENUM, "mbbi", labels=labels, info=info)], "one")
    host.call("start")
    client = Remote(SUPPORT / "records_client.py", "ca", env=host.env)
    assert client.call("metadata", "L:MANY")["enum_strs"] == labels
    client.close()
    host.close()


def test_a_root_process_is_not_locked_in_memory(tmp_path: Path) -> None:
    host = _host(tmp_path, without="EPICS_ALLOW_POSIX_THREAD_PRIORITY_SCHEDULING")
    host.call("load", [_spec("L:AI", PortType.FLOAT, "ai")], "one")
    host.call("start")
    status = Path(f"/proc/{host.process.pid}/status").read_text()
    assert "VmLck:\t       0 kB" in status
    host.close()
