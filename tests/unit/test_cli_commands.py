"""How commands are found, imported and refused."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from iocmng.errors import IocmngError, NoHost, NotFound, Refused
from iocmng.wire import InstanceView
from iocmng_cli.commands import lifecycle
from iocmng_cli.main import HOMES, app
from iocmng_cli.several import chosen, conclude, each

RUNNER = CliRunner()


def _install(site: Path, name: str, target: str, module: str = "") -> None:
    folder = site / f"{name}-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(f"[iocmng.cli]\n{name} = {target}\n")
    if module:
        (site / f"{target.partition(':')[0]}.py").write_text(module)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages that add commands."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


GOOD = """
import typer
app = typer.Typer()

@app.command()
def survey(times: int = 1) -> None:
    "Walk the ring."
    print("surveyed", times)
"""


@pytest.mark.parametrize("name", list(HOMES))
def test_every_command_explains_itself_in_a_sentence(name: str) -> None:
    result = RUNNER.invoke(app, [name, "--help"], env={"COLUMNS": "100"})
    assert result.exit_code == 0
    assert f"Usage: iocmng {name}" in result.output.replace("Usage: root", "Usage: iocmng")


def test_the_help_lists_all_commands_under_their_headings() -> None:
    result = RUNNER.invoke(app, ["--help"], env={"COLUMNS": "120"})
    assert result.exit_code == 0
    for word in (*HOMES, "Instances", "Without a host"):
        assert word in result.output


def test_an_unknown_command_is_a_usage_error_with_the_nearest_name() -> None:
    result = RUNNER.invoke(app, ["lits"])
    assert result.exit_code == 2
    assert "did you mean 'list'?" in result.output


def test_a_foreign_command_runs_with_its_own_options(site: Path) -> None:
    _install(site, "survey", "survey_commands:app", GOOD)
    result = RUNNER.invoke(app, ["survey", "--times", "3"])
    assert (result.exit_code, result.output) == (0, "surveyed 3\n")


@pytest.mark.parametrize(
    ("target", "module", "reason"),
    [
        ("broken_one:app", "raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("broken_two:app", "import sys\nsys.exit(3)", "SystemExit: 3"),
        ("broken_three:app", "app = 5", "not a typer.Typer"),
        ("never_there:app", "", "No module named 'never_there'"),
    ],
)
def test_a_broken_foreign_command_fails_alone(site: Path, target: str, module: str, reason: str) -> None:
    _install(site, "broken", target, module)
    listing = RUNNER.invoke(app, ["--help"], env={"COLUMNS": "120"})
    assert listing.exit_code == 0
    assert "From broken 1.0." in listing.output
    assert target.partition(":")[0] not in sys.modules
    result = RUNNER.invoke(app, ["broken"])
    assert result.exit_code == 1
    assert "broken 1.0" in result.output
    assert reason in result.output
    assert "hint: " in result.output


def test_a_foreign_command_does_not_replace_one_of_ours(site: Path) -> None:
    _install(site, "schema", "survey_commands:app", GOOD)
    assert "JSON Schema" in RUNNER.invoke(app, ["schema", "--help"]).output


def _view(name: str) -> InstanceView:
    return InstanceView(name=name, kind="task", plugin=name, state="RUN")


def test_several_are_all_tried_and_reported_in_order() -> None:
    tried: list[str] = []

    def act(name: str) -> InstanceView:
        tried.append(name)
        if name == "b":
            raise Refused("b: cannot resume while END", hint="allowed now: start")
        return _view(name)

    outcomes = each(["a", "b", "c"], act)
    assert sorted(tried) == ["a", "b", "c"]
    assert [outcome.error is None for outcome in outcomes] == [True, False, True]


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([], None),
        ([Refused("x")], 4),
        ([Refused("x"), NotFound("y")], 6),
        ([NotFound("y"), IocmngError("z"), Refused("x")], 1),
    ],
)
def test_the_worst_exit_code_counts(
    errors: list[IocmngError], code: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    import typer

    waiting = list(errors)

    def act(name: str) -> InstanceView:
        if waiting:
            raise waiting.pop()
        return _view(name)

    outcomes = [each([f"t{number}"], act)[0] for number in range(4)]
    if code is None:
        conclude(outcomes, json=False)
    else:
        with pytest.raises(typer.Exit) as raised:
            conclude(outcomes, json=False)
        assert raised.value.exit_code == code
    said = capsys.readouterr()
    assert said.out.count("RUN") == 4 - len(errors)
    assert said.err.count("error:") == len(errors)


def test_without_a_host_there_is_one_error_for_all() -> None:
    def act(name: str) -> InstanceView:
        raise NoHost(f"no host for {name}")

    with pytest.raises(NoHost):
        conclude(each(["a", "b"], act), json=False)


def test_names_or_all_and_not_both() -> None:
    assert chosen(["a", "b", "a"], False, list) == ["a", "b"]
    assert chosen(None, True, lambda: ["x"]) == ["x"]
    for names, everything in ((None, False), (["a"], True)):
        with pytest.raises(IocmngError, match="--all"):
            chosen(names, everything, list)


@pytest.mark.parametrize(
    "arguments", [["list", "--state", "RUNNIG"], ["run", "--port", "70000"], ["show"], ["set", "x"]]
)
def test_a_wrong_use_exits_2(arguments: list[str]) -> None:
    assert RUNNER.invoke(app, arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--url", "http://127.0.0.1:1", "list"],
        ["list", "--url", "http://127.0.0.1:1"],
        ["pv", "list", "--url", "127.0.0.1:1"],
    ],
)
def test_the_address_may_stand_before_or_after_the_command(arguments: list[str]) -> None:
    result = RUNNER.invoke(app, arguments)
    assert result.exit_code == 3
    assert "no host answers at http://127.0.0.1:1" in result.output
    assert "iocmng run" in result.output


def test_a_stop_that_takes_its_time_says_on_a_terminal_what_it_waits_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(lifecycle, "SILENT", 0.01)
    said = threading.Event()
    tell = lifecycle.stderr
    monkeypatch.setattr(lifecycle, "stderr", lambda text: (tell(text), said.set()))
    with lifecycle._waiting_shown("pump", shown=True):
        assert said.wait(10)
    assert capsys.readouterr().err.startswith("pump: waits for its code to leave")
