"""The command line changes something: verbs, questions, parameters, PVs, jobs."""

from __future__ import annotations

import pytest
from children import ending
from support.serving import Served
from support.shell import DEADLINE, Shell, eventually

from iocmng.lifecycle import JobState


def test_a_refused_transition_exits_4_and_says_what_is_allowed(shell: Shell) -> None:
    assert shell("stop", "pump").code == 0
    done = shell("resume", "pump")
    assert done.code == 4
    assert "cannot resume while END" in done.err
    assert "start" in done.err


@pytest.mark.parametrize(
    ("verbs", "state"),
    [
        (["stop"], "END"),
        (["stop", "start"], "RUN"),
        (["pause"], "PAUSED"),
        (["pause", "resume"], "RUN"),
        (["restart"], "RUN"),
        (["reset"], "RUN"),
    ],
)
def test_the_verbs_reach_their_state(shell: Shell, served: Served, verbs: list[str], state: str) -> None:
    for verb in verbs:
        done = shell(verb, "pump", "--json")
        assert done.code == 0, done.err
    (outcome,) = done.json
    assert outcome["ok"]
    assert outcome["instance"]["state"] == state
    assert served.control.actors[-1][1].via == "cli"


def test_a_start_that_fails_exits_1_with_its_reason(shell: Shell, served: Served) -> None:
    served.control.failing.add("pump")
    shell("stop", "pump")
    done = shell("start", "pump")
    assert done.code == 1
    assert "no such file: x" in done.err


def test_without_waiting_the_present_state_is_shown(shell: Shell) -> None:
    done = shell("restart", "pump", "--no-wait")
    assert done.code == 0
    assert "INIT" in done.out


def test_of_several_all_are_tried_and_the_worst_code_counts(shell: Shell, served: Served) -> None:
    done = shell("stop", "tune", "pump", "nobody", "shot")
    assert done.code == 6
    assert {name: served.control.views[name].state for name in ("pump", "shot")} == {
        "pump": "END",
        "shot": "END",
    }
    assert done.err.count("error:") == 2
    assert [line.split()[0] for line in done.out.splitlines()] == ["NAME", "pump", "shot"]


def test_all_means_every_task_that_the_verb_fits(shell: Shell, served: Served) -> None:
    shell("stop", "shot")
    done = shell("pause", "--all", "--json")
    assert done.code == 0, done.err
    assert [outcome["name"] for outcome in done.json] == ["pump"]
    assert served.control.views["shot"].state == "END"


def test_disable_stops_and_is_shown(shell: Shell) -> None:
    assert shell("disable", "pump").code == 0
    line = next(line for line in shell("list").out.splitlines() if line.startswith("pump"))
    assert "disabled" in line
    assert "END" in line
    assert shell("enable", "pump", "--json").json[0]["instance"]["enabled"] is True


@pytest.mark.parametrize(("answer", "code", "state"), [("n\n", 1, "RUN"), ("y\n", 0, "END")])
def test_a_person_is_asked_before_outputs_go_invalid(
    shell: Shell, served: Served, answer: str, code: int, state: str
) -> None:
    done = shell.on_terminal("stop", "pump", answer=answer)
    assert "TEST:PUMP:PRESSURE" in done.out
    assert "INVALID" in done.out
    assert (done.code, served.control.views["pump"].state) == (code, state)


def test_nobody_is_asked_with_yes_or_when_nothing_goes_invalid(shell: Shell) -> None:
    assert "INVALID" not in shell.on_terminal("stop", "pump", "--yes").out
    done = shell.on_terminal("restart", "pump")
    assert done.code == 0
    assert "Go on?" not in done.out


def test_set_reads_values_by_the_schema(shell: Shell, served: Served) -> None:
    done = shell("set", "pump", "gain=2.5", "--json")
    assert done.code == 0, done.err
    assert served.control.specs["pump"].parameters["gain"].value == 2.5
    assert done.json[0]["origin"] == "set"
    wrong = shell("set", "pump", "gian=1")
    assert wrong.code == 2
    assert "gain" in wrong.err


def test_pv_get_put_and_list(shell: Shell) -> None:
    put = shell("pv", "put", "PUMP:LIMIT", "3.5")
    assert put.code == 0, put.err
    assert "1.5 mbar → 3.5 mbar" in put.out
    assert shell("pv", "get", "TEST:PUMP:LIMIT", "--json").json[0]["value"] == 3.5
    both = shell("pv", "get", "PUMP:LIMIT", "PUMP:NOTHING")
    assert both.code == 6
    assert "3.5 mbar" in both.out
    assert shell("pv", "put", "PUMP:PRESSURE", "1").code == 4
    assert shell("pv", "put", "PUMP:LIMIT", "much").code == 2
    assert len(shell("pv", "list", "TEST:SHOT:*", "--json").json) == 2


def test_a_job_runs_and_its_exit_code_mirrors_the_outcome(shell: Shell) -> None:
    for outcome, code in (("SUCCESS", 0), ("FAILED", 1), ("ABORTED", 1)):
        done = shell("job", "run", "tune", "--wait", "--arg", f"outcome={outcome}", "--json")
        assert (done.code, done.json["state"]) == (code, outcome)
    assert [run["state"] for run in shell("job", "history", "tune", "--json").json] == [
        "ABORTED",
        "FAILED",
        "SUCCESS",
    ]
    assert "aborted" in shell("job", "show", "tune").out


def test_waiting_ends_with_the_run(shell: Shell, served: Served) -> None:
    with ending(shell.popen("job", "run", "tune", "--wait", "--arg", "bands=[0, 1]")) as process:
        eventually(lambda: bool(served.control.run_views))
        (run_id,) = served.control.run_views
        assert served.control.run_views[run_id].arguments == {"bands": [0, 1]}
        served.call(lambda: served.control.end_run(run_id, JobState.SUCCESS))
        out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, err) == (0, "")
    assert "SUCCESS" in out


def test_a_run_is_aborted_by_its_job_or_its_id(shell: Shell) -> None:
    run_id = shell("job", "run", "tune", "--json").json["id"]
    assert shell("job", "run", "tune").code == 4
    assert shell("job", "abort", "tune", "--json").json["state"] == "ABORTED"
    again = shell("job", "abort", run_id)
    assert again.code == 0
    assert "over already" in again.out
    unknown = shell("job", "abort", "tnue")
    assert (unknown.code, "did you mean 'tune'?" in unknown.err) == (6, True)


def test_an_unknown_argument_of_a_job_exits_2(shell: Shell) -> None:
    assert shell("job", "run", "tune", "--arg", "bnads=1").code == 2
    assert shell("job", "run", "tune", "--arg", "bands").code == 2
