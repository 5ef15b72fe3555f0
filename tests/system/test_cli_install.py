"""A plugin directory comes, changes, goes and comes back in one running host, by the command line and over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from environments import DEADLINE
from support.installing import indexed, installing_host
from support.started import Started
from support.wheels import wheel
from typer.testing import CliRunner

from iocmng.errors import ExitCode
from iocmng.wire import TOKEN_FILE
from iocmng_cli.main import app

CODE = """
from iocmng import TaskBase
from speeds import SPEED

class Pump(TaskBase):
    def execute(self):
        self.set_pv("SPEED", SPEED)
"""
CONFIG = """
parameters: {interval: 0.1}
arguments: {outputs: {SPEED: {type: float}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plugin directory as in the previous system: a module, another one beside it, a config."""
    made = tmp_path / "sources" / "my_pump"
    made.mkdir(parents=True)
    (made / "my_pump.py").write_text(CODE)
    (made / "speeds.py").write_text("SPEED = 1.5\n")
    (made / "config.yaml").write_text(CONFIG)
    return made


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """A host without plugins, whose index has one that cannot be installed."""
    home = tmp_path_factory.mktemp("home")
    index, env = indexed(home, {})
    wheel(index, "acme-old", "1.0", plugin="old", requires=["softioc<4"])
    with installing_host(home, "CLI", env) as found:
        yield found


def iocmng(host: Started, *arguments: str, code: int = 0) -> str:
    """Type a command; what it prints, or when it is to fail what it complains about."""
    done = CliRunner().invoke(app, arguments, env=host.host.env)
    assert done.exit_code == code, f"{done.stdout}{done.stderr}"
    return done.stdout if code == 0 else done.stderr


def test_a_directory_comes_changes_goes_and_comes_back(
    host: Started, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    assert "added: my_pump" in iocmng(host, "install", "./my_pump")
    (pump,) = json.loads(iocmng(host, "list", "--json"))
    assert (pump["name"], pump["state"], pump["origin"]) == ("my_pump", "RUN", str(folder))
    assert host.host.read("ca", "CLI:MY_PUMP:SPEED", wanted=1.5) == 1.5

    (folder / "speeds.py").write_text("SPEED = 2.5\n")
    planned = iocmng(host, "upgrade", "./my_pump", "--plan")
    assert "~ instance my_pump: changed" in planned
    assert "possible while the host runs" in planned
    iocmng(host, "upgrade", "./my_pump")
    assert host.host.read("ca", "CLI:MY_PUMP:SPEED", wanted=2.5) == 2.5

    refused = iocmng(host, "install", "acme-old", code=ExitCode.REFUSED)
    assert "error: plan: " in refused
    assert "softioc" in refused
    assert [one["version"] for one in json.loads(iocmng(host, "list", "--json"))] != [pump["version"]]

    assert "~ instance my_pump: changed" in iocmng(host, "rollback", "--plan")
    iocmng(host, "rollback")
    assert host.host.read("ca", "CLI:MY_PUMP:SPEED", wanted=1.5) == 1.5
    assert [one["version"] for one in json.loads(iocmng(host, "list", "--json"))] == [pump["version"]]
    kept = json.loads(iocmng(host, "generations", "--json"))
    assert [one["current"] for one in kept[:2]] == [False, True]
    assert sum(one["current"] for one in kept) == 1
    iocmng(host, "uninstall", "my_pump")
    assert json.loads(iocmng(host, "list", "--json")) == []


def test_the_previous_systems_requests(host: Started, folder: Path) -> None:
    token = (Path(host.host.env["IOCMNG_STATE_DIR"]) / TOKEN_FILE).read_text().strip()
    with httpx.Client(
        base_url=f"{host.host.url}/api/v1",
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=DEADLINE,
    ) as http:
        body = {"name": "my_pump", "local_path": str(folder), "parameters": {"interval": 0.05}}
        added = http.post("/plugins", json=body)
        assert (added.status_code, added.json()["ok"]) == (200, True), added.text
        assert added.json()["validation"] | {"warnings": []} == {
            "ok": True,
            "class_name": "Pump",
            "plugin_type": "task",
            "errors": [],
            "warnings": [],
        }
        entry = http.get("/tasks/my_pump").json()
        assert (entry["status"], entry["parameters"]["interval"]) == ("running", 0.05)

        (folder / "speeds.py").write_text("SPEED = 2.5\n")
        same = http.post("/plugins/my_pump/restart?fetch=false&wait=5").json()
        assert same["instance"]["version"] == entry["version"]
        fetched = http.post("/plugins/my_pump/restart").json()
        assert fetched["instance"]["version"] != entry["version"]
        assert host.host.read("pva", "CLI:MY_PUMP:SPEED", wanted=2.5) == 2.5

        (folder / "my_pump.py").write_text("import nothing_at_all\n")
        failed = http.post("/plugins/my_pump/restart")
        assert failed.status_code == 409, failed.text
        assert failed.json()["ok"] is False
        assert failed.json()["validation"]["errors"]
        assert http.get("/tasks/my_pump").json()["status"] == "running"

        gone = http.delete("/plugins/my_pump")
        assert (gone.status_code, gone.json()["ok"]) == (200, True), gone.text
        assert http.get("/plugins").json() == {"plugins": [], "count": 0}
