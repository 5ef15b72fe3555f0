"""`iocmng config reload`: what takes effect in a running host, what waits for a restart, and what is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from environments import Environment
from hosts import RunningHost, own_world, running
from support.plugins import Package, plugin_environment

CODE = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def execute(self):
        self.logger.debug("cycle %d", self.cycle_count)
"""
SITE = "prefix: RELOAD\nlog: {level: INFO}\nautosave: {period: 10}\n"
SECRETS = {name: f"{name}-secret-0123456789abcdef" for name in ("first", "second")}
DEADLINE = 20.0


class Site:
    """A running host and its site file."""

    def __init__(self, host: RunningHost, folder: Path) -> None:
        self.host = host
        self.file = folder / "iocmng.yaml"
        self.folder = folder
        self.token = (Path(host.env["IOCMNG_STATE_DIR"]) / "token").read_text().strip()

    def reload(self, text: str, status: int = 200) -> dict[str, Any]:
        self.file.write_text(text)
        answer = self.post(self.token)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def post(self, token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.post(f"{self.host.url}/api/v1/config/reload", headers=headers, timeout=DEADLINE)

    def role(self, secret: str) -> int:
        headers = {"Authorization": f"Bearer {secret}"}
        return httpx.get(f"{self.host.url}/api/v1/host", headers=headers, timeout=DEADLINE).status_code

    def setting(self, key: str) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = httpx.get(f"{self.host.url}/api/v1/config", headers=headers, timeout=DEADLINE).json()
        return answer[key]["value"], answer[key]["origin"]

    def iocmng(self, *words: str) -> tuple[int, str]:
        done = self.host.environment.run("python", "-m", "iocmng_cli", *words, env=self.host.env)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def running_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    package = Package("chatty", CODE, "parameters: {interval: 0.1}\n")
    python = plugin_environment(tmp_path_factory.mktemp("packages"), [package])
    (folder / "iocmng.yaml").write_text(SITE)
    argv = [str(python), "-m", "iocmng_cli", "run"]
    world = own_world(folder)
    with running(Environment(python.parent.parent), folder, argv=argv, env=world, start=120.0) as host:
        yield Site(host, folder)


@pytest.fixture
def site(running_site: Site) -> Site:
    """The host with the settings of its boot."""
    running_site.reload(SITE)
    return running_site


def test_the_log_level_changes_at_once(site: Site) -> None:
    done = site.reload(SITE.replace("INFO", "DEBUG"))
    (change,) = done["changes"]
    assert (change["key"], change["before"], change["after"]) == ("log.level", "INFO", "DEBUG")
    assert change["applied"] is True
    assert done["restart_required"] is False
    assert done["file"] == str(site.file)
    assert site.setting("log.level") == ("DEBUG", "site")
    end = time.monotonic() + DEADLINE
    while "cycle" not in site.iocmng("logs", "chatty", "--level", "DEBUG")[1]:
        assert time.monotonic() < end
    assert site.reload(SITE)["changes"][0]["after"] == "INFO"
    assert site.reload(SITE)["changes"] == []


def test_tokens_come_change_and_go(site: Site) -> None:
    secret = site.folder / "ops.token"
    tokens = SITE + "admin: {tokens: [{name: ops, role: operator, token_file: ops.token}]}\n"
    secret.write_text(SECRETS["first"])
    assert site.role(SECRETS["first"]) == 401
    assert site.reload(tokens)["changes"][0]["key"] == "admin.tokens"
    assert site.role(SECRETS["first"]) == 200
    secret.write_text(SECRETS["second"])
    (change,) = site.reload(tokens)["changes"]
    assert change["applied"]
    assert change["remark"] == "new secret of ops"
    assert SECRETS["second"] not in json.dumps(change)
    assert (site.role(SECRETS["first"]), site.role(SECRETS["second"])) == (401, 200)
    site.reload(SITE)
    assert site.role(SECRETS["second"]) == 401


def test_how_plugins_are_installed_changes_at_once(site: Site) -> None:
    done = site.reload(SITE + "install: {confirm_for: 3, allow: [acme-*]}\n")
    assert {change["key"]: change["applied"] for change in done["changes"]} == {
        "install.confirm_for": True,
        "install.allow": True,
    }
    assert done["restart_required"] is False
    assert site.setting("install.confirm_for") == (3.0, "site")


def test_what_needs_a_restart_is_named_and_stays_as_it_is(site: Site) -> None:
    changed = SITE.replace("RELOAD", "OTHER").replace("period: 10", "period: 20") + "spares: {ai: 7}\n"
    for _ in range(2):
        done = site.reload(changed)
        by_key = {change["key"]: change for change in done["changes"]}
        assert set(by_key) == {"prefix", "autosave.period", "spares.ai"}
        assert not any(change["applied"] for change in by_key.values())
        assert done["restart_required"] is True
        assert all("started again" in by_key[key]["remark"] for key in ("prefix", "spares.ai"))
    site.host.read("pva", "RELOAD:HOST:RESTART_REQUIRED", wanted=1)
    assert site.setting("prefix") == ("RELOAD", "site")
    assert site.setting("autosave.period") == (10.0, "site")
    assert site.reload(SITE)["restart_required"] is False
    site.host.read("pva", "RELOAD:HOST:RESTART_REQUIRED", wanted=0)


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("prefix: RELOAD\nlog:\n  level: LOUD\n", ":3:10: ", "log.level"),
        ("prefix: RELOAD\nlog: {level: DEBUG}\nprefx: X\n", ":3:1: ", "prefix"),
        ("prefix: RELOAD\nlog: {level: DEBUG\n", ":", "error"),
    ],
)
def test_a_bad_file_changes_nothing_and_names_the_place(site: Site, text: str, place: str, says: str) -> None:
    refused = site.reload(text, 422)
    assert f"{site.file}{place}" in refused["detail"]
    assert says in refused["detail"]
    assert site.setting("log.level") == ("INFO", "site")


def test_a_token_file_that_is_missing_changes_nothing(site: Site) -> None:
    text = (
        SITE.replace("INFO", "DEBUG") + "admin: {tokens: [{name: x, role: viewer, token_file: no.token}]}\n"
    )
    refused = site.reload(text, 422)
    assert str(site.folder / "no.token") in refused["detail"]
    assert site.setting("log.level") == ("INFO", "site")


def test_only_an_admin_may(site: Site) -> None:
    assert site.post("").status_code == 401


def test_the_command_says_what_became_of_each(site: Site) -> None:
    site.file.write_text(SITE.replace("INFO", "WARNING").replace("period: 10", "period: 5"))
    code, told = site.iocmng("config", "reload")
    assert code == 0, told
    assert "log.level" in told
    assert "applied" in told
    assert "autosave.period" in told
    assert "started again" in told
    site.file.write_text("log: {level: LOUD}\n")
    code, told = site.iocmng("config", "reload")
    assert code == 2
    assert ":1:14:" in told
    site.file.write_text(SITE.replace("INFO", "WARNING"))
    assert "nothing changed" in site.iocmng("config", "reload")[1]
