"""The command line as users run it: what it lists and shows, how it refuses, on terminals and in pipes."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.serving import SECRETS, Served
from support.shell import DEADLINE, Shell

from iocmng.wire import LogLine


def test_list_shows_every_instance_and_the_reason_of_the_broken_one(shell: Shell) -> None:
    done = shell.apart("list")
    assert (done.code, done.err) == (0, "")
    head, *lines = done.out.splitlines()
    assert head.split()[:4] == ["NAME", "KIND", "MODE", "STATE"]
    assert [line.split()[0] for line in lines] == ["pump", "shot", "tune", "broken"]
    assert "config refused" in lines[3]


def test_list_as_json_has_the_agreed_fields(shell: Shell) -> None:
    views = shell("list", "--json").json
    agreed = {
        "name",
        "kind",
        "plugin",
        "distribution",
        "version",
        "state",
        "prefix",
        "mode",
        "message",
        "findings",
    }
    assert all(agreed <= view.keys() for view in views)
    by_name = {view["name"]: view for view in views}
    assert by_name["pump"]["state"] == "RUN"
    assert by_name["broken"]["findings"][0]["hint"] == "did you mean 'interval'?"


def test_list_can_be_narrowed(shell: Shell) -> None:
    assert [view["name"] for view in shell("list", "--kind", "job", "--json").json] == ["tune"]
    assert [view["name"] for view in shell("list", "--state", "invalid", "--json").json] == ["broken"]


def test_list_names_the_pvs_when_asked(shell: Shell) -> None:
    assert "TEST:PUMP:PRESSURE" in shell("list", "--pvs").out
    (pump, *_) = shell("list", "--pvs", "--json").json
    assert pump["pv_names"] == ["TEST:PUMP:LIMIT", "TEST:PUMP:PRESSURE"]


def test_listing_imports_neither_epics_nor_numpy_nor_pydantic_nor_plugins(shell: Shell) -> None:
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print({m.partition('.')[0] for m in sys.modules}, file=sys.stderr))\n"
        "sys.argv = ['iocmng', 'list', '--state', 'RUN', '--kind', 'task']\n"
        "from iocmng_cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=shell.environ, capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == 0, done.stderr
    assert "pump" in done.stdout
    loaded = set(re.findall(r"'([^']+)'", done.stderr))
    assert "iocmng" in loaded
    unwanted = {
        "softioc",
        "epicscorelibs",
        "cothread",
        "numpy",
        "pydantic",
        "p4p",
        "epics",
        "acme",
        "fastapi",
        "yaml",
    }
    assert not loaded & unwanted


def test_show_tells_everything(shell: Shell) -> None:
    shown = shell("show", "pump").out
    for needed in ("TEST:PUMP:PRESSURE", "acme-pump 1.2", "gain", "config.yaml", "pause", "RUN"):
        assert needed in shown
    assert "unknown key 'intervall'" in shell("show", "broken").out
    assert shell("show", "pump", "--json").json["view"]["name"] == "pump"


def test_an_unknown_instance_exits_6_with_the_nearest_name(shell: Shell) -> None:
    assert shell.apart("show", "pmup").code == 6
    for command in (["show", "pmup"], ["stop", "pmup"], ["logs", "pmup"], ["set", "pmup", "gain=1"]):
        done = shell(*command)
        assert done.code == 6, command
        assert "'pmup'" in done.err
        assert "pump" in done.err


def test_no_host_exits_3_and_says_how_to_start_one(shell: Shell) -> None:
    done = shell.apart("list", "--url", "http://127.0.0.1:1")
    assert (done.code, done.out) == (3, "")
    assert "http://127.0.0.1:1" in done.err
    assert "iocmng run" in done.err


def test_a_missing_token_exits_5_and_names_the_places(shell: Shell) -> None:
    done = shell("stop", "pump", env={"IOCMNG_TOKEN": ""})
    assert done.code == 5
    for place in ("IOCMNG_TOKEN", "tokens.yaml", "/run/iocmng/token"):
        assert place in done.err


def test_a_wrong_token_and_a_low_role_exit_5(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("wrong")
    assert shell("--token-file", str(file), "stop", "pump").code == 5
    file.write_text(SECRETS["viewer"])
    assert shell("stop", "pump", "--token-file", str(file)).code == 5
    assert shell("list", "--token-file", str(file)).code == 0


def test_colour_only_on_a_terminal(shell: Shell) -> None:
    assert "\x1b[" not in shell.apart("list").out
    assert "\x1b[" in shell.on_terminal("list").out


@pytest.mark.parametrize("columns", [45, 80])
def test_a_narrow_terminal_stays_readable(shell: Shell, columns: int) -> None:
    shown = re.sub(r"\x1b\[[0-9;]*m", "", shell.on_terminal("list", columns=columns).out)
    lines = shown.splitlines()
    assert all(len(line.rstrip()) <= columns for line in lines)
    assert [line.split()[0] for line in lines if line[:1].strip()] == [
        "NAME",
        "pump",
        "shot",
        "tune",
        "broken",
    ]


def test_a_locale_without_unicode_is_no_obstacle(shell: Shell, served: Served) -> None:
    served.call(
        lambda: served.control.lines["pump"].append(LogLine(time.time(), "INFO", "pump", "20 µA → off"))
    )
    env = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    for arguments in (["logs", "pump"], ["show", "pump"], ["list"]):
        done = shell.apart(*arguments, env=env)
        assert (done.code, done.err) == (0, "")
    assert "20 \\xb5A" in shell.apart("logs", "pump", env=env).out


def test_status_says_what_the_host_is(shell: Shell) -> None:
    shown = shell("status").out
    for needed in ("TEST", "RUN", "3.0.0", "4, 2 running"):
        assert needed in shown
    assert shell("status", "--json").json["prefix"] == "TEST"


def test_rescan_needs_an_admin(shell: Shell) -> None:
    assert shell("rescan").code == 5
    done = shell("rescan", env={"IOCMNG_TOKEN": SECRETS["admin"]})
    assert (done.code, done.out) == (0, "nothing changed\n")


def test_tokens_are_made_listed_used_and_revoked(shell: Shell, tmp_path: Path) -> None:
    admin = {"IOCMNG_TOKEN": SECRETS["admin"]}
    made = shell("token", "create", "desk", "--role", "operator", env=admin)
    assert made.code == 0, made.err
    file = tmp_path / "desk"
    file.write_text(made.out)
    assert shell("pause", "pump", "--token-file", str(file)).code == 0
    listed = shell("token", "list", "--json", env=admin)
    assert {"desk": "operator"}.items() <= {token["name"]: token["role"] for token in listed.json}.items()
    assert made.out.strip() not in listed.out
    assert shell("token", "revoke", "desk", env=admin).code == 0
    assert shell("resume", "pump", "--token-file", str(file)).code == 5


def test_the_shell_completes_commands_names_and_pvs(shell: Shell) -> None:
    def complete(words: str) -> set[str]:
        env = {
            "_IOCMNG_COMPLETE": "complete_bash",
            "COMP_WORDS": f"iocmng {words}",
            "COMP_CWORD": str(len(words.split(" "))),
        }
        return set(shell(env=env).out.split())

    assert complete("st") == {"start", "stop", "status"}
    assert complete("show p") == {"pump"}
    assert complete("job run ") == {"tune"}
    assert complete("pv get TEST:PUMP:") == {"TEST:PUMP:LIMIT", "TEST:PUMP:PRESSURE"}
    assert complete("set pump ") == {"gain="}
    assert complete("list --state RUN") >= {"RUN", "RUNNING"}
    assert complete("--url http://127.0.0.1:1 show p") == set()
    env = {"_IOCMNG_COMPLETE": "complete_bash", "COMP_WORDS": "iocmng st", "COMP_CWORD": "1"}
    assert set(shell.apart(env=env).out.split()) == {"start", "stop", "status"}


def test_validate_prints_places_and_exits_1_on_an_error(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "lamp"
    folder.mkdir()
    (folder / "lamp.py").write_text(
        "from iocmng import TaskBase\n\n\nclass Lamp(TaskBase):\n    def execute(self):\n        pass\n"
    )
    (folder / "config.yaml").write_text("arguments:\n  outputs:\n    ON: {type: bool, value: false}\n")
    good = shell.apart("validate", str(folder), "--json")
    assert good.code == 0, good.out
    (report,) = good.json
    assert report["ok"]
    assert "VALIDATE:LAMP:ON" in report["instances"][0]["pvs"]
    (folder / "config.yaml").write_text("arguments:\n  outputs:\n    ON: {type: bol}\n")
    bad = shell.apart("validate", str(folder))
    assert bad.code == 1
    assert f"{folder / 'config.yaml'}:3:16: error" in bad.out
    assert shell.apart("validate", "nothing-of-that-name").code == 6


def test_doctor_examines_the_running_host_too(shell: Shell) -> None:
    done = shell.apart("doctor", "--json")
    findings = done.json
    assert done.code == 1
    assert any(
        finding["code"] == "instance" and "broken is INVALID" in finding["message"] for finding in findings
    )
    assert {"python", "imports", "epics", "host", "state-dir"} <= {finding["code"] for finding in findings}


def test_doctor_without_a_host_says_how_to_start_one(shell: Shell) -> None:
    done = shell.apart(
        "doctor", "--url", "http://127.0.0.1:1", env={"IOCMNG_PREFIX": "LAB", "IOCMNG_PORT": "1"}
    )
    assert "iocmng run" in done.out
    assert "errors, " in done.out.splitlines()[-1]
