"""The functions of `pv_client`, and what stands on them, against a real source."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from links_bench import Source, free_ports

SCRIPT = """
import json, sys, time
from iocmng.core import pv_client

pva = sys.argv[1] == "pva"
seen = {"before": pv_client.get_provider()}
pv_client.init(pva)
seen["provider"] = pv_client.get_provider()
seen["float"] = pv_client.get("SRC:FLOAT")
seen["enum"] = pv_client.get("SRC:ENUM", timeout=5.0)
seen["other"] = pv_client.get(("ca://" if pva else "pva://") + "SRC:INT")
pv_client.put("SRC:TARGET", 2.5)
seen["target"] = pv_client.get("SRC:TARGET")
try:
    pv_client.get("NOBODY", timeout=0.3)
except TimeoutError as error:
    seen["timeout"] = str(error)

def until(what):
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)

got, up, stolen = [], [], []
seen["key"] = pv_client.monitor("SRC:TARGET", stolen.append)
seen["named"] = pv_client.monitor("SRC:TARGET", got.append, name="mine", conn_callback=up.append)
until(lambda: got and stolen)
seen["active"] = pv_client.active_monitors()
pv_client.monitor("SRC:TARGET", got.append)
pv_client.put("SRC:TARGET", 3.5)
until(lambda: got.count(3.5) == 2)
seen["replaced"] = stolen
seen["up"] = up
seen["unmonitor"] = [pv_client.unmonitor("mine"), pv_client.unmonitor("mine")]
seen["all"] = pv_client.unmonitor_all()
seen["after"] = pv_client.active_monitors()
pv_client.close()
seen["again"] = pv_client.get("SRC:TARGET")
pv_client.close()
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Iterator[SimpleNamespace]:
    environment = free_ports()
    source = Source(tmp_path_factory.mktemp("source"), environment)
    yield SimpleNamespace(source=source, environment={**os.environ, **environment})
    source.kill()


@pytest.mark.parametrize("provider", ["ca", "pva"])
def test_functions(real, provider):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, provider],
        env=real.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert "NOBODY" in seen.pop("timeout")
    assert seen == {
        "before": "pva",
        "provider": provider,
        "float": 1.5,
        "enum": 1,
        "other": 7,
        "target": 2.5,
        "key": "SRC:TARGET",
        "named": "mine",
        "active": {"SRC:TARGET": "SRC:TARGET", "mine": "SRC:TARGET"},
        "replaced": [2.5],
        "up": [False, True],
        "unmonitor": [True, False],
        "all": 1,
        "after": {},
        "again": 3.5,
    }
