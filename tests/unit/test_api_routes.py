from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.serving import Served, serving
from support.specs import task_spec

from iocmng.lifecycle import JobState
from iocmng.spec import ParameterValue
from iocmng.wire import LogLine


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("state")) as endpoint:
        yield endpoint


@pytest.fixture
def fresh(served: Served) -> Served:
    """The same endpoint over a host as it was at the start."""
    served.control.__init__()  # type: ignore[misc]
    return served


@pytest.fixture
def operator(fresh: Served) -> Iterator[httpx.Client]:
    with fresh.http("operator") as http:
        yield http


@pytest.fixture
def admin(fresh: Served) -> Iterator[httpx.Client]:
    with fresh.http("admin") as http:
        yield http


def body(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_list_has_the_fields_of_both_vocabularies(operator: httpx.Client) -> None:
    listed = body(operator.get("/api/v1/plugins"))
    assert listed["count"] == 4
    entry = next(entry for entry in listed["plugins"] if entry["name"] == "pump")
    assert entry["state"] == "RUN"
    assert entry["status"] == "running"
    assert entry["plugin_type"] == entry["kind"] == "task"
    assert entry["pv_prefix"] == "TEST:PUMP"
    assert entry["plugin_prefix"] == "PUMP"
    assert entry["running"] is True
    assert entry["cycle_count"] == 7
    assert entry["parameters"] == {"gain": 2.0}
    assert entry["built_pvs"] == ["STATUS", "LIMIT", "PRESSURE"]
    assert entry["additional_input_pvs"] == ["LIMIT"]
    assert entry["additional_output_pvs"] == ["PRESSURE"]
    assert entry["arguments"]["inputs"]["LIMIT"] == {"type": "float", "value": 1.5, "unit": "mbar"}
    assert entry["autostart_order"] == 3
    assert entry["validation"]["ok"] is True


def test_a_broken_plugin_is_listed_with_its_reason(operator: httpx.Client) -> None:
    entry = body(operator.get("/api/v1/plugins/broken"))
    assert entry["status"] == "invalid"
    assert entry["running"] is False
    assert entry["validation"]["ok"] is False
    assert "did you mean 'interval'?" in entry["validation"]["errors"][0]
    assert entry["findings"][0]["where"]["line"] == 3


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/tasks", ["pump", "shot", "broken"]),
        ("/jobs", ["tune"]),
        ("/plugins?type=job", ["tune"]),
        ("/plugins?state=run", ["pump", "shot"]),
        ("/tasks?state=INVALID&brief=true", ["broken"]),
    ],
)
def test_lists_are_filtered(operator: httpx.Client, path: str, names: list[str]) -> None:
    listed = body(operator.get(f"/api/v1{path}"))
    assert [entry["name"] for entry in listed["plugins"]] == names
    assert listed["count"] == len(names)


class _Surprise:
    def __repr__(self) -> str:
        return "<surprise>"


def test_a_parameter_that_json_cannot_hold_costs_nothing(fresh: Served, operator: httpx.Client) -> None:
    odd = {
        "object": ParameterValue(value=_Surprise(), origin="set"),
        "nan": ParameterValue(value=math.nan, origin="set"),
        "half": ParameterValue(value="\ud83d", origin="set"),
    }
    fresh.control.specs["pump"] = replace(task_spec("pump"), parameters=odd)
    given = body(operator.get("/api/v1/plugins/pump"))["parameters"]
    assert given == {"object": "<surprise>", "nan": "NaN", "half": "\ud83d"}
    assert body(operator.get("/api/v1/plugins"))["count"] == 4


def test_an_entry_that_fails_does_not_cost_the_list(fresh: Served, operator: httpx.Client) -> None:
    fresh.control.specs["pump"] = "no description at all"  # type: ignore[assignment]
    listed = body(operator.get("/api/v1/plugins"))
    assert listed["count"] == 4
    pump = listed["plugins"][0]
    assert pump["name"] == "pump"
    assert pump["findings"][-1]["code"] == "listing"
    assert listed["plugins"][1]["parameters"] == {"gain": 2.0}


def test_verbs_answer_with_the_instance(fresh: Served, operator: httpx.Client) -> None:
    stopped = body(operator.post("/api/v1/plugins/pump/stop"))
    assert stopped["ok"] is True
    assert stopped["instance"]["state"] == "END"
    assert stopped["instance"]["status"] == "stopped"
    started = body(operator.post("/api/v1/tasks/pump/start"))
    assert started["instance"]["state"] == "INIT"
    waited = body(operator.post("/api/v1/tasks/pump/restart?wait=5"))
    assert waited["instance"]["state"] == "RUN"
    assert [what for what, _ in fresh.control.actors] == ["stop pump", "start pump", "restart pump"]


def test_a_refused_transition_says_what_is_allowed(operator: httpx.Client) -> None:
    body(operator.post("/api/v1/plugins/pump/stop"))
    problem = body(operator.post("/api/v1/plugins/pump/resume"), 409)
    assert problem["code"] == "refused"
    assert "END" in problem["detail"]
    assert problem["allowed"] == ["start", "stop", "restart", "reset"]
    assert problem["hint"] == "allowed now: start, stop, restart, reset"
    assert problem["ok"] is False
    assert problem["message"] == problem["detail"]
    assert problem["validation"]["class_name"] == "Task"


def test_a_start_that_fails_while_it_is_waited_for_is_no_success(
    fresh: Served, operator: httpx.Client
) -> None:
    fresh.control.failing.add("pump")
    problem = body(operator.post("/api/v1/plugins/pump/restart?wait=5"), 409)
    assert problem["code"] == "not-started"
    assert problem["detail"] == "pump: restart ended in BACKOFF: no such file: x"
    assert problem["current"]["state"] == "BACKOFF"


def test_enable_and_disable(operator: httpx.Client) -> None:
    off = body(operator.post("/api/v1/plugins/pump/disable"))["instance"]
    assert (off["enabled"], off["state"]) == (False, "END")
    on = body(operator.post("/api/v1/plugins/pump/enable"))["instance"]
    assert on["enabled"] is True


def test_parameters_are_set_all_or_none(fresh: Served, operator: httpx.Client) -> None:
    problem = body(
        operator.patch("/api/v1/plugins/pump/parameters", json={"parameters": {"gian": 1, "gain": 3}}), 422
    )
    assert problem["hint"] == "did you mean 'gain'?"
    assert fresh.control.specs["pump"].parameters["gain"].value == 2.0
    entry = body(operator.patch("/api/v1/plugins/pump/parameters", json={"parameters": {"gain": 3}}))
    assert entry["parameters"]["gain"] == 3
    assert entry["detail"]["parameters"][0]["origin"] == "set"


def test_startup_and_schema(operator: httpx.Client) -> None:
    startup = body(operator.get("/api/v1/tasks/pump/startup"))
    assert startup["auto_start"] is True
    assert startup["start_parameters"] == {"gain": 2.0}
    assert startup["base_control_pvs"] == ["STATUS"]
    assert body(operator.get("/api/v1/tasks/broken/startup"))["built_pvs"] == []
    assert body(operator.get("/api/v1/plugins/pump/schema"))["properties"]["gain"] == {"type": "number"}


def test_a_name_of_the_other_kind_is_not_found_there(operator: httpx.Client) -> None:
    problem = body(operator.get("/api/v1/tasks/tune"), 404)
    assert problem["detail"] == "'tune' is a job, not a task"
    assert problem["hint"] == "`iocmng job run tune` is for a job"
    assert body(operator.post("/api/v1/jobs/pump/runs"), 404)["hint"] == "`iocmng start pump` is for a task"
    assert body(operator.get("/api/v1/plugins/pumb"), 404)["hint"] == "did you mean 'pump'?"


def test_a_run_from_start_to_abort(fresh: Served, operator: httpx.Client) -> None:
    answer = operator.post("/api/v1/jobs/tune/runs", json={"arguments": {"bands": [0, 1]}})
    run = body(answer, 202)
    assert run["state"] == "RUNNING"
    assert answer.headers["location"] == f"/api/v1/runs/{run['id']}"
    assert body(operator.get(answer.headers["location"]))["arguments"] == {"bands": [0, 1]}
    assert body(operator.get(f"/api/v1/runs/{run['id']}?wait=0.05"))["state"] == "RUNNING"
    busy = body(operator.post("/api/v1/jobs/tune/runs"), 409)
    assert busy["hint"] == "wait for it or abort it"
    for _ in range(2):
        ended = body(operator.post(f"/api/v1/runs/{run['id']}/abort"))
        assert ended["state"] == "ABORTED"
        assert ended["data"] == {"peak": "Infinity"}
    assert body(operator.get(f"/api/v1/runs/{run['id']}/log"))["lines"][0]["text"] == "tuning"
    assert body(operator.get("/api/v1/jobs/tune/runs"))["count"] == 1
    assert [what for what, _ in fresh.control.actors] == ["run tune", "abort tune-1"]


def test_waiting_for_a_run_ends_with_the_run(fresh: Served, operator: httpx.Client) -> None:
    run = body(operator.post("/api/v1/jobs/tune/runs"), 202)
    timer = threading.Timer(
        0.1, lambda: fresh.call(lambda: fresh.control.end_run(run["id"], JobState.SUCCESS))
    )
    timer.start()
    assert body(operator.get(f"/api/v1/runs/{run['id']}?wait=30"))["state"] == "SUCCESS"
    timer.join(20)


@pytest.mark.parametrize("path", ["/jobs/tune/run", "/plugins/tune/run"])
@pytest.mark.parametrize(("outcome", "ok"), [("SUCCESS", True), ("FAILED", False)])
def test_a_job_runs_as_it_did_in_the_previous_system(
    operator: httpx.Client, path: str, outcome: str, ok: bool
) -> None:
    ran = body(operator.post(f"/api/v1{path}", json={"arguments": {"outcome": outcome}}))
    assert ran["ok"] is ok
    assert set(ran["result"]) == {"success", "data", "message", "timestamp"}
    assert ran["result"]["success"] is ok
    assert ran["run"]["state"] == outcome


def test_a_triggered_task_runs_once_and_a_continuous_one_refuses(
    fresh: Served, operator: httpx.Client
) -> None:
    assert body(operator.post("/api/v1/plugins/shot/run"))["instance"]["name"] == "shot"
    assert body(operator.post("/api/v1/tasks/shot/run"))["ok"] is True
    assert [what for what, _ in fresh.control.actors] == ["trigger shot"] * 2
    assert body(operator.post("/api/v1/plugins/pump/run"), 409)["hint"] == "it runs by itself"


def test_own_pvs_are_listed_read_and_written(fresh: Served, operator: httpx.Client) -> None:
    listed = body(operator.get("/api/v1/host/pvs", params={"pattern": "TEST:PUMP:*"}))
    assert [(pv["name"], pv["value"]) for pv in listed["pvs"]] == [
        ("TEST:PUMP:LIMIT", 1.5),
        ("TEST:PUMP:PRESSURE", "NaN"),
    ]
    assert body(operator.get("/api/v1/host/pvs/PUMP:LIMIT"))["unit"] == "mbar"
    assert body(operator.put("/api/v1/host/pvs/PUMP:LIMIT", json={"value": 4}))["value"] == 4.0
    assert (
        body(operator.put("/api/v1/host/pvs/PUMP:LIMIT", json={"value": "-Infinity"}))["value"] == "-Infinity"
    )
    assert (
        body(operator.put("/api/v1/host/pvs/PUMP:LIMIT", json={"value": "much"}), 422)["code"] == "bad-input"
    )
    refused = body(operator.put("/api/v1/host/pvs/PUMP:PRESSURE", json={"value": 4}), 409)
    assert "read-only" in refused["detail"]
    assert body(operator.get("/api/v1/host/pvs/PUMP:LIMT"), 404)["hint"].startswith("did you mean")


def test_log_lines_by_time_level_and_number(fresh: Served, operator: httpx.Client) -> None:
    fresh.control.lines["pump"] = [
        LogLine(float(number), "ERROR" if number % 2 else "INFO", "pump", f"line {number}")
        for number in range(6)
    ]
    assert body(operator.get("/api/v1/plugins/pump/log"))["count"] == 6
    lines = body(operator.get("/api/v1/plugins/pump/log?since=2&level=warn&limit=1"))["lines"]
    assert [line["text"] for line in lines] == ["line 5"]
    assert body(operator.get("/api/v1/plugins/HOST/log"))["lines"][0]["text"] == "up"
    assert body(operator.get("/api/v1/plugins/pump/log?level=LOUD"), 422)["detail"] == "level 'LOUD' is none"


def test_the_host_its_settings_and_rescan(admin: httpx.Client) -> None:
    assert body(admin.get("/api/v1/host"))["boot_id"] == "boot-1"
    assert body(admin.get("/api/v1/config"))["prefix"]["origin"] == "--prefix"
    assert body(admin.post("/api/v1/rescan")) == {"added": [], "removed": []}


def test_health_counts_and_does_not_hide_failures(fresh: Served) -> None:
    with fresh.http() as http:
        assert body(http.get("/api/v1/health")) == {
            "status": "degraded",
            "version": "3.0.0",
            "tasks_count": 3,
            "jobs_count": 1,
        }
        del fresh.control.views["broken"]
        assert body(http.get("/api/v1/health"))["status"] == "ok"


def test_probes(fresh: Served) -> None:
    with fresh.http() as http:
        assert http.get("/livez").status_code == 200
        assert http.get("/readyz").text == "ready\n"
        fresh.control.awaited = "pump starts"
        waiting = http.get("/readyz")
        assert (waiting.status_code, waiting.text) == (503, "pump starts\n")
        assert http.get("/livez").status_code == 200


def test_metrics_are_in_prometheus_form(fresh: Served, operator: httpx.Client) -> None:
    fresh.control.add_task(task_spec("odd"))
    fresh.control.views["odd"] = replace(fresh.control.views["odd"], name='o"d\\d\n', restarts=2)
    text = operator.get("/metrics").text
    lines = text.splitlines()
    assert 'iocmng_instance_state{instance="pump",kind="task",state="RUN"} 1' in lines
    assert 'iocmng_cycles_total{instance="pump"} 7' in lines
    assert 'iocmng_cycle_duration_seconds{instance="pump"} 0.25' in lines
    assert 'iocmng_metric{instance="pump",name="ratio"} NaN' in lines
    assert [line for line in lines if line.startswith("iocmng_evaluations_total")] == [
        'iocmng_evaluations_total{instance="pump"} 40'
    ]
    assert 'iocmng_unknown_total{instance="pump"} 4' in lines
    assert r'iocmng_restarts_total{instance="o\"d\\d\n"} 2' in lines
    typed = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert {line.partition("{")[0].split()[0] for line in lines if not line.startswith("#")} <= typed


def test_every_change_carries_who_did_it(fresh: Served) -> None:
    for agent, via in (("iocmng-cli/3.0.0", "cli"), ("curl/8", "http"), ("iocmng-client/3.0.0", "http")):
        with fresh.http("operator") as http:
            body(http.post("/api/v1/plugins/pump/pause", headers={"User-Agent": agent}))
        what, actor = fresh.control.actors[-1]
        assert (what, actor.user, actor.origin, actor.via) == ("pause pump", "operator", "127.0.0.1", via)


def test_tokens_are_made_used_and_revoked(fresh: Served, admin: httpx.Client, tmp_path: Path) -> None:
    made = body(admin.post("/api/v1/tokens", json={"name": "robot", "role": "operator"}), 201)
    with httpx.Client(
        base_url=fresh.url, headers={"Authorization": f"Bearer {made['token']}"}, trust_env=False
    ) as robot:
        body(robot.post("/api/v1/plugins/pump/pause"))
        assert fresh.control.actors[-1][1].user == "robot"
        assert body(robot.get("/api/v1/tokens"), 403)["code"] == "not-allowed"
        listed = body(admin.get("/api/v1/tokens"))
        assert {token["name"]: token["origin"] for token in listed["tokens"]} == {
            "local": "local",
            "viewer": "site",
            "operator": "site",
            "admin": "site",
            "robot": "created",
        }
        assert made["token"] not in json.dumps(listed)
        again = body(admin.post("/api/v1/tokens", json={"name": "robot", "role": "viewer"}), 409)
        assert "robot" in again["detail"]
        body(admin.delete("/api/v1/tokens/robot"))
        assert body(robot.get("/api/v1/host"), 401)["code"] == "not-authenticated"
    assert body(admin.delete("/api/v1/tokens/robot"), 404)["code"] == "not-found"
    assert "site file" in body(admin.delete("/api/v1/tokens/viewer"), 409)["hint"]
    audited = [event for event in fresh.control.events.since(0) if event.kind == "audit"]
    assert [(event.text, event.actor.user) for event in audited] == [
        ("created token 'robot' with role operator", "admin"),
        ("revoked token 'robot'", "admin"),
    ]


def test_an_answer_comes_after_the_change_is_kept(fresh: Served, operator: httpx.Client) -> None:
    for number, (method, path) in enumerate(
        [("POST", "pump/pause"), ("POST", "pump/disable"), ("PATCH", "pump/parameters")], 1
    ):
        body(operator.request(method, f"/api/v1/plugins/{path}", json={"parameters": {"gain": 3}}))
        assert fresh.control.kept == number
    fresh.control.full = True
    problem = body(operator.post("/api/v1/plugins/pump/enable"), 500)
    assert problem["code"] == "not-kept"
    assert "no space left" in problem["detail"]
