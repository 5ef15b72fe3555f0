"""Every hook in a real host: a package that uses them all, beside one that raises in each and one that hangs."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from environments import Environment
from hosts import RunningHost, own_world, running
from support.plugins import Package, plugin_environment

from iocmng.client import Client
from iocmng.plugins.hookspecs import HookSpecs
from iocmng.wire import Role

GROUP = "iocmng.hooks"
DEADLINE = 20.0
HOOKS = {
    name: [argument for argument in inspect.signature(function).parameters if argument != "self"]
    for name, function in inspect.getmembers(HookSpecs, inspect.isfunction)
}


def everywhere(body: str) -> str:
    """A module that implements every hook with the same body."""
    made = ["import time", "from iocmng import hookimpl", ""]
    for name, arguments in HOOKS.items():
        made += ["@hookimpl", f"def {name}({', '.join(arguments)}):", f"    {body}", ""]
    return "\n".join(made)


SITE = """
import json, os, threading, time
from pathlib import Path

from fastapi import APIRouter
from iocmng import TaskBase, hookimpl
from iocmng.api.guard import AdminRoute, ViewerRoute
from iocmng.plugins.discovery import Discovered
from iocmng.spec import PluginRef
from iocmng.wire import Finding, Level

lock = threading.Lock()

def heard(hook, **what):
    with lock, open(os.environ["ACME_HEARD"], "a") as file:
        file.write(json.dumps({"hook": hook, "thread": threading.current_thread().name, **what}) + "\\n")

class Borrowed(TaskBase):
    def execute(self):
        self.set_pv("COUNT", self.cycle_count)

@hookimpl
def iocmng_discover(settings):
    heard("discover", prefix=settings.prefix)
    config = Path(__file__).with_name("config.yaml")
    yield Discovered(plugin=PluginRef(name="borrowed", target=f"{__name__}:Borrowed", config=str(config)))

@hookimpl
def iocmng_configure(candidate):
    if candidate.spec.name == "doubler":
        return {"description": "as the site wants it", "parameters": {"interval": 0.25}}

@hookimpl
def iocmng_validate(candidate):
    if candidate.spec.name == "unwanted":
        return [Finding(Level.ERROR, "acme-policy", "not on this site")]

@hookimpl
def iocmng_functions():
    return {"acme_double": lambda x: 2 * x, "mean": lambda values: 0, "no name": abs, "acme_three": 3}

@hookimpl
def iocmng_host_started(host):
    heard("started", state=host.host().state, instances=sorted(one.name for one in host.instances()))

@hookimpl
def iocmng_host_stopping(host):
    heard("stopping", state=host.host().state, running=host.instance("doubler").view.state)
    time.sleep(0.3)
    heard("stopping is over", running=host.instance("doubler").view.state)

@hookimpl
def iocmng_event(event):
    heard("event", id=event.id, kind=event.kind, instance=event.instance, after=event.data.get("after"))

@hookimpl
def iocmng_run_finished(run):
    heard("run", id=run.id, job=run.job, state=run.state.name, data=run.data)

@hookimpl
def iocmng_metrics():
    return {"acme_current": 1.5, "acme_shots_total": 3, "9lives": 1, "iocmng_host_state": 1, "acme_text": "x"}

@hookimpl
def iocmng_admin_routes():
    router = APIRouter(prefix="/acme")
    inner = APIRouter(prefix="/inner")
    reading = APIRouter(prefix="/acme-reading", route_class=ViewerRoute)
    ruling = APIRouter(prefix="/acme-ruling", route_class=AdminRoute)
    thief = APIRouter()

    @router.get("/lattice")
    def lattice(scale: float = 1.0):
        return {"length": 100.0 * scale}

    @router.post("/lattice")
    def load(body: dict):
        return {"loaded": sorted(body)}

    @router.get("/faulty")
    def faulty():
        raise RuntimeError("no lattice")

    @inner.delete("/lattice")
    def drop():
        return {"dropped": True}

    @reading.post("/query")
    async def query():
        return {"found": 0}

    @ruling.get("/secrets")
    def secrets():
        return {"secrets": 1}

    @thief.get("/host")
    def host():
        return {"stolen": True}

    @thief.get("/plugins/{name}")
    def plugin(name: str):
        return {"stolen": name}

    @thief.get("/{rest:path}")
    def rest(rest: str):
        return {"rest": rest}

    router.include_router(inner)
    return ["no router", router, reading, ruling, thief]
"""
COUNTS = "parameters: {interval: 0.1}\narguments: {outputs: {COUNT: {type: int}}}\n"
DOUBLER = """
from iocmng import TaskBase
from iocmng.core.functions import get_registry
from iocmng.core.safe_eval import safe_eval

class Plugin(TaskBase):
    def execute(self):
        self.set_pv("TWICE", safe_eval("acme_double(x) + mean(x)", {"x": 21}, get_registry()))
"""
SHOT = """
from iocmng import JobBase, JobResult

class Plugin(JobBase):
    def execute(self):
        if self.get_input("MISS"):
            raise RuntimeError("missed")
        return JobResult(True, data={"hits": 3})
"""
PACKAGES = (
    Package("hanging", everywhere("time.sleep(3600)"), None, "acme", "fixture_hanging.plugin", group=GROUP),
    Package("raising", everywhere('raise OSError("no luck")'), None, "acme", "fixture_raising.plugin", group=GROUP),
    Package("site", SITE, COUNTS, "acme", "fixture_site.plugin", group=GROUP),
    Package("crashing", "import os; os.abort()", None, "acme", "fixture_crashing.plugin", group=GROUP),
    Package("doubler", DOUBLER, "arguments: {outputs: {TWICE: {type: float}}}\n"),
    Package("shot", SHOT, "arguments: {inputs: {MISS: {type: bool, value: false}}}\n"),
    Package("unwanted", config=COUNTS),
)  # fmt: skip


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(plugin_environment(tmp_path_factory.mktemp("packages"), PACKAGES).parent.parent)


@pytest.fixture(scope="module")
def heard_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("heard") / "heard.jsonl"


@pytest.fixture(scope="module")
def host(
    environment: Environment, heard_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningHost]:
    folder = tmp_path_factory.mktemp("host")
    world = {**own_world(folder), "ACME_HEARD": str(heard_file)}
    argv = [str(environment.python), "-m", "iocmng_cli", "run", "--prefix", "HOOKS"]
    with running(environment, folder, argv=argv, env=world, start=120.0) as host:
        yield host


@pytest.fixture
def client(host: RunningHost) -> Iterator[Client]:
    token = (Path(host.env["IOCMNG_STATE_DIR"]) / "token").read_text().strip()
    with Client(host.url, token=token) as client:
        yield client


@pytest.fixture
def heard(heard_file: Path, host: RunningHost) -> Callable[..., list[dict[str, Any]]]:
    def wait(
        hook: str, wanted: Callable[[dict[str, Any]], bool] = lambda entry: True
    ) -> list[dict[str, Any]]:
        end = time.monotonic() + DEADLINE
        while True:
            lines = heard_file.read_text().splitlines() if heard_file.exists() else []
            entries = [json.loads(line) for line in lines]
            found = [entry for entry in entries if entry["hook"] == hook and wanted(entry)]
            if found or time.monotonic() > end:
                assert found, f"{hook} was not heard of:\n{host.output}"
                return found
            time.sleep(0.05)

    return wait


def told_of(client: Client, *wanted: str) -> str:
    """The host's problems, once they name all that is wanted: some are found only after a deadline."""
    end = time.monotonic() + DEADLINE
    while True:
        told = "\n".join(client.host().problems)
        if all(text in told for text in wanted) or time.monotonic() > end:
            assert [text for text in wanted if text not in told] == [], told
            return told
        time.sleep(0.1)


def state(client: Client, name: str) -> str:
    return client.show(name).view.state


def test_the_host_runs_what_is_left_and_names_every_package_that_failed(
    host: RunningHost, client: Client
) -> None:
    hooks = ("discover", "configure", "validate", "functions", "host_started", "event", "admin_routes")
    hanging = "hooks of fixture-hanging:acme"
    told_of(
        client,
        *(f"hooks of fixture-raising:acme: iocmng_{hook}: OSError: no luck" for hook in hooks),
        *(f"{hanging}: iocmng_{hook}: did not return within" for hook in hooks[:-1]),
        f"{hanging}: iocmng_admin_routes: ",
        "hooks of fixture-crashing:acme",
        "SIGABRT",
    )
    wanted = [f"hook iocmng_{hook} of fixture-{one}:acme" for one in ("raising", "hanging") for hook in hooks]
    end = time.monotonic() + DEADLINE
    while missing := [text for text in wanted if text not in host.output]:
        assert time.monotonic() < end, missing
        time.sleep(0.05)
    status = host.environment.run("python", "-m", "iocmng_cli", "status", env=host.env)
    assert "fixture-hanging:acme" in status.stdout


def test_discovered_configured_and_validated(client: Client, heard: Callable[..., Any]) -> None:
    assert heard("discover")[0]["prefix"] == "HOOKS"
    assert state(client, "borrowed") == "RUN"
    doubler = client.show("doubler")
    assert doubler.view.description == "as the site wants it"
    assert next(one.value for one in doubler.parameters if one.name == "interval") == 0.25
    unwanted = client.show("unwanted")
    assert unwanted.view.state == "INVALID"
    assert "not on this site" in unwanted.view.message


def test_functions_are_known_to_expressions(host: RunningHost, client: Client) -> None:
    assert host.read("pva", "HOOKS:DOUBLER:TWICE", wanted=63.0) == 63.0
    told_of(
        client,
        "hooks of fixture-site:acme: iocmng_functions: function 'mean' is a built-in one",
        "iocmng_functions: function name 'no name' is not an identifier",
        "iocmng_functions: function 'acme_three' is a int, which cannot be called",
    )


def test_the_start_is_told_in_the_packages_own_thread(heard: Callable[..., Any]) -> None:
    (told,) = heard("started")
    assert told["state"] == "RUN"
    assert {"borrowed", "doubler", "shot", "unwanted"} <= set(told["instances"])
    assert told["thread"] == "iocmng-hooks fixture-site:acme"


def test_events_arrive_in_order(client: Client, heard: Callable[..., Any]) -> None:
    client.tasks["borrowed"].pause()
    client.tasks["borrowed"].resume()
    heard("event", lambda entry: entry["instance"] == "borrowed" and entry["after"] == "PAUSED")
    numbers = [entry["id"] for entry in heard("event")]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_each_end_of_a_run_is_told_once(client: Client, heard: Callable[..., Any]) -> None:
    good = client.jobs["shot"].start()
    good.wait(DEADLINE)
    bad = client.jobs["shot"].start(MISS=True)
    bad.wait(DEADLINE)
    heard("run", lambda entry: entry["id"] == bad.id)
    told = {entry["id"]: entry for entry in heard("run")}
    assert len(told) == len(heard("run"))
    assert (told[good.id]["state"], told[good.id]["data"]) == ("SUCCESS", {"hits": 3})
    assert (told[bad.id]["state"], told[bad.id]["job"]) == ("FAILED", "shot")


def test_metrics_of_a_package_are_served_and_failing_ones_counted(host: RunningHost, client: Client) -> None:
    text = httpx.get(f"{host.url}/metrics", timeout=DEADLINE).text
    lines = text.splitlines()
    assert 'acme_current{package="fixture-site:acme"} 1.5' in lines
    assert "# TYPE acme_current gauge" in lines
    assert "# TYPE acme_shots_total counter" in lines
    assert 'acme_shots_total{package="fixture-site:acme"} 3.0' in lines
    assert "9lives" not in text
    assert "acme_text" not in text
    assert sum(line.startswith("iocmng_host_state") for line in lines) == 1
    failures = {
        line.split()[0]: float(line.split()[1]) for line in lines if line.startswith("iocmng_hook_failures")
    }
    assert failures['iocmng_hook_failures_total{package="fixture-raising:acme"}'] >= 6
    assert failures['iocmng_hook_failures_total{package="fixture-hanging:acme"}'] >= 6
    told_of(client, "metric name '9lives'", "metric 'iocmng_host_state'", "metric 'acme_text' is a str")
    # The second time nobody waits for the one that hangs.
    again = httpx.get(f"{host.url}/metrics", timeout=DEADLINE).text
    assert 'acme_current{package="fixture-site:acme"} 1.5' in again


def test_routes_are_served_behind_the_rules_and_hide_nothing(host: RunningHost, client: Client) -> None:
    operator = client.create_token("hooks-operator", Role.OPERATOR).token
    admin = client.create_token("hooks-admin", Role.ADMIN).token

    def ask(method: str, path: str, token: str = "", **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.request(
            method, f"{host.url}/api/v1{path}", headers=headers, timeout=DEADLINE, trust_env=False, **options
        )

    assert ask("GET", "/acme/lattice?scale=2").json() == {"length": 200.0}
    assert ask("GET", "/acme/lattice?scale=x").json()["code"] == "bad-input"
    assert ask("POST", "/acme/lattice", json={}).status_code == 401
    assert ask("POST", "/acme/lattice", operator, json={"quad": 1}).json() == {"loaded": ["quad"]}
    assert ask("DELETE", "/acme/inner/lattice").status_code == 401
    assert ask("DELETE", "/acme/inner/lattice", operator).json() == {"dropped": True}
    assert ask("PUT", "/acme/lattice", operator).status_code == 405
    assert ask("POST", "/acme-reading/query").json() == {"found": 0}
    assert ask("GET", "/acme-ruling/secrets", operator).status_code == 403
    assert ask("GET", "/acme-ruling/secrets", admin).json() == {"secrets": 1}
    faulty = ask("GET", "/acme/faulty")
    assert (faulty.status_code, faulty.json()["code"]) == (500, "fault")

    assert "stolen" not in ask("GET", "/host").text
    assert "stolen" not in ask("GET", "/plugins/doubler").text
    assert ask("GET", "/jobs/doubler").status_code == 404
    told_of(
        client,
        "iocmng_admin_routes: gave a str, not a fastapi.APIRouter",
        "iocmng_admin_routes: GET /api/v1/host is hidden by an earlier route",
        "iocmng_admin_routes: GET /api/v1/plugins/{name} is hidden by an earlier route",
    )

    document = httpx.get(f"{host.url}/openapi.json", timeout=DEADLINE).json()
    paths = document["paths"]
    assert paths["/api/v1/acme/lattice"]["post"]["x-role"] == "operator"
    assert paths["/api/v1/acme-ruling/secrets"]["get"]["x-role"] == "admin"
    assert "stolen" not in json.dumps(paths["/api/v1/host"])


def test_the_stop_waits_for_hooks_but_not_for_one_that_hangs(tmp_path: Path) -> None:
    hook = "from iocmng import hookimpl\nimport time\n@hookimpl\ndef iocmng_host_stopping(host):\n    "
    hanging = Package(
        "hanging", f"{hook}time.sleep(3600)", None, "acme", "fixture_hanging.plugin", group=GROUP
    )
    wanted = [one for one in PACKAGES if one.key in ("site", "doubler")]
    environment = Environment(plugin_environment(tmp_path, [*wanted, hanging]).parent.parent)
    heard_of = tmp_path / "heard.jsonl"
    world = {**own_world(tmp_path), "ACME_HEARD": str(heard_of)}
    argv = [str(environment.python), "-m", "iocmng_cli", "run", "--prefix", "HOOKS"]
    with running(environment, tmp_path, argv=argv, env=world, start=120.0) as host:
        host.read("pva", "HOOKS:DOUBLER:TWICE", wanted=63.0)
        assert host.stop() == 0
    entries = [json.loads(line) for line in heard_of.read_text().splitlines()]
    told = {entry["hook"]: entry for entry in entries if entry["hook"].startswith("stopping")}
    assert (told["stopping"]["state"], told["stopping"]["running"]) == ("STOPPING", "RUN")
    assert told["stopping is over"]["running"] == "RUN"
    assert "hook iocmng_host_stopping of fixture-hanging:acme: did not return" in host.output
    ended = [entry for entry in entries if entry["hook"] == "event" and entry["instance"] == "doubler"]
    assert "END" in [entry["after"] for entry in ended]
