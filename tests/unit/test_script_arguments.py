"""What reaches a script's command line, what is refused before, and which file may be run at all."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.jobs import yard

from iocmng import JobBase, ScriptJob
from iocmng.config import parse_config
from iocmng.errors import BadInput
from iocmng.lifecycle import JobState
from iocmng.plugins.classcheck import check_script, check_script_file
from iocmng.runtime.script.command import command_line, find_script, path_problem
from iocmng.runtime.script.output import MAX_LINE, Lines
from iocmng.settings.childenv import child_environment
from iocmng.spec import Kind, PluginRef
from iocmng.spec.build import describe
from iocmng.spec.script import ArgumentSpec, ScriptSpec
from iocmng.wire import Level

BANDS = ArgumentSpec(name="bands", type="int_list", default=[0, 1])


@pytest.mark.parametrize(
    ("argument", "value", "words"),
    [
        (BANDS, [0, 3], ["--bands", "0", "3"]),
        (BANDS, (2.0,), ["--bands", "2"]),
        (BANDS, [], ["--bands"]),
        (ArgumentSpec(name="gain", type="float"), 2, ["--gain", "2.0"]),
        (ArgumentSpec(name="gain", type="float"), -1e-9, ["--gain", "-1e-09"]),
        (ArgumentSpec(name="dry-run", type="bool"), True, ["--dry-run"]),
        (ArgumentSpec(name="dry-run", type="bool"), False, []),
        (ArgumentSpec(name="who", positional=True), "two words; $(x)", ["two words; $(x)"]),
        (ArgumentSpec(name="all", type="str_list", positional=True), ["a", "-3"], ["a", "-3"]),
        (ArgumentSpec(name="flags", type="str_list"), ["-"], ["--flags", "-"]),
    ],
)
def test_a_value_becomes_words(argument: ArgumentSpec, value: Any, words: list[str]) -> None:
    assert argument.words(argument.convert(value)) == words


@pytest.mark.parametrize(
    ("argument", "value", "problem"),
    [
        (BANDS, 3, "bands: needs a list of int, got 3"),
        (BANDS, [0, "x"], r"bands\[1\]: needs a whole number, got 'x'"),
        (BANDS, [True], r"bands\[0\]: needs a whole number, got True"),
        (ArgumentSpec(name="n", type="int"), 1.5, "n: needs a whole number, got 1.5"),
        (ArgumentSpec(name="n", type="float"), float("nan"), "n: needs a finite number, got nan"),
        (ArgumentSpec(name="n", type="bool"), 1, "n: needs true or false, got 1"),
        (ArgumentSpec(name="n"), 1, "n: needs a text, got 1"),
        (ArgumentSpec(name="n"), "a\0b", "n: a command line holds no NUL"),
        (ArgumentSpec(name="n"), "--config=/etc/x", "n: '--config=/etc/x' would be read as an option"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(argument: ArgumentSpec, value: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        argument.convert(value)


def test_the_command_line_in_its_order() -> None:
    spec = ScriptSpec(
        path="x.py",
        extra_args=True,
        args=(ArgumentSpec(name="file", positional=True), BANDS, ArgumentSpec(name="quick", type="bool")),
    )
    arguments: Mapping[str, Any] = {
        "file": "out.txt",
        "quick": True,
        "bands": [1],
        "POWER": -3.5,
        "args": ["--raw", "-v"],
    }
    words = ["--bands", "1", "--quick", "out.txt", "--POWER", "-3.5", "--raw", "-v"]
    assert command_line(spec, arguments, Path("/p/x.py")) == [sys.executable, "-u", "/p/x.py", *words]
    shell = ScriptSpec(path="x.sh", interpreter="bash")
    assert command_line(shell, {}, Path("/p/x.sh")) == ["bash", "/p/x.sh"]
    own = ScriptSpec(path="x.sh", argv=("nice", "-n5", "sh", "{path}", "go"))
    assert command_line(own, {}, Path("/p/x.sh")) == ["nice", "-n5", "sh", "/p/x.sh", "go"]
    assert command_line(ScriptSpec(argv=("/bin/true",)), {}, None) == ["/bin/true"]


def test_only_scripts_under_an_allowed_folder_run(tmp_path: Path) -> None:
    allowed, other, plugin = tmp_path / "allowed", tmp_path / "other", tmp_path / "plugin"
    for folder in (allowed, other, plugin):
        folder.mkdir()
        (folder / "run.py").write_text("")
    (allowed / "escape.py").symlink_to(other / "run.py")
    (plugin / "escape.py").symlink_to(other / "run.py")
    (tmp_path / "alias").symlink_to(allowed)
    free = ScriptSpec(path_parameter=True)
    assert find_script(free, str(allowed / "run.py"), [allowed]) == allowed / "run.py"
    assert find_script(free, "run.py", [tmp_path / "alias"]) == allowed / "run.py"
    assert find_script(ScriptSpec(root=str(plugin), path="run.py"), None, ()) == plugin / "run.py"
    assert find_script(ScriptSpec(path=str(other / "run.py")), None, [other]) == other / "run.py"
    refused: list[tuple[ScriptSpec, str | None, str]] = [
        (free, str(other / "run.py"), "lies under none of the allowed folders"),
        (free, str(allowed / ".." / "other" / "run.py"), "is no plain path"),
        (free, str(allowed / "escape.py"), "lies outside of"),
        (free, str(allowed), "is no file"),
        (ScriptSpec(root=str(plugin), path="escape.py"), None, "lies outside of"),
        (ScriptSpec(path=str(other / "run.py")), None, "lies outside of"),
        (ScriptSpec(root=str(plugin), path="run.py"), "run.py", "this job's script is fixed"),
        (free, None, "has to name one"),
    ]
    for spec, requested, problem in refused:
        with pytest.raises(ValueError, match=problem):
            find_script(spec, requested, [allowed])
    assert "no folder is allowed" in path_problem(free, "run.py", [])


def test_all_wrong_arguments_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text("")
    (tmp_path / "config.yaml").write_text(
        "arguments: {inputs: {POWER: {type: float, low: 0, high: 10, value: 1}}}\n"
        "script: {path: run.py, args: [{name: bands, type: int_list}, {name: who, required: true}]}\n"
    )
    with yard() as jobs:
        jobs.add(ScriptJob, tmp_path / "config.yaml")
        with pytest.raises(BadInput) as refused:
            jobs.start(bands="x", POWER=11, bandz=[1])
        assert jobs.store.runs("tune") == ()
    text = str(refused.value)
    for part in ("bands: needs a list", "POWER: 11.0 is not within", "'bandz'", "'who' is missing"):
        assert part in text
    assert "did you mean 'bands'" in text


def test_inputs_reach_the_script_from_pvs(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text("import sys; print(sys.argv[1:])")
    (tmp_path / "config.yaml").write_text(
        "arguments: {inputs: {POWER: {type: float, value: 1.5}, bands: {type: array, dtype: int32, length: 4}}}\n"
        "script: {path: run.py, args: [{name: bands, type: int_list}]}\n"
    )
    with yard() as jobs:
        jobs.add(ScriptJob, tmp_path / "config.yaml")
        jobs.put("bands", [3, 4])
        done = jobs.put("RUN", 1)
        jobs.until(lambda: done.done)
        (view,) = jobs.store.runs("tune")
        assert view.state is JobState.SUCCESS, view.message
        assert "['--bands', '3', '4', '--POWER', '1.5']" in jobs.texts(view.id)


def test_a_script_named_by_the_request(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "hello.py").write_text("import sys; print('hello', *sys.argv[1:])")
    (root / "link.py").symlink_to("/etc/passwd")
    (tmp_path / "config.yaml").write_text("script: {path_parameter: true, extra_args: true}\n")
    with yard(roots=(root,)) as jobs:
        jobs.add(ScriptJob, tmp_path / "config.yaml")
        view = jobs.run(path="hello.py", args=["--x", "y"])
        assert view.state is JobState.SUCCESS
        assert "hello --x y" in jobs.texts(view.id)
        with pytest.raises(BadInput, match="lies under none of the allowed folders"):
            jobs.start(path="/etc/passwd")
        with pytest.raises(BadInput, match="plain path"):
            jobs.start(path="../config.yaml")
        view = jobs.run(path="link.py")
        assert (view.state, view.exit_code) == (JobState.FAILED, None)
        assert "lies outside of" in view.message


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("{}", "it names no script to run"),
        ("{path: ../x.py}", "has '..' in it"),
        ("{path: x.py, args: [{name: 1x}]}", "begins with a letter"),
        ("{path: x.py, args: [{name: a}, {name: a}]}", "two arguments are called 'a'"),
        ("{path: x.py, extra_args: true, args: [{name: args}]}", "requests use otherwise"),
        ("{path: x.py, args: [{name: a, type: int, default: x}]}", "default of a: needs a whole number"),
        ("{path: x.py, args: [{name: a, type: bool, positional: true}]}", "cannot be positional"),
        ("{path: x.py, env: {IOCMNG_TOKEN: x}}", "belongs to the host"),
        ("{path: x.py, env: {a b: x}}", "is no name of a variable"),
    ],
)
def test_a_script_described_wrongly_is_a_finding_with_its_place(script: str, problem: str) -> None:
    loaded = parse_config(f"script: {script}\n", "config.yaml")
    assert loaded.config is not None, loaded.findings
    plugin = PluginRef(name="tune", target="tune", config="config.yaml")
    spec, findings = describe(
        loaded.config, plugin, kind=Kind.JOB, name="tune", host_prefix="T", locate=loaded.locate
    )
    assert spec is None
    (error,) = [one for one in findings if one.level is Level.ERROR]
    assert problem in error.message
    assert error.where.line == 1


def test_a_task_has_no_script() -> None:
    loaded = parse_config("script: {path: x.py}\n", "config.yaml")
    assert loaded.config is not None
    plugin = PluginRef(name="tune", target="tune", config="config.yaml")
    spec, findings = describe(loaded.config, plugin, kind=Kind.TASK, name="tune", host_prefix="T")
    assert spec is None
    assert any("is for script jobs" in one.message for one in findings)


def test_secrets_stay_with_the_host() -> None:
    kept = {
        "PATH": "/bin",
        "COMPASS": "n",
        "PATTERN": "x",
        "HTTPS_PROXY": "http://proxy:3128",
        "KEYBOARD": "us",
    }
    secret = {
        "IOCMNG_TOKEN": "t", "DB_PASSWORD": "x", "MY_API_KEY": "x", "git_pat": "x", "AWS_SECRET_ACCESS_KEY": "x",
        "UV_INDEX_URL": "https://user:word@index", "NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "1",
    }  # fmt: skip
    assert child_environment({**kept, **secret}) == kept


def test_lines_come_whole_however_the_bytes_are_cut() -> None:
    content = "größe\r\nbar\rbaz 😀\n\n".encode() + b"\xe2\x82\nend"
    wanted = ["größe", "bar", "baz 😀", "", "�", "end"]
    for size in (1, 2, 3, 7, 100):
        lines = Lines()
        chunks = [content[at : at + size] for at in range(0, len(content), size)]
        found = [line for chunk in chunks for line in lines.feed(chunk)]
        assert [*found, *lines.feed(b"", last=True)] == wanted, size
    lines = Lines()
    assert list(lines.feed(b"one\ntw\xc3")) == ["one"]
    assert lines.skip(b"\xb6\nthree\nfo") == 2
    assert list(lines.feed(b"ur\n")) == ["four"]
    pieces = list(lines.feed(b"x" * (3 * MAX_LINE + 5)))
    pieces += lines.feed(b"\n", last=True)
    assert [len(piece) for piece in pieces] == [MAX_LINE, MAX_LINE, MAX_LINE, 5]


def test_a_script_is_run_by_the_interpreter_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text("import sys, os; print(sys.executable, os.environ['PYTHONUNBUFFERED'])")
    (tmp_path / "config.yaml").write_text("script: {path: run.py}\n")
    with yard() as jobs:
        jobs.add(ScriptJob, tmp_path / "config.yaml")
        view = jobs.run()
        assert f"{sys.executable} 1" in jobs.texts(view.id)


def test_a_class_and_a_script_have_to_agree(tmp_path: Path) -> None:
    class Plain(JobBase):
        def execute(self) -> None: ...

    (nothing_runs_it,) = check_script(Plain, script=True)
    (nothing_to_run,) = check_script(ScriptJob, script=False)
    assert "Plain is no ScriptJob" in nothing_runs_it.message
    assert "the config has no script:" in nothing_to_run.message
    assert not [*check_script(Plain, script=False), *check_script(ScriptJob, script=True)]
    config = tmp_path / "config.yaml"
    (missing,) = check_script_file("run.py", str(config))
    assert "there is no file run.py beside config.yaml" in missing.message
    (tmp_path / "run.py").write_text("")
    assert not [*check_script_file("run.py", str(config)), *check_script_file("/opt/x.py", str(config))]
    assert not list(check_script_file(None, str(config)))
