"""The package of docs/hooks.md, installed and tried in a host."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from documents import sections
from environments import Environment
from hatchling.builders.wheel import WheelBuilder
from hosts import RunningHost, own_world, running
from support.plugins import Package, plugin_environment

from iocmng.client import Client

TASK = """
from iocmng import TaskBase
from iocmng.core.safe_eval import safe_eval

class Plugin(TaskBase):
    def execute(self):
        self.set_pv("T", safe_eval("acme_celsius(k)", {"k": 300.15}))
"""
FAILING = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def initialize(self):
        raise OSError("no water")

    def execute(self):
        return None
"""
JOB = "from iocmng import JobBase\n\nclass Plugin(JobBase):\n    def execute(self):\n        return 1\n"
PACKAGES = (
    Package("cold", TASK, "description: Cold\narguments: {outputs: {T: {}}}\n"),
    Package("pump", FAILING, "description: Pump\nsupervision: {restart: 'no'}\n"),
    Package("shot", JOB, "description: Shot\n"),
    Package("nameless"),
)
DEADLINE = 20.0


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    folder = tmp_path_factory.mktemp("hooks")
    python = plugin_environment(folder, PACKAGES)
    project, code = (block.text for block in sections("docs/hooks.md")["A package"])
    module = folder / "acme" / "acme_site"
    module.mkdir(parents=True)
    (module / "__init__.py").write_text("")
    (module / "hooks.py").write_text(code)
    (folder / "acme" / "pyproject.toml").write_text(project)
    (wheel,) = WheelBuilder(str(folder / "acme")).build(directory=str(folder), versions=["standard"])
    environment = Environment(python.parent.parent)
    environment.install("--offline", "--no-deps", wheel)
    argv = [str(python), "-m", "iocmng_cli", "run", "--prefix", "ACME"]
    with running(environment, folder, argv=argv, env=own_world(folder), start=120.0) as host:
        yield host


def test_the_package_does_what_the_page_says(host: RunningHost) -> None:
    token = (Path(host.env["IOCMNG_STATE_DIR"]) / "token").read_text().strip()
    with Client(host.url, token=token) as client:
        assert client.host().problems == ()
        nameless = client.show("nameless").view
        assert nameless.state == "INVALID"
        assert "Acme wants" in nameless.message
        client.jobs["shot"].start().wait(DEADLINE)
    assert host.read("pva", "ACME:COLD:T", wanted=27.0) == 27.0
    url = f"{host.url}/api/v1/acme/incidents"
    end = time.monotonic() + DEADLINE
    while not (found := httpx.get(url, timeout=DEADLINE).json()):
        assert time.monotonic() < end, host.output
    assert found[0]["instance"] == "pump"
    assert "no water" in found[0]["reason"]
    assert httpx.delete(url, timeout=DEADLINE).status_code == 401
    authorised = {"Authorization": f"Bearer {token}"}
    assert httpx.delete(url, headers=authorised, timeout=DEADLINE).json() == {"ok": True}
    wanted = 'acme_runs_success_total{package="acme-site:acme"} 1.0'
    while wanted not in httpx.get(f"{host.url}/metrics", timeout=DEADLINE).text:
        assert time.monotonic() < end, host.output
