"""The documents say what is so: code runs, configs load, commands parse, links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy
import pytest
import typer
from documents import Block, anchors, blocks, documents, links, sections
from environments import DEADLINE, ROOT, outside

from iocmng import JobBase, TaskBase
from iocmng.config import parse_config
from iocmng.errors import ExitCode
from iocmng.lifecycle import HostState, JobState, State
from iocmng.logic.check import check_logic
from iocmng.logic.engine import Program
from iocmng.plugins.hookspecs import HookSpecs
from iocmng.settings import load_settings
from iocmng.spec import Kind, PluginRef
from iocmng.spec.build import describe
from iocmng.testing import run_job, run_task
from iocmng_cli.main import app

WRITTEN = [str(path.relative_to(ROOT)) for path in documents() if "reference" not in path.parts]
EVERY = [block for name in WRITTEN for block in blocks(name)]
CONFIGS = [block for block in EVERY if block.language == "yaml"]
STEPS = [
    *(
        pytest.param({"chiller.py", "config.yaml", "test_chiller.py"}, found, id=heading)
        for heading, found in sections("docs/tutorial.md").items()
    ),
    *(
        pytest.param({"memory_guard/config.yaml", "test_plugin.py"}, found, id=heading)
        for heading, found in sections("docs/declarative.md").items()
        if any(block.file == "test_plugin.py" for block in found)
    ),
]
SHOWN = [
    pytest.param(found, id=f"{name}: {heading}")
    for name in WRITTEN
    for heading, found in sections(name).items()
    if any(
        block.language == "bash" and after.language == "text" and block.text.startswith("iocmng ")
        for block, after in pairwise(found)
    )
]
RECIPES = [
    pytest.param(found, id=heading)
    for heading, found in sections("docs/how-to.md").items()
    if any(block.language == "python" for block in found)
]


def write(found: list[Block], folder: Path, places: Mapping[str, str] | None = None) -> dict[str, Path]:
    """Write the blocks that are files, each to its name or its place; a later one takes the place of an earlier."""
    files = {}
    for block in found:
        if name := block.file or ("trace.csv" if block.language == "csv" else ""):
            files[name] = folder / (places or {}).get(name, name)
            files[name].parent.mkdir(exist_ok=True)
            files[name].write_text(block.text)
    return files


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_pages_are_up_to_date() -> None:
    assert load(ROOT / "docs" / "generate.py").outdated() == {}, "run: python docs/generate.py"


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for link in links(path):
        target, _, anchor = link.partition("#")
        if re.match(r"\w+:", target):
            continue
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    assert {block.language for block in EVERY} <= {
        "python",
        "yaml",
        "bash",
        "sh",
        "text",
        "csv",
        "mermaid",
        "",
    }


@pytest.mark.parametrize(("wanted", "step"), STEPS)
def test_each_step_passes_its_tests(
    wanted: set[str], step: list[Block], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {Path(name).name: name for name in wanted}
    files = write(step, tmp_path, names)
    assert set(files) == set(names)
    monkeypatch.syspath_prepend(tmp_path)
    (test_file,) = (file for name, file in files.items() if name.startswith("test_"))
    try:
        tests = [thing for name, thing in vars(load(test_file)).items() if name.startswith("test_")]
        assert tests
        for test in tests:
            test()
    finally:
        for module in ("chiller", "memory_guard"):
            sys.modules.pop(module, None)


@pytest.mark.parametrize("shown", SHOWN)
def test_shown_output_is_what_the_command_prints(shown: list[Block], tmp_path: Path) -> None:
    write(shown, tmp_path)
    compared = 0
    for block, after in pairwise([*shown, shown[-1]]):
        if block.language != "bash" or after.language != "text":
            continue
        (line,) = block.text.splitlines()
        done = subprocess.run(
            [sys.executable, "-m", "iocmng_cli", *shlex.split(line)[1:]],
            cwd=tmp_path,
            env={**outside(), "COLUMNS": "120"},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        assert done.stdout.replace(f"{tmp_path}/", "") == after.text, done.stderr
        compared += 1
    assert compared


@pytest.mark.parametrize("found", RECIPES)
def test_each_recipe_runs(found: list[Block], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(found, tmp_path)
    (code,) = (block for block in found if block.language == "python")
    module = load(tmp_path / code.file)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    config = str(tmp_path / "config.yaml")
    for thing in vars(module).values():
        if not isinstance(thing, type) or thing.__module__ != module.__name__:
            continue
        if issubclass(thing, TaskBase):
            with run_task(thing, config=config) as task:
                task.step(3.0)
                assert task.status == "RUN", task.message
        elif issubclass(thing, JobBase):
            assert run_job(thing, config=config).success
    hooks = pluggy.PluginManager("iocmng")
    hooks.add_hookspecs(HookSpecs)
    hooks.register(module)
    hooks.check_pending()


@pytest.mark.parametrize(
    "block", [block for block in CONFIGS if block.file != "mistakes.yaml"], ids=lambda block: block.place
)
def test_configs_and_site_files_load(block: Block, tmp_path: Path) -> None:
    if block.file == "iocmng.yaml":
        (tmp_path / "iocmng.yaml").write_text(block.text)
        load_settings({"state_dir": str(tmp_path / "state")}, {}, tmp_path)
    else:
        loaded = parse_config(block.text, "config.yaml")
        assert loaded.findings == ()
        assert loaded.config is not None
        assert check_logic(loaded) == ()
        plugin = PluginRef(name="shown", target="shown")
        kind = Kind.JOB if loaded.config.script else Kind.TASK
        spec, findings = describe(loaded.config, plugin, kind=kind, name="shown", host_prefix="DOCS")
        assert spec is not None, findings
        Program.compile(spec)


def command_lines() -> list[Any]:
    found = []
    for block in EVERY:
        if block.language not in ("bash", "sh") or block.document == "docs/cli.md":
            continue
        for line in block.text.splitlines():
            words = shlex.split(line, comments=True)
            start = next((at for at, word in enumerate(words) if Path(word).name == "iocmng"), None)
            if start is not None:
                found.append(
                    pytest.param(words[start + 1 :], id=f"{block.document}: {' '.join(words[start:])}")
                )
    return found


def parse(command: Any, words: list[str]) -> None:
    """Let the command line take the words apart as far as it would before it does something."""
    context = command.make_context("iocmng", list(words))
    while hasattr(command, "get_command"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("words", command_lines())
def test_commands_are_ones_that_exist(words: list[str]) -> None:
    with suppress(typer.Exit):
        parse(typer.main.get_group(app), words)


def test_the_runbook_knows_every_state_and_exit_code() -> None:
    text = (ROOT / "docs" / "operating.md").read_text()
    rows = {line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")}
    wanted = {state.name for states in (State, JobState, HostState) for state in states}
    assert wanted | {str(int(code)) for code in ExitCode} <= rows
