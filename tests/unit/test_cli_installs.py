"""Installing from the command line: plans, questions, steps, refusals with their exit codes, Ctrl-C."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import typer
from children import ending
from support.installs import PLAN, End, MemoryInstalls
from support.serving import SECRETS, Served
from support.shell import DEADLINE, Shell, endpoint, eventually, served, shell
from support.specs import task_spec

from iocmng.errors import ExitCode
from iocmng.wire import (
    DistributionChange,
    GenerationView,
    InstallRequest,
    InstallVerb,
    InstanceChange,
    NotHot,
    OperationState,
    OperationView,
    PlanView,
    PvChange,
    Step,
)
from iocmng_cli.operations import exit_code, require_good

__all__ = ["endpoint", "served", "shell"]

UPGRADE = PlanView(
    distributions=(DistributionChange(name="acme-vacuum", before="1.0", after="1.1", origin="index"),),
    instances=(InstanceChange(name="pump", change="changed", plugin="pump", distribution="acme-vacuum"),),
    pvs=(PvChange(name="TEST:PUMP:PRESSURE", change="changed"),),
)
ANEW = PlanView(
    distributions=UPGRADE.distributions,
    pvs=(PvChange(name="TEST:PUMP:PRESSURE", change="changed", reconnect=True),),
    hot=False,
)
BY_RESTART = PlanView(
    distributions=(DistributionChange(name="numpy", before="1.0", after="2.0"),),
    hot=False,
    reasons=(NotHot("numpy", "compiled modules are loaded"),),
)


@pytest.fixture
def installs(served: Served) -> MemoryInstalls:
    return served.control.installs


@pytest.fixture
def admin(shell: Shell) -> Shell:
    shell.environ["IOCMNG_TOKEN"] = SECRETS["admin"]
    return shell


def asked(installs: MemoryInstalls) -> list[tuple[InstallRequest, bool]]:
    return installs.requests


def test_an_installation_shows_its_steps_and_what_came_of_it(installs: MemoryInstalls, admin: Shell) -> None:
    installs.end = End(message="acme-beam 2.0 is installed; added: beam")
    done = admin("install", "acme-beam>=2")
    assert (done.code, done.out) == (0, "acme-beam 2.0 is installed; added: beam\n")
    assert [line.split()[0] for line in done.err.splitlines()] == [step.value for step in Step]
    assert asked(installs) == [(InstallRequest(requirements=("acme-beam>=2",)), False)]


def test_json_is_the_operation(installs: MemoryInstalls, admin: Shell) -> None:
    done = admin("upgrade", "acme-beam", "--json", "--restart-host", "--accept-reconnect")
    assert (done.code, done.err) == (0, "")
    assert done.json["state"] == "DONE"
    assert done.json["plan"]["instances"][0]["name"] == "beam"
    request = InstallRequest(
        verb=InstallVerb.UPGRADE, requirements=("acme-beam",), restart_host=True, accept_reconnect=True
    )
    assert asked(installs) == [(request, False)]


def test_a_plan_changes_nothing(installs: MemoryInstalls, admin: Shell) -> None:
    installs.plan = UPGRADE
    installs.end = End(message="this was a plan: nothing has changed")
    done = admin("upgrade", "acme-vacuum", "--plan")
    assert done.code == 0
    assert done.out.splitlines() == [
        "~ acme-vacuum 1.0 → 1.1  (index)",
        "~ instance pump: changed",
        "PVs: 1 changed",
        "possible while the host runs",
        "this was a plan: nothing has changed",
    ]
    assert [planned for _, planned in asked(installs)] == [True]
    installs.plan = BY_RESTART
    done = admin("upgrade", "numpy", "--plan", "--yes")
    assert "needs a restart of the host:\n  numpy: compiled modules are loaded" in done.out


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        (
            End(
                state=OperationState.REFUSED,
                code="install-refused",
                message="softioc 4.5 is here, acme-beam needs <4",
                hint="ask for another version",
                failed_step=Step.PLAN,
            ),
            ExitCode.REFUSED,
            "error: plan: softioc 4.5 is here, acme-beam needs <4\nhint: ask for another version\n",
        ),
        (
            End(
                state=OperationState.FAILED,
                code="install-failed",
                message="the index is away",
                failed_step=Step.PLAN,
            ),
            ExitCode.FAILED,
            "error: plan: the index is away\n",
        ),
        (
            End(
                state=OperationState.REFUSED,
                code="not-found",
                message="no plugin 'beem'",
                failed_step=Step.PLAN,
            ),
            ExitCode.NOT_FOUND,
            "error: plan: no plugin 'beem'\n",
        ),
        (
            End(state=OperationState.REFUSED, code="bad-input", message="nonsense"),
            ExitCode.USAGE,
            "error: nonsense\n",
        ),
        (
            End(
                state=OperationState.REFUSED,
                code="spares-short",
                message="ai: 5 needed, 2 free",
                failed_step=Step.SWITCH,
            ),
            ExitCode.REFUSED,
            "error: switch: ai: 5 needed, 2 free\n",
        ),
        (
            End(
                state=OperationState.REFUSED,
                code="probe",
                message="pump: unknown key",
                failed_step=Step.PROBE,
            ),
            ExitCode.REFUSED,
            "error: probe: pump: unknown key\n",
        ),
        (
            End(
                state=OperationState.ROLLED_BACK,
                code="not-confirmed",
                message="ERROR: x",
                failed_step=Step.CONFIRM,
            ),
            ExitCode.FAILED,
            "error: confirm: ERROR: x\n",
        ),
        (End(state=OperationState.ABORTED, message="aborted"), ExitCode.FAILED, "error: aborted\n"),
    ],
)
def test_what_fails_names_step_reason_and_next_step(
    end: End, code: ExitCode, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    view = OperationView(
        id="op-1",
        verb=InstallVerb.UNINSTALL,
        state=end.state,
        code=end.code,
        message=end.message,
        hint=end.hint,
        failed_step=end.failed_step,
    )
    assert exit_code(view) == code
    with pytest.raises(typer.Exit) as left:
        require_good(view)
    assert (left.value.exit_code, capsys.readouterr().err) == (code, said)


def test_a_refusal_in_both_forms(installs: MemoryInstalls, admin: Shell) -> None:
    installs.end = End(
        state=OperationState.REFUSED, code="install-refused", message="no", hint="so", failed_step=Step.PLAN
    )
    done = admin("uninstall", "acme-beam", "--json")
    assert (done.code, done.err) == (ExitCode.REFUSED, "error: plan: no\nhint: so\n")
    assert done.json["failed_step"] == "plan"


def test_refusals_of_the_request_itself(
    installs: MemoryInstalls, admin: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert admin("install").code == ExitCode.USAGE
    assert admin("install", "acme-beam", "--from-lock").code == ExitCode.USAGE
    missing = admin("install", "./nowhere")
    assert (missing.code, f"there is no {tmp_path}/nowhere" in missing.err) == (ExitCode.USAGE, True)
    nonsense = admin("install", "acme beam !!")
    assert (nonsense.code, "is no requirement" in nonsense.err) == (ExitCode.USAGE, True)
    installs.held = True
    with ending(admin.popen("install", "acme-lib")):
        eventually(lambda: bool(installs.requests))
        second = admin("install", "acme-beam")
    assert second.code == ExitCode.REFUSED
    assert "operation op-1 (install) is under way" in second.err
    assert admin("install", "x", env={"IOCMNG_TOKEN": SECRETS["operator"]}).code == ExitCode.NOT_ALLOWED
    assert admin("install", "x", env={"IOCMNG_URL": "http://127.0.0.1:9"}).code == ExitCode.NO_HOST


def test_paths_of_this_machine_are_made_whole(
    installs: MemoryInstalls, admin: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beam").mkdir()
    (tmp_path / "acme-1.0-py3-none-any.whl").touch()
    admin("install", "./beam", "acme-1.0-py3-none-any.whl", "beam/../beam", "acme-lib")
    whole = (f"{tmp_path}/beam", f"{tmp_path}/acme-1.0-py3-none-any.whl", "acme-lib")
    assert asked(installs)[0][0].requirements == whole
    address = "git+https://git.example.org/a/b.git@main#subdirectory=x"
    admin("install", address)
    assert asked(installs)[1][0].requirements == (address,)


def test_a_folder_that_was_taken_for_a_name_is_pointed_at(
    installs: MemoryInstalls, admin: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beam").mkdir()
    installs.end = End(state=OperationState.REFUSED, code="not-found", message="nothing is named beam")
    done = admin("install", "beam")
    assert done.err.endswith("hint: ./beam means the folder of that name here\n")


def test_from_lock_and_rollback(installs: MemoryInstalls, admin: Shell) -> None:
    assert admin("install", "--from-lock").code == 0
    assert admin("rollback").code == 0
    assert admin("rollback", "2").code == 0
    assert [(one.verb.value, one.generation) for one, _ in asked(installs)] == [
        ("from-lock", None),
        ("rollback", None),
        ("rollback", 2),
    ]


def test_what_waits_for_a_restart_says_how(installs: MemoryInstalls, admin: Shell) -> None:
    installs.end = End(
        state=OperationState.RESTART_REQUIRED,
        message="staged; the host takes it over at its next start, because numpy: compiled",
        hint="iocmng restart-host, or iocmng rollback to drop it",
    )
    done = admin("upgrade", "numpy")
    assert done.code == 0
    assert done.out.startswith("staged; the host takes it over")
    assert done.err.endswith("hint: iocmng restart-host, or iocmng rollback to drop it\n")


def test_a_restart_of_the_host_is_waited_for(served: Served, installs: MemoryInstalls, admin: Shell) -> None:
    installs.end = End(state=OperationState.RESTARTING, message="the host restarts")
    installs.kept = (GenerationView(number=4, current=True),)
    done = admin("upgrade", "numpy", "--restart-host")
    assert (done.code, done.out) == (0, "the host is back, with generation 4\n")
    installs.kept = (
        GenerationView(number=4, problem="it did not come up twice: ImportError"),
        GenerationView(number=3, current=True),
    )
    done = admin("upgrade", "numpy", "--restart-host")
    assert done.code == ExitCode.FAILED
    assert "with generation 3 instead of 4: it did not come up twice: ImportError" in done.err


def test_a_terminal_sees_the_plan_and_is_asked_about_what_concerns_others(
    installs: MemoryInstalls, admin: Shell
) -> None:
    installs.plan = UPGRADE
    declined = admin.on_terminal("upgrade", "acme-vacuum", answer="n\n")
    assert declined.code == 1
    assert "acme-vacuum 1.0 → 1.1" in declined.out
    assert "These outputs are INVALID (COMM) until the new code writes them:" in declined.out
    assert "TEST:PUMP:PRESSURE" in declined.out
    assert "nothing was done" in declined.out
    assert [planned for _, planned in asked(installs)] == [True]
    agreed = admin.on_terminal("upgrade", "acme-vacuum", answer="y\n")
    assert agreed.code == 0
    assert [planned for _, planned in asked(installs)] == [True, True, False]


def test_a_terminal_is_asked_nothing_about_what_concerns_nobody(
    installs: MemoryInstalls, admin: Shell
) -> None:
    installs.plan = PLAN
    done = admin.on_terminal("install", "acme-beam")
    assert done.code == 0
    assert "+ acme-beam 2.0" in done.out
    assert "Go on?" not in done.out
    assert [planned for _, planned in asked(installs)] == [True, False]
    skipped = admin.on_terminal("uninstall", "pump", "--yes")
    assert (skipped.code, "Go on?" in skipped.out) == (0, False)
    assert [planned for _, planned in asked(installs)] == [True, False, False]


@pytest.mark.parametrize(
    ("plan", "said", "flag"),
    [
        (ANEW, "Clients of these PVs have to connect anew:", "accept_reconnect"),
        (BY_RESTART, "The host has to be restarted for this", "restart_host"),
        (
            PlanView(distributions=PLAN.distributions, hot=False, spares={"ai": (5, 2)}),
            "spare ai records",
            "restart_host",
        ),
    ],
)
def test_the_answer_yes_is_what_the_option_would_have_said(
    installs: MemoryInstalls, admin: Shell, plan: PlanView, said: str, flag: str
) -> None:
    installs.plan = plan
    done = admin.on_terminal("upgrade", "acme-vacuum", answer="y\n")
    assert (done.code, said in done.out) == (0, True)
    request, planned = asked(installs)[-1]
    assert not planned
    assert {name: getattr(request, name) for name in ("accept_reconnect", "restart_host")} == {
        "accept_reconnect": flag == "accept_reconnect",
        "restart_host": flag == "restart_host",
    }


def test_all_plugins_of_a_distribution_that_goes_are_named(installs: MemoryInstalls, admin: Shell) -> None:
    installs.plan = PlanView(
        distributions=(DistributionChange(name="acme-vacuum", before="1.0"),),
        instances=(
            InstanceChange(name="pump", change="removed"),
            InstanceChange(name="shot", change="removed"),
        ),
    )
    done = admin.on_terminal("uninstall", "pump", answer="n\n")
    assert "These instances go, with their PVs: pump, shot" in done.out
    assert [planned for _, planned in asked(installs)] == [True]


def test_ctrl_c_asks_the_host_to_end_it_and_says_how(installs: MemoryInstalls, admin: Shell) -> None:
    installs.held = True
    with ending(admin.popen("install", "acme-beam")) as process:
        eventually(lambda: bool(installs.requests))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert err.endswith("ABORTED: aborted; nothing has changed\n")
    assert installs.operations()[0].state is OperationState.ABORTED


def test_generations(installs: MemoryInstalls, admin: Shell) -> None:
    lines = admin("generations").out.splitlines()
    assert lines[0].split() == ["GENERATION", "CREATED", "ASKED", "FOR", "DISTRIBUTIONS"]
    assert lines[1].split()[:2] == ["3", "current"]
    assert "acme-beam 2.0, acme-lib 1.1" in lines[1]
    assert "its marker is missing" in lines[3]
    assert [one["number"] for one in admin("generations", "--json").json] == [3, 2, 1]
    installs.kept = ()
    assert admin("generations").out == "nothing has been installed through the host\n"


def test_what_changes_nothing_says_what_the_host_says(installs: MemoryInstalls, admin: Shell) -> None:
    said = "already the newest: acme-beam 2.0"
    installs.plan, installs.end = PlanView(), End(message=said)
    installs.kept = (
        GenerationView(
            number=4,
            current=True,
            requirements=("acme-beam", "acme-dir==0+1"),
            distributions={"acme-beam": "2.0", "acme-dir": "0+1"},
            origins={"acme-beam": "index", "acme-dir": "/"},
        ),
    )
    assert admin("upgrade", "acme-beam").out == f"{said}\n"
    assert admin("upgrade", "acme-beam", "--plan").out == f"{said}\n"
    assert "acme-beam, /  " in admin("generations").out


def test_list_and_show_say_where_it_came_from(installs: MemoryInstalls, admin: Shell) -> None:
    admin("install", "acme-beam")
    heads, *lines = (line.split() for line in admin("list").out.splitlines())
    assert {"VERSION", "GEN", "ORIGIN"} <= set(heads)
    assert {"2.0", "4", "index"} <= set(next(line for line in lines if line[0] == "beam"))
    assert next(one for one in admin("list", "--json").json if one["name"] == "beam")["generation"] == 4


def test_the_host_is_restarted(served: Served, installs: MemoryInstalls, admin: Shell) -> None:
    done = admin("restart-host")
    assert (done.code, done.out) == (0, "test is back: 4 instances, 2 running\n")
    assert admin("restart-host", "--no-wait").out == "the host restarts\n"
    assert installs.restarts == 2
    declined = admin.on_terminal("restart-host", answer="n\n")
    assert (declined.code, "are away for some seconds" in declined.out) == (1, True)
    assert installs.restarts == 2
    installs.restarted = lambda: None
    stuck = admin("restart-host", "--timeout", "0.3")
    assert (stuck.code, "not back after 0.3 s" in stuck.err) == (ExitCode.NO_HOST, True)


def test_control_characters_of_others_stay_out(installs: MemoryInstalls, admin: Shell) -> None:
    installs.end = End(message="fine \x1b[2J")
    assert "\x1b" not in admin("install", "acme-beam").out


def test_names_are_completed(served: Served, installs: MemoryInstalls, admin: Shell) -> None:
    admin("install", "acme-beam")
    served.call(lambda: served.control.add_task(task_spec("base-task")))

    def completed(words: str) -> list[str]:
        env = {
            "_IOCMNG_COMPLETE": "complete_bash",
            "COMP_WORDS": f"iocmng {words}",
            "COMP_CWORD": str(words.count(" ") + 1),
        }
        return admin(env=env).out.split()

    assert completed("uninstall ") == ["acme-beam", "beam"]
    assert completed("upgrade ac") == ["acme-beam"]
    assert completed("rollback ") == ["2"]


def test_a_bundle_is_named_by_its_path(installs: MemoryInstalls, admin: Shell, tmp_path: Path) -> None:
    file = tmp_path / "plugins.zip"
    missing = admin("bundle", "install", str(file))
    assert (missing.code, f"there is no {file}" in missing.err) == (ExitCode.USAGE, True)
    file.touch()
    assert admin("bundle", "install", str(file)).code == 0
    assert asked(installs) == [(InstallRequest(requirements=(str(file),)), False)]


def test_what_no_bundle_is_made_of(admin: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    misnamed = admin("bundle", "create", "plugins.tar")
    assert (misnamed.code, "does not end in .zip" in misnamed.err) == (ExitCode.USAGE, True)
    nothing = admin("bundle", "create", "plugins.zip", env={"IOCMNG_STATE_DIR": str(tmp_path / "state")})
    assert (nothing.code, "nothing has been installed" in nothing.err) == (ExitCode.NOT_FOUND, True)
    assert list(tmp_path.iterdir()) == []
