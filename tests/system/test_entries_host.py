"""plugins.yaml with a real host: installed once, then started without sources and network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.git_server import GitServer, repository
from support.started import started

CODE = """
from iocmng import TaskBase
import beside

class Plugin(TaskBase):
    def execute(self):
        self.set_pv("VALUE", beside.BASE + int(self.parameters["n"]))
"""
CONFIG = """
parameters: {interval: 0.1, n: 1}
arguments: {outputs: {VALUE: {type: int}}}
"""
TOKEN = "t0ken-of-git"


def files(base: int, at: str = "") -> dict[str, str]:
    return {f"{at}plugin.py": CODE, f"{at}beside.py": f"BASE = {base}\n", f"{at}config.yaml": CONFIG}


def write(folder: Path, base: int) -> None:
    folder.mkdir(parents=True)
    for name, text in files(base).items():
        (folder / name).write_text(text)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    repository(tmp_path / "repos" / "all.git", files(100, "plugins/gauge/"))
    try:
        serving = GitServer(tmp_path / "repos", tmp_path / "certificate.pem", password=TOKEN)
    except FileNotFoundError as missing:
        pytest.skip(f"git over https needs the programs openssl and git http-backend: {missing}")
    try:
        yield serving
    finally:
        serving.close()


def test_entries_are_installed_once(tmp_path: Path, server: GitServer) -> None:
    write(tmp_path / "tank", 10)
    write(tmp_path / "old", 20)
    gauge = {"name": "gauge", "git_url": f"{server.url}/all.git", "path": "plugins/gauge", "pat": "${PAT}"}
    listed = tmp_path / "plugins.yaml"
    away = {"name": "away", "local_path": "nowhere"}
    listed.write_text(json.dumps({"plugins": [{"name": "tank", "local_path": "tank"}, gauge, away]}))
    dirs = tmp_path / "dirs"
    dirs.mkdir()
    taken = {"name": "old", "git_url": "", "local_path": str(tmp_path / "old"), "pat": None, "branch": "main"}
    (dirs / "autostart_plugins.yaml").write_text(json.dumps({"plugins": [taken]}))
    state = {"IOCMNG_STATE_DIR": str(tmp_path / "state")}
    lists = {"IOCMNG_PLUGINS_CONFIG": str(listed), "IOCMNG_PLUGINS_DIR": str(dirs), **state}
    with started(tmp_path, "ENT", env={**lists, **server.environ, "PAT": TOKEN}) as one:
        for name, value in (("tank", 11), ("gauge", 101), ("old", 21)):
            one.reaches(name, "RUN")
            one.host.read("ca", f"ENT:{name.upper()}:VALUE", value)
        missing = one.view("away")
        assert missing.state == "INVALID"
        assert f"{listed}:1:" in str(missing.findings[0])
        assert one.view("gauge").generation == 1
        assert server.url in one.view("gauge").origin
        assert "old taken over" in one.host.output
        assert TOKEN not in one.host.output
    kept = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert [path for path in kept if TOKEN.encode() in path.read_bytes()] == []

    # Everything that they came from is away, one left the list, one has another parameter.
    server.close()
    for name in ("tank", "old"):
        shutil.rmtree(tmp_path / name)
    listed.write_text(json.dumps({"plugins": [{**gauge, "parameters": {"n": 5}}]}))
    with started(tmp_path, "ENT", env={**lists, "PAT": ""}) as two:
        two.host.read("ca", "ENT:GAUGE:VALUE", 105)
        two.host.read("pva", "ENT:OLD:VALUE", 21)
        assert [view.name for view in two.client.list() if view.distribution.startswith("iocmng-dir")] == [
            "gauge",
            "old",
        ]
        assert two.view("gauge").generation == 1
        assert "tank left the list of plugins" in two.host.output
