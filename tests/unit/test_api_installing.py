"""Plugins that come and go over HTTP: the previous system's bodies, operations to wait for, refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.installs import End, MemoryInstalls, source_of
from support.serving import Served, serving

from iocmng.errors import Refused
from iocmng.wire import (
    Finding,
    InstallVerb,
    Level,
    OperationState,
    OperationView,
    PlanView,
    SourceRequest,
    Step,
    from_plain,
)

TOKEN = "ghp_0123456789abcdef"
GIT = {"name": "beam", "git_url": "https://git.example.org/acme/beam.git"}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("state")) as found:
        yield found


@pytest.fixture
def served(endpoint: Served) -> Served:
    endpoint.call(endpoint.control.__init__)  # type: ignore[misc]
    return endpoint


@pytest.fixture
def installs(served: Served) -> MemoryInstalls:
    return served.control.installs


@pytest.fixture
def admin(served: Served) -> Iterator[httpx.Client]:
    with served.http("admin") as http:
        yield http


@pytest.fixture
def operator(served: Served) -> Iterator[httpx.Client]:
    with served.http("operator") as http:
        yield http


def body(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def test_the_previous_systems_body_installs_from_git_and_waits(
    installs: MemoryInstalls, admin: httpx.Client
) -> None:
    sent = {
        **GIT,
        "path": "plugins/beam",
        "branch": "main",
        "pat": TOKEN,
        "auto_start": True,
        "auto_start_on_boot": False,
        "autostart_order": 3,
        "parameters": {"gain": 2.0},
    }
    answer = admin.post("/api/v1/plugins", json=sent)
    told = body(answer)
    assert (told["ok"], told["validation"]["ok"]) == (True, True)
    assert told["instance"]["name"] == "beam"
    assert (told["instance"]["generation"], told["instance"]["origin"]) == (4, "index")
    assert told["operation"]["state"] == "DONE"
    assert source_of(installs) == SourceRequest(
        name="beam",
        git_url=GIT["git_url"],
        path="plugins/beam",
        branch="main",
        token=TOKEN,
        auto_start_on_boot=False,
        autostart_order=3,
        parameters={"gain": 2.0},
    )
    assert TOKEN not in answer.text
    assert TOKEN not in admin.get("/api/v1/operations").text


@pytest.mark.parametrize("collection", ["plugins", "tasks", "jobs"])
def test_nulls_and_what_means_nothing_to_a_folder_are_taken(
    installs: MemoryInstalls, admin: httpx.Client, collection: str
) -> None:
    sent = {
        "name": "beam",
        "local_path": "/srv/beam",
        "git_url": None,
        "pat": "",
        "branch": "main",
        "path": None,
    }
    assert body(admin.post(f"/api/v1/{collection}", json=sent))["ok"] is True
    assert source_of(installs) == SourceRequest(name="beam", local_path="/srv/beam")
    assert installs.requests[0][0].kind == collection.removesuffix("s").removesuffix("plugin")


def test_one_more_of_a_task_is_no_job(installs: MemoryInstalls, admin: httpx.Client) -> None:
    more = {"plugin": "pump", "name": "pump-2"}
    told = body(admin.post("/api/v1/jobs", json=more), 409)
    assert (told["detail"], told["hint"]) == ("pump is a task, and a job is asked for", "POST /api/v1/tasks")
    assert installs.requests == []
    assert body(admin.post("/api/v1/tasks", json=more))["instance"]["name"] == "pump-2"


def test_a_requirement_and_one_more_instance(installs: MemoryInstalls, admin: httpx.Client) -> None:
    told = body(admin.post("/api/v1/plugins", json={"requirement": "acme-beam>=2"}))
    assert told["instance"]["name"] == "beam"
    assert installs.requests[0][0].requirements == ("acme-beam>=2",)
    more = {"plugin": "pump", "name": "pump-2", "parameters": {"gain": 3}, "prefix": "PUMP2"}
    told = body(admin.post("/api/v1/plugins", json=more))
    assert told["instance"]["name"] == "pump-2"
    assert installs.told_actors[-2][0] == "add pump-2 of pump {'gain': 3} PUMP2"
    assert installs.told_actors[-1][1].user == "admin"


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({**GIT, "local_path": "/srv/beam"}, "git_url and local_path are given together"),
        ({}, "nothing to install is given"),
        ({"name": "beam"}, "nothing to install is given"),
        ({**GIT, "requirement": "acme-beam"}, "git_url and requirement are given together"),
        ({"requirement": "acme-beam", "name": "beam"}, "name cannot be given with requirement"),
        ({"plugin": "pump", "name": "p2", "path": "x"}, "path cannot be given with plugin"),
        ({**GIT, "giturl": "x"}, "unknown key 'giturl'; did you mean 'git_url'?"),
        ({**GIT, "name": ".."}, "name '..' can name no plugin"),
        ({**GIT, "name": "%2e%2e"}, "name '%2e%2e' can name no plugin"),
        ({**GIT, "name": "a" * 129}, "can name no plugin"),
        ({"git_url": GIT["git_url"]}, "name '' can name no plugin"),
        ({**GIT, "path": "../../etc"}, "path '../../etc' goes up with '..'"),
        ({**GIT, "path": "a/..\\b"}, "holds a character"),
        ({**GIT, "path": "/etc"}, "path '/etc' is not inside of the source"),
        ({**GIT, "path": "~root"}, "is not inside of the source"),
        ({**GIT, "path": "C:\\x"}, "holds a character"),
        ({**GIT, "path": "%2e%2e/etc"}, "path '%2e%2e/etc' holds a character"),
        ({**GIT, "path": "%252e%252e"}, "holds a character"),
        ({**GIT, "path": "a\x00b"}, "holds a character"),
        ({**GIT, "branch": "--upload-pack=x"}, "'--upload-pack=x' cannot be the name of a branch"),
        ({**GIT, "branch": "a..b"}, "cannot be the name of a branch"),
        ({**GIT, "pat": "two\nlines"}, "pat has characters"),
        ({**GIT, "parameters": [1]}, "parameters: Input should be"),
        ({**GIT, "autostart_order": "first"}, "autostart_order: Input should be"),
        ({"name": "beam", "local_path": "srv/beam"}, "'srv/beam' is no absolute path"),
        ({"name": "beam", "local_path": "/srv/../etc"}, "goes up with '..'"),
        ({"name": "beam", "local_path": "/srv/%2e%2e/etc"}, "is URL-encoded"),
        ({"name": "beam", "git_url": "http://h/x.git"}, "http:// is not fetched from"),
        ({"name": "beam", "git_url": "file:///srv/x"}, "file:// is not fetched from"),
        ({"name": "beam", "git_url": "ext::sh -c x"}, "is not fetched from"),
        ({"name": "beam", "git_url": "--help"}, "an address without scheme is not fetched from"),
        ({"name": "beam", "git_url": "https://[x/y"}, "cannot be read as an address"),
        ({"name": "beam", "git_url": "https://h/a/../b.git"}, "names no repository"),
        ({"name": "beam", "git_url": "https://h/a.git?x=1"}, "more than host and path"),
        ({"requirement": "--index-url=x"}, "'--index-url=x' is an option, not a requirement"),
        ({"requirement": "/srv/../x"}, "goes up with '..'"),
        ({"requirement": "../x"}, "is no absolute path"),
        ({"requirement": "a\nb"}, "one line of text"),
    ],
)
def test_what_is_refused_before_anything_happens(
    installs: MemoryInstalls, admin: httpx.Client, sent: dict[str, Any], said: str
) -> None:
    told = body(admin.post("/api/v1/plugins", json=sent), 422)
    assert said in told["detail"]
    assert told["ok"] is False
    assert told["message"] == told["detail"]
    assert installs.requests == []


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/plugins", {"name": "b", "git_url": f"https://user:{TOKEN}@h/x.git"}),
        ("/plugins", {"name": "b", "git_url": f"https://{TOKEN}@h/x.git"}),
        ("/plugins", {"name": "b", "git_url": f"ssh://git:{TOKEN}@h/x.git"}),
        ("/plugins", {"requirement": f"git+https://{TOKEN}@h/x.git"}),
        ("/install", {"requirements": [f"beam @ https://u:{TOKEN}@h/x.whl"]}),
        ("/install/plan", {"requirements": [f"git+ssh://git:{TOKEN}@h/x.git"]}),
    ],
)
def test_a_token_in_an_address_is_refused_and_not_repeated(
    installs: MemoryInstalls, admin: httpx.Client, path: str, sent: dict[str, Any]
) -> None:
    answer = admin.post(f"/api/v1{path}", json=sent)
    told = body(answer, 422)
    assert told["hint"]
    assert TOKEN not in answer.text
    assert installs.requests == []


@pytest.mark.parametrize("address", ["ssh://git@h/a/b.git", "git@h.org:a/b.git", "https://h:8443/a%20b.git"])
def test_addresses_that_are_taken(installs: MemoryInstalls, admin: httpx.Client, address: str) -> None:
    assert body(admin.post("/api/v1/plugins", json={"name": "b", "git_url": address}))["ok"] is True
    assert source_of(installs).git_url == address


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [
        (
            End(state=OperationState.REFUSED, code="install-refused", failed_step=Step.PLAN),
            409,
            "install-refused",
        ),
        (
            End(state=OperationState.FAILED, code="install-failed", failed_step=Step.STAGE),
            409,
            "install-failed",
        ),
        (End(state=OperationState.REFUSED, code="not-found", failed_step=Step.PLAN), 404, "not-found"),
        (End(state=OperationState.ROLLED_BACK, failed_step=Step.CONFIRM), 409, "rolled-back"),
        (End(state=OperationState.ABORTED, failed_step=Step.STAGE), 409, "aborted"),
    ],
)
def test_a_failure_is_a_4xx_with_the_previous_systems_fields(
    installs: MemoryInstalls, admin: httpx.Client, end: End, status: int, code: str
) -> None:
    found = Finding(Level.ERROR, "unknown-key", "unknown key 'intervall'")
    installs.plan = PlanView(findings=(found,))
    installs.end = End(
        state=end.state,
        code=end.code,
        failed_step=end.failed_step,
        message="softioc 4.6 is here",
        hint="pin it",
    )
    answer = admin.post("/api/v1/plugins", json=GIT)
    told = body(answer, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (told["code"], told["hint"]) == (code, "pin it")
    assert told["detail"] == f"{end.failed_step}: softioc 4.6 is here"
    assert (told["ok"], told["message"]) == (False, told["detail"])
    assert told["validation"]["errors"] == [str(found)]
    assert told["operation"]["failed_step"] == end.failed_step


def test_without_waiting_the_answer_is_an_operation_to_wait_for(
    served: Served, installs: MemoryInstalls, admin: httpx.Client
) -> None:
    installs.held = True
    answer = admin.post("/api/v1/plugins?wait=0", json=GIT)
    told = body(answer, 202)
    assert told["operation"]["state"] == "RUNNING"
    place = answer.headers["location"]
    assert place == f"/api/v1/operations/{told['operation']['id']}"
    served.call(lambda: installs.reach("op-1", Step.STAGE))
    steps = {step["step"]: step["state"] for step in body(admin.get(place))["steps"]}
    assert steps == {
        "plan": "done",
        "diff": "done",
        "stage": "running",
        "probe": "waiting",
        "switch": "waiting",
        "confirm": "waiting",
    }
    with ThreadPoolExecutor(1) as pool, served.http("viewer") as viewer:
        waiting = pool.submit(viewer.get, f"{place}?wait=30")
        served.call(installs.finish)
        assert body(waiting.result(10))["state"] == "DONE"
    assert [one["id"] for one in body(admin.get("/api/v1/operations"))["operations"]] == ["op-1"]


def test_what_waits_for_a_restart_is_accepted_and_says_so(
    installs: MemoryInstalls, admin: httpx.Client
) -> None:
    installs.end = End(state=OperationState.RESTART_REQUIRED)
    told = body(admin.post("/api/v1/plugins", json=GIT), 202)
    assert told["ok"] is True
    assert told["message"] == "install of beam needs a restart of the host"
    assert told["instance"] is None


def test_a_server_that_closes_says_how_far_it_came(served: Served, tmp_path: Path) -> None:
    with serving(tmp_path) as other, other.http("admin") as http, ThreadPoolExecutor(1) as pool:
        other.control.installs.held = True
        waiting = pool.submit(http.post, "/api/v1/plugins", json=GIT)
        while not other.streams.waiting:
            other.call(lambda: None)
        other.call(other.streams.close)
        assert body(waiting.result(10), 202)["operation"]["state"] == "RUNNING"


@pytest.mark.parametrize(
    ("path", "sent", "verb", "requirements", "planned"),
    [
        ("/install", {"requirements": ["acme-beam", "acme-beam"]}, "install", ("acme-beam",), False),
        (
            "/install/plan",
            {"verb": "upgrade", "requirements": ["acme-beam"]},
            "upgrade",
            ("acme-beam",),
            True,
        ),
        ("/install", {"verb": "uninstall", "requirements": ["beam"]}, "uninstall", ("beam",), False),
        ("/install", {"verb": "from-lock"}, "from-lock", (), False),
        ("/install/plan", {"verb": "rollback", "generation": 2}, "rollback", (), True),
        ("/install/rollback", {"generation": 2}, "rollback", (), False),
        ("/install/rollback", None, "rollback", (), False),
    ],
)
def test_operations_begin_with_202_and_their_place(
    installs: MemoryInstalls,
    admin: httpx.Client,
    path: str,
    sent: dict[str, Any] | None,
    verb: str,
    requirements: tuple[str, ...],
    planned: bool,
) -> None:
    answer = admin.post(f"/api/v1{path}", json=sent)
    view = from_plain(OperationView, body(answer, 202))
    assert answer.headers["location"] == f"/api/v1/operations/{view.id}"
    request, plan_only = installs.requests[0]
    assert (request.verb.value, request.requirements, plan_only) == (verb, requirements, planned)
    assert request.generation == ((sent or {}).get("generation"))
    assert view.verb is InstallVerb(verb)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({}, "nothing to install is given"),
        ({"verb": "uninstall"}, "nothing to uninstall is given"),
        ({"verb": "uninstall", "requirements": ["../x"]}, "'../x' names no plugin and no distribution"),
        ({"verb": "uninstall", "requirements": ["%2e%2e"]}, "names no plugin and no distribution"),
        ({"verb": "from-lock", "requirements": ["x"]}, "requirements cannot be given with from-lock"),
        ({"requirements": ["x"], "generation": 2}, "generation cannot be given with install"),
        ({"verb": "upgrade", "source": GIT}, "source cannot be given with upgrade"),
        ({"requirements": ["x"], "source": GIT}, "requirements and source are both given"),
        ({"requirements": ["x"], "restart": True}, "did you mean 'restart_host'?"),
        ({"source": {**GIT, "nme": 1}}, "did you mean 'name'?"),
        ({"source": {"name": "b"}}, "no source is given"),
        ({"verb": "instal", "requirements": ["x"]}, "verb: Input should be"),
        ({"requirements": ["nonsense!"]}, "is no requirement"),
    ],
)
def test_requests_that_make_no_sense(admin: httpx.Client, sent: dict[str, Any], said: str) -> None:
    assert said in body(admin.post("/api/v1/install", json=sent), 422)["detail"]


def test_two_at_once_are_refused_with_the_first_one_named(
    installs: MemoryInstalls, admin: httpx.Client
) -> None:
    installs.held = True
    body(admin.post("/api/v1/install", json={"requirements": ["acme-beam"]}), 202)
    told = body(admin.post("/api/v1/plugins", json=GIT), 409)
    assert told["detail"] == "operation op-1 (install) is under way"
    assert told["ok"] is False


def test_switched_off(installs: MemoryInstalls, admin: httpx.Client) -> None:
    installs.refused = Refused("installing is switched off here", hint="`install: {enabled: true}`")
    assert "switched off" in body(admin.post("/api/v1/plugins", json=GIT), 409)["detail"]
    assert "switched off" in body(admin.delete("/api/v1/plugins/pump"), 409)["detail"]


def test_an_operation_is_aborted_once(installs: MemoryInstalls, admin: httpx.Client) -> None:
    installs.held = True
    body(admin.post("/api/v1/install", json={"requirements": ["acme-beam"]}), 202)
    for _ in range(2):
        assert body(admin.post("/api/v1/operations/op-1/abort"))["state"] == "ABORTED"
    assert [what for what, _ in installs.told_actors] == ["install op-1", "abort op-1"]
    assert body(admin.post("/api/v1/operations/op-7/abort"), 404)["hint"] == "did you mean 'op-1'?"


def test_a_plugin_is_deleted(served: Served, installs: MemoryInstalls, admin: httpx.Client) -> None:
    installs.end = End(message="pump and acme-vacuum 1.0 are gone")
    told = body(admin.delete("/api/v1/tasks/pump"))
    assert (told["ok"], told["message"]) == (True, "pump and acme-vacuum 1.0 are gone")
    assert told["instance"] is None
    assert "pump" not in served.control.views
    assert body(admin.delete("/api/v1/plugins/pump"), 404)["ok"] is False
    assert body(admin.delete("/api/v1/tasks/tune"), 404)["detail"] == "'tune' is a job, not a task"


def test_what_the_base_holds_is_disabled_and_the_answer_says_so(
    served: Served, installs: MemoryInstalls, admin: httpx.Client
) -> None:
    installs.based = {"pump"}
    told = body(admin.delete("/api/v1/plugins/pump"))
    assert told["message"] == "pump is disabled: pip installed it in the base"
    assert told["instance"]["name"] == "pump"


def test_a_restart_fetches_again_for_an_admin_only(
    served: Served, installs: MemoryInstalls, admin: httpx.Client, operator: httpx.Client
) -> None:
    installs.fetched = {"pump"}
    assert body(operator.post("/api/v1/plugins/pump/restart"))["instance"]["state"] == "INIT"
    assert body(operator.post("/api/v1/plugins/pump/restart?fetch=true"), 403)["code"] == "not-allowed"
    assert body(admin.post("/api/v1/plugins/pump/restart?fetch=false"))["ok"] is True
    assert installs.requests == []
    told = body(admin.post("/api/v1/plugins/pump/restart"))
    assert installs.requests[0][0].verb is InstallVerb.FETCH
    assert told["operation"]["verb"] == "fetch"
    assert told["instance"]["name"] == "pump"


def test_a_source_that_is_as_before_is_only_restarted(
    served: Served, installs: MemoryInstalls, admin: httpx.Client
) -> None:
    installs.fetched, installs.plan = {"pump"}, PlanView()
    told = body(admin.post("/api/v1/tasks/pump/restart?wait=5"))
    assert told["instance"]["state"] == "RUN"
    assert "operation" not in told
    assert [what for what, _ in served.control.actors] == ["restart pump"]


def test_a_source_that_cannot_be_fetched_leaves_the_instance_alone(
    served: Served, installs: MemoryInstalls, admin: httpx.Client
) -> None:
    installs.fetched = {"pump"}
    installs.end = End(
        state=OperationState.FAILED, code="install-failed", message="git: no route", failed_step=Step.PLAN
    )
    told = body(admin.post("/api/v1/plugins/pump/restart"), 409)
    assert told["detail"] == "plan: git: no route"
    assert served.control.actors == []


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        ("base", {}),
        ("/srv/acme-1.0-py3-none-any.whl", {}),
        ("/srv/beam#plugins/beam", {"local_path": "/srv/beam", "path": "plugins/beam"}),
        ("https://h/a/b.git", {"git_url": "https://h/a/b.git"}),
        (
            "ssh://git@h/a/b.git@feature/x#p",
            {"git_url": "ssh://git@h/a/b.git", "branch": "feature/x", "path": "p"},
        ),
    ],
)
def test_an_entry_says_where_its_directory_comes_from(
    served: Served, admin: httpx.Client, origin: str, told: dict[str, str]
) -> None:
    views = served.control.views
    views["pump"] = replace(views["pump"], origin=origin, generation=3)
    entry = body(admin.get("/api/v1/plugins/pump"))
    assert (entry["origin"], entry["generation"]) == (origin, 3)
    nothing = {"git_url": "", "local_path": None, "path": "", "branch": ""}
    assert {key: entry[key] for key in nothing} == nothing | told


def test_generations_are_listed(served: Served) -> None:
    with served.http("viewer") as viewer:
        told = body(viewer.get("/api/v1/install/generations"))
    assert told["count"] == 3
    assert told["generations"][0]["current"] is True
    assert told["generations"][0]["origins"] == {"acme-beam": "index"}
    assert told["generations"][2]["problem"] == "its marker is missing"


def test_the_host_is_restarted(served: Served, installs: MemoryInstalls, admin: httpx.Client) -> None:
    assert body(admin.post("/api/v1/host/restart"), 202)["ok"] is True
    assert installs.restarts == 1
    assert served.control.host().boot_id == "boot-2"


def test_progress_is_told_as_events(served: Served, installs: MemoryInstalls, admin: httpx.Client) -> None:
    body(admin.post("/api/v1/plugins", json=GIT))
    with admin.stream("GET", "/api/v1/events?kind=install", headers={"Last-Event-ID": "0"}) as stream:
        lines = (line.removeprefix("data: ") for line in stream.iter_lines() if line.startswith("data: "))
        first, second = json.loads(next(lines)), json.loads(next(lines))
    assert (first["text"], second["text"]) == ("install began", "install DONE")
    assert second["data"]["state"] == "DONE"
    assert second["actor"]["user"] == "admin"
