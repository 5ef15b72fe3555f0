from __future__ import annotations

import inspect
import json
import math
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import platformdirs
import pytest
from hosts import free_ports
from support.serving import SECRETS, Served, serving

from iocmng.api import TokenStore, forget_endpoint, record_endpoint
from iocmng.client import Client, Pvs
from iocmng.client.token import find_token, normal_url, running_endpoint, running_hosts, user_state_root
from iocmng.errors import (
    BadInput,
    ExitCode,
    IocmngError,
    LinkRefused,
    LinkTimeout,
    LinkValueError,
    NoHost,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    Refused,
)
from iocmng.lifecycle import JobState
from iocmng.wire import EventKind, LogLine, Role


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("state")) as endpoint:
        yield endpoint


@pytest.fixture
def fresh(served: Served) -> Served:
    served.control.__init__()  # type: ignore[misc]
    return served


@pytest.fixture
def client(fresh: Served) -> Iterator[Client]:
    with Client(fresh.url, SECRETS["operator"]) as made:
        yield made


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment in which no token can be found."""
    for name in (
        "IOCMNG_URL",
        "IOCMNG_HOST",
        "IOCMNG_PORT",
        "IOCMNG_TOKEN",
        "IOCMNG_STATE_DIR",
        "IOCMNG_PLUGINS_DIR",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "user-state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user-config"))
    monkeypatch.setattr("iocmng.client.token.RUNTIME_DIR", tmp_path / "run")
    return tmp_path


def test_a_task_from_handle_to_handle(client: Client) -> None:
    pump = client.tasks["pump"]
    assert pump.state == "RUN"
    assert pump.pause().state == "PAUSED"
    assert pump.resume().state == "RUN"
    assert pump.stop().state == "END"
    assert pump.start().state == "RUN"
    assert pump.restart().state == "RUN"
    assert pump.reset().state == "RUN"
    assert pump.disable().enabled is False
    assert pump.enable().enabled is True
    assert pump.set(gain=4.5).parameters[0].value == 4.5
    assert pump.schema()["properties"]["gain"] == {"type": "number"}
    assert client.tasks["shot"].trigger().name == "shot"
    assert {task.name for task in client.tasks} == {"pump", "shot", "broken"}
    assert len(client.jobs) == 1
    assert "pump" in client.tasks
    assert "pump" not in client.jobs


def test_what_the_host_shows(client: Client) -> None:
    assert [view.name for view in client.list()] == ["pump", "shot", "tune", "broken"]
    assert [view.name for view in client.list(kind="task", state="INVALID")] == ["broken"]
    broken = client.show("broken").view
    assert broken.findings[0].where.line == 3
    assert client.host().boot_id == "boot-1"
    assert client.health()["tasks_count"] == 3
    assert client.config()["prefix"]["value"] == "TEST"
    assert client.startup("pump")["autostart_order"] == 3
    assert "iocmng_host_info" in client.metrics()


def test_ready_or_not(fresh: Served, client: Client) -> None:
    assert client.ready() is None
    fresh.control.awaited = "pump starts"
    assert client.ready() == "pump starts"


def test_a_run(fresh: Served, client: Client) -> None:
    run = client.jobs["tune"].start(bands=[0, 1])
    assert run.status == "RUNNING"
    with pytest.raises(TimeoutError, match=run.id):
        run.wait(0.05)
    timer = threading.Timer(0.05, lambda: fresh.call(lambda: fresh.control.end_run(run.id, JobState.SUCCESS)))
    timer.start()
    assert [view.state for view in run.follow(0.5)] == [JobState.RUNNING, JobState.SUCCESS]
    timer.join(20)
    assert run.wait(20).state is JobState.SUCCESS
    assert run.abort().state is JobState.SUCCESS
    assert run.log()[0].text == "tuning"
    assert [known.id for known in client.jobs["tune"].runs()] == [run.id]


def test_pvs(client: Client) -> None:
    assert [pv.name for pv in client.pvs("*:LIMIT")] == ["TEST:PUMP:LIMIT", "TEST:SHOT:LIMIT"]
    assert math.isnan(client.pv("PUMP:PRESSURE").value)
    assert client.put_pv("PUMP:LIMIT", -math.inf).value == -math.inf
    monitored = client.monitor_pvs(["PUMP:LIMIT"], period=0.02)
    assert next(monitored).value == -math.inf
    client.put_pv("PUMP:LIMIT", 2)
    assert next(monitored).value == 2.0


def test_pvs_elsewhere(fresh: Served, client: Client) -> None:
    elsewhere = fresh.control.pv_access.elsewhere
    elsewhere.serve("ca://RING:T", math.nan)
    elsewhere.serve("pva://RING:WORD", "NaN")
    found = client.pvs.get("ca://RING:T")
    assert math.isnan(found.value)
    assert (found.address, found.severity) == ("ca://RING:T", "NO_ALARM")
    assert client.pvs.get("RING:WORD").value == "NaN"
    assert client.pvs.get("TEST:PUMP:LIMIT").local
    client.pvs.put("ca://RING:T", 2.5)
    assert elsewhere.puts == [("ca://RING:T", 2.5)]
    monitored = client.pvs.monitor(["ca://RING:T"], period=0.02)
    assert next(monitored).value == 2.5
    elsewhere.serve("ca://RING:T", 3.5)
    assert next(monitored).value == 3.5
    monitored.close()  # type: ignore[attr-defined]
    assert client.pvs.provider == "pva"


@pytest.mark.parametrize(
    ("act", "kind", "text"),
    [
        (lambda pvs: pvs.get("NOWHERE", timeout=0.1), LinkTimeout, "did not answer"),
        (lambda pvs: pvs.put("LOCKED", 1), LinkRefused, "access denied"),
        (lambda pvs: pvs.put("LOCKED.VAL", "much"), LinkValueError, "cannot put"),
        (lambda pvs: pvs.get("http://X"), BadInput, "scheme 'http'"),
        (lambda pvs: next(pvs.monitor(["http://X"])), BadInput, "scheme 'http'"),
    ],
)
def test_refusals_of_pvs_elsewhere(
    fresh: Served, client: Client, act: Callable[[Pvs], object], kind: type[IocmngError], text: str
) -> None:
    elsewhere = fresh.control.pv_access.elsewhere
    elsewhere.serve("pva://LOCKED", 1)
    elsewhere.refuse("pva://LOCKED")
    elsewhere.serve("pva://LOCKED.VAL", 1)
    with pytest.raises(kind, match=text) as refused:
        act(client.pvs)
    assert type(refused.value) is kind


def test_events_and_logs_are_followed(fresh: Served, client: Client) -> None:
    fresh.control.events.publish(EventKind.RUN, text="first")
    events = client.follow(after="0", kinds=[EventKind.RUN, EventKind.STATE])
    assert next(events).text == "first"
    client.tasks["pump"].stop()
    stopped = next(events)
    assert (stopped.kind, stopped.data["after"], stopped.actor.user) == (EventKind.STATE, "END", "operator")
    fresh.call(lambda: fresh.control.write_log("pump", LogLine(5.0, "INFO", "pump", "hello")))
    assert client.log("pump")[0].text == "hello"
    lines = client.follow_log("pump", since=1.0)
    assert next(lines) == LogLine(5.0, "INFO", "pump", "hello")


def test_following_survives_a_restart_of_the_endpoint(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with serving(tmp_path, port=port) as first, Client(first.url, SECRETS["viewer"]) as client:
        first.control.events.publish(EventKind.RUN, text="one")
        events = client.follow(after="0")
        assert next(events).text == "one"
        first.control.events.publish(EventKind.RUN, text="two")
        assert next(events).text == "two"
        first.stop()
        with serving(tmp_path, first.control, port=port):
            first.control.events.publish(EventKind.RUN, text="three")
            assert next(events).text == "three"


def test_following_gives_up_when_it_is_told_to(tmp_path: Path) -> None:
    with serving(tmp_path) as endpoint, Client(endpoint.url) as client:
        endpoint.control.events.publish(EventKind.RUN, text="one")
        events = client.follow(after="0", patience=0.1)
        assert next(events).text == "one"
        endpoint.stop()
        with pytest.raises(NoHost):
            next(events)
    with pytest.raises(NoHost):
        next(client.follow())


@pytest.mark.parametrize(
    ("act", "kind", "code", "text"),
    [
        (lambda client: client.show("pumb"), NotFound, ExitCode.NOT_FOUND, "did you mean 'pump'?"),
        (lambda client: client.show(".."), NotFound, ExitCode.NOT_FOUND, "no instance is named '..'"),
        (lambda client: client.show("a/b ?#%"), NotFound, ExitCode.NOT_FOUND, "a/b ?#%"),
        (lambda client: client.show(""), NotFound, ExitCode.NOT_FOUND, "nothing is named ''"),
        (lambda client: client.pv(".."), NotFound, ExitCode.NOT_FOUND, "no PV is named '..'"),
        (
            lambda client: client.tasks["broken"].start(),
            Refused,
            ExitCode.REFUSED,
            "allowed now: stop, reset",
        ),
        (lambda client: client.put_pv("PUMP:LIMIT", "x"), BadInput, ExitCode.USAGE, "takes a float"),
        (lambda client: client.tasks["pump"].set(gian=1), BadInput, ExitCode.USAGE, "did you mean 'gain'?"),
        (lambda client: client.rescan(), NotAllowed, ExitCode.NOT_ALLOWED, "needs the role admin"),
    ],
)
def test_refusals_are_the_errors_of_this_package(
    client: Client, act: object, kind: type[IocmngError], code: ExitCode, text: str
) -> None:
    with pytest.raises(kind) as refused:
        act(client)  # type: ignore[operator]
    assert refused.value.exit_code is code
    assert text in str(refused.value)


def test_a_start_that_failed_is_a_failure_and_no_refusal(fresh: Served, client: Client) -> None:
    fresh.control.failing.add("pump")
    with pytest.raises(IocmngError) as failed:
        client.tasks["pump"].restart()
    assert failed.value.exit_code is ExitCode.FAILED
    assert failed.value.error_code == "not-started"
    assert "BACKOFF: no such file: x" in failed.value.detail
    assert client.tasks["pump"].reset(wait=0).state == "INIT"


def test_tokens(fresh: Served) -> None:
    with Client(fresh.url, SECRETS["admin"]) as admin:
        made = admin.create_token("robot", Role.VIEWER)
        with Client(fresh.url, made.token) as robot:
            assert robot.host().name == "test"
            admin.revoke_token("robot")
            with pytest.raises(NotAuthenticated, match=r"the argument `token`"):
                robot.host()
        assert "robot" not in {token.name for token in admin.tokens()}


def test_without_a_token_the_error_names_the_places(fresh: Served, nowhere: Path) -> None:
    with Client(fresh.url) as client:
        assert client.host().name == "test"
        with pytest.raises(NotAuthenticated) as refused:
            client.tasks["pump"].stop()
    assert refused.value.exit_code is ExitCode.NOT_ALLOWED
    for place in (
        "IOCMNG_TOKEN",
        str(nowhere / "user-config" / "iocmng" / "tokens.yaml"),
        str(nowhere / "run"),
    ):
        assert place in str(refused.value)


def test_no_host_says_how_to_start_one(nowhere: Path) -> None:
    (port,) = free_ports(1)
    with pytest.raises(NoHost) as missing, Client(f"127.0.0.1:{port}") as client:
        client.list()
    assert missing.value.exit_code is ExitCode.NO_HOST
    assert "iocmng run" in missing.value.hint
    assert f"http://127.0.0.1:{port}" in missing.value.detail


def test_hosts_that_run_elsewhere_are_named(nowhere: Path) -> None:
    state = nowhere / "user-state" / "iocmng" / "LAB"
    state.mkdir(parents=True)
    record_endpoint(state, "http://127.0.0.1:9999")
    assert running_hosts() == ("http://127.0.0.1:9999",)
    (port,) = free_ports(1)
    with pytest.raises(NoHost, match=r"running here: http://127\.0\.0\.1:9999"):
        Client(f"http://127.0.0.1:{port}").host()
    forget_endpoint(state)
    assert running_hosts() == ()


def test_what_answers_but_is_no_host_gets_no_state_token(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers["Authorization"])
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            state = nowhere / "state"
            state.mkdir()
            (state / "token").write_text("the-token-of-the-host")
            record_endpoint(state, "http://127.0.0.1:1")
            monkeypatch.setenv("IOCMNG_STATE_DIR", str(state))
            with (
                Client(f"http://127.0.0.1:{server.server_port}") as client,
                pytest.raises(NoHost, match="no iocmng"),
            ):
                client.host()
        finally:
            server.shutdown()
            thread.join(20)
    assert seen == [None]


def test_the_state_token_goes_to_the_host_that_recorded_its_address(tmp_path: Path) -> None:
    state = tmp_path / "user-state" / "iocmng" / "TEST"
    state.mkdir(parents=True)
    with serving(state) as endpoint:
        record_endpoint(state, endpoint.url)
        with Client(endpoint.url) as client:
            assert client.rescan() == {"added": [], "removed": []}
        assert endpoint.control.actors[-1][1].user == "local"


def test_an_endpoint_of_a_process_that_is_gone_is_not_believed(tmp_path: Path) -> None:
    record_endpoint(tmp_path, "http://127.0.0.1:1")
    assert running_endpoint(tmp_path) is not None
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait(20)
    record_endpoint(tmp_path, "http://127.0.0.1:1", gone.pid)
    assert running_endpoint(tmp_path) is None
    recorded = json.loads((tmp_path / "endpoint.json").read_text())
    for broken in (
        {**recorded, "pid": os.getpid(), "started": 1},
        {"url": "x"},
        {**recorded, "pid": "x"},
        [],
    ):
        (tmp_path / "endpoint.json").write_text(json.dumps(broken))
        assert running_endpoint(tmp_path) is None


def test_a_service_shares_its_token_with_its_group(nowhere: Path) -> None:
    state, run = nowhere / "of-the-service", nowhere / "run"
    for directory in (state, run):
        directory.mkdir()
    own = TokenStore(state)
    record_endpoint(state, "http://127.0.0.1:8080", shared=run)
    found = find_token("http://127.0.0.1:8080").token
    assert found is not None
    assert own.identify(found) is not None
    assert {stat.S_IMODE(path.stat().st_mode) for path in run.iterdir()} == {0o640}
    forget_endpoint(state, shared=run)
    assert list(run.iterdir()) == []
    assert (state / "token").exists()


def test_places_of_tokens_in_their_order(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://127.0.0.1:8080"
    assert find_token(url).token is None
    run = nowhere / "run"
    for directory, secret in (
        (run, "of-the-service"),
        (nowhere / "user-state" / "iocmng" / "A", "of-the-state"),
    ):
        directory.mkdir(parents=True)
        (directory / "token").write_text(f"{secret}\n")
        record_endpoint(directory, url)
        assert find_token(url).token == secret
        assert find_token("http://127.0.0.1:8081").token is None
    config = nowhere / "user-config" / "iocmng"
    config.mkdir(parents=True)
    (config / "tokens.yaml").write_text("http://127.0.0.1:8080/: of-the-config\nhttp://other: x\n")
    assert find_token(url).token == "of-the-config"
    monkeypatch.setenv("IOCMNG_TOKEN", "of-the-environment")
    assert find_token(url).token == "of-the-environment"
    given = nowhere / "given"
    given.write_text("of-the-file\n")
    assert find_token(url, given).token == "of-the-file"
    for content in ("", None):
        given.write_text(content) if content is not None else given.unlink()
        with pytest.raises(BadInput, match="token file"):
            find_token(url, given)
    monkeypatch.delenv("IOCMNG_TOKEN")
    (config / "tokens.yaml").write_text("{broken")
    with pytest.raises(BadInput, match=r"tokens\.yaml"):
        find_token(url)


def test_state_directories_that_the_environment_names(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://127.0.0.1:8080"
    own = nowhere / "plugins" / ".iocmng"
    own.mkdir(parents=True)
    (own / "token").write_text("of-the-plugins-dir")
    record_endpoint(own, url)
    monkeypatch.setenv("IOCMNG_PLUGINS_DIR", str(nowhere / "plugins"))
    assert find_token(url).token == "of-the-plugins-dir"
    monkeypatch.setenv("IOCMNG_STATE_DIR", str(nowhere / "none"))
    assert find_token(url).token is None


def test_the_state_root_is_the_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("/tmp/x", "", " "):
        monkeypatch.setenv("XDG_STATE_HOME", value)
        assert user_state_root() == platformdirs.user_state_path("iocmng")
    monkeypatch.delenv("XDG_STATE_HOME")
    assert user_state_root() == platformdirs.user_state_path("iocmng")


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        (None, "http://127.0.0.1:8080"),
        ("ioc:8080", "http://ioc:8080"),
        ("http://IOC:8080/", "http://ioc:8080"),
        ("https://ioc/api/v1/", "https://ioc"),
        ("http://localhost:8080", "http://127.0.0.1:8080"),
        ("https://localhost:8080", "https://localhost:8080"),
        ("http://[::1]:80", "http://[::1]:80"),
        ("https://site/ioc1", "https://site/ioc1"),
    ],
)
def test_addresses_in_one_spelling(given: str | None, normal: str) -> None:
    assert normal_url(given) == normal


@pytest.mark.parametrize("given", ["ftp://x", "http://", "http://x:port", "http://u:p@x", "http://[", "://"])
def test_addresses_that_are_none(given: str) -> None:
    with pytest.raises(BadInput):
        normal_url(given)


def test_the_environment_names_the_host_and_proxies_are_not_used(
    fresh: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOCMNG_URL", fresh.url)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    assert Client().host().name == "test"


def test_the_client_is_light() -> None:
    program = "import sys, iocmng.client; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    heavy = {
        "httpx",
        "yaml",
        "pydantic",
        "numpy",
        "fastapi",
        "uvicorn",
        "softioc",
        "epics",
        "p4p",
        "platformdirs",
    }
    assert not loaded & heavy


def test_every_public_method_says_what_it_does() -> None:
    methods = [member for name, member in inspect.getmembers(Client, inspect.isfunction) if name[0] != "_"]
    assert len(methods) > 25
    assert all(inspect.getdoc(method) for method in methods)
