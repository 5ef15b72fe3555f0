"""EPICS itself takes the described records, and computes HOST:ALIVE. Each test has a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

CHECK = """
import json
from iocmng.config import parse_config
from iocmng.ioc.check import check_records
from iocmng.spec import Kind, Mode, PluginRef
from iocmng.spec.build import describe
from iocmng.spec.defaults import host_records, job_defaults, task_defaults

NUMBERS = '''{kind, low: -5, high: 5, value: 1, unit: mm, deadband: 1, archive_deadband: 2, description: text,
    alarm: {lolo: -4, low: -3, high: 3, hihi: 4, hysteresis: 1}, info: {archive: monitor}}'''
PORTS = {
    "F": NUMBERS.replace("kind", "type: float, prec: 5"),
    "I": NUMBERS.replace("kind", "type: int"),
    "W": NUMBERS.replace("kind", "type: int").replace("high: 5", "high: 5000000000"),
    "B": "{type: bool, znam: Shut, onam: Open, alarm: {severity: {Shut: MINOR, Open: MAJOR}}, value: on}",
    "E": "{type: enum, labels: [%s], alarm: {severity: {s0: MINOR, s15: INVALID}}, value: s3}"
    % ", ".join(f"s{n}" for n in range(16)),
    "S": "{type: string, value: hello}",
    "L": "{type: string, size: 300, value: hello}",
    **{f"A_{dtype}": f"{{type: array, length: 5, dtype: {dtype}, unit: mm, low: 0, high: 9}}"
       for dtype in "float64 float32 int8 uint8 int16 uint16 int32 uint32 int64 uint64 string".split()},
}
PORTS["A_string"] = "{type: array, length: 5, dtype: string}"
section = "\\n".join(f"    %s{name}: {text}" for name, text in PORTS.items())
inputs, outputs = section.replace("%s", "IN_"), section.replace("%s", "OUT_")
text = f"arguments:\\n  inputs:\\n{inputs}\\n  outputs:\\n{outputs}\\n"
loaded = parse_config(text, "c.yaml")
assert loaded.config, [str(finding) for finding in loaded.findings]
plugin = PluginRef(name="p", target="m")
spec, findings = describe(loaded.config, plugin, kind=Kind.TASK, name="p", host_prefix="T")
assert spec, findings
records = [*spec.records, *job_defaults("T:J").values(),
           *task_defaults("T:R", Mode.TRIGGERED).values(), *host_records("T").values()]
print(json.dumps([len(records), check_records(records)]))
"""

ALIVE = """
import asyncio, json, os, sys, tempfile, threading, time
from softioc import asyncio_dispatcher, softioc
from iocmng.ioc.dbtext import database_text
from iocmng.spec.defaults import host_records

records = host_records("T")
with tempfile.NamedTemporaryFile("w", suffix=".db") as file:
    file.write(database_text([records["BEAT"], records["ALIVE"]]))
    file.flush()
    softioc.dbLoadDatabase(file.name)
softioc.iocInit(asyncio_dispatcher.AsyncioDispatcher())

from p4p.client.thread import Context
context = Context("pva", nt=False)
beats = 0

def beat():
    global beats
    beats += 1
    softioc.dbpf("T:HOST:BEAT", str(beats))

def alive():
    found = context.get("T:HOST:ALIVE", timeout=10.0)
    return found["value"], found["alarm.severity"]

def wait(wanted, beating):
    end = time.monotonic() + 20.0
    while (found := alive()) != wanted:
        assert time.monotonic() < end, f"still {found}, wanted {wanted}"
        if beating:
            beat()
        time.sleep(0.2)
    return found

seen = [alive(), wait((1.0, 0), True), wait((0.0, 2), False), wait((1.0, 0), True)]
print(json.dumps(seen), file=sys.stderr)
os._exit(0)
"""


def free_port() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def run(code: str) -> subprocess.CompletedProcess[str]:
    ca, pva, broadcast = free_port(), free_port(), free_port()
    environ = {
        **os.environ,
        "EPICS_CA_SERVER_PORT": ca,
        "EPICS_PVA_SERVER_PORT": pva,
        "EPICS_PVAS_SERVER_PORT": pva,
        "EPICS_PVA_BROADCAST_PORT": broadcast,
        "EPICS_PVAS_BROADCAST_PORT": broadcast,
        "EPICS_PVAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_CA_ADDR_LIST": "127.0.0.1",
        "EPICS_PVA_ADDR_LIST": "127.0.0.1",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_PVA_AUTO_ADDR_LIST": "NO",
        "EPICS_ALLOW_POSIX_THREAD_PRIORITY_SCHEDULING": "NO",
    }
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environ, check=False
    )


def test_epics_takes_every_kind_of_record() -> None:
    done = run(CHECK)
    assert done.returncode == 0, done.stderr
    count, complaints = json.loads(done.stdout)
    assert count > 80
    assert complaints == []


def test_alive_follows_the_heartbeat_and_goes_major_without_it() -> None:
    done = run(ALIVE)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stderr.splitlines()[-1])
    assert seen[0][0] == 0.0
    assert seen[0][1] >= 2
    assert seen[1:] == [[1.0, 0], [0.0, 2], [1.0, 0]]
