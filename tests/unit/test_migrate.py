"""`iocmng migrate`: what will differ, with its place, and packages that install and validate."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from iocmng.plugins.installing.sources import build, parse
from iocmng.plugins.moving import differences
from iocmng.plugins.repackage import repackage
from iocmng.wire import Level
from iocmng_cli.main import app

CODE = """\
import os, helper
import lib.deep; import late
from helper import (
    WHO as who,
)
from iocmng import TaskBase


class Pump(TaskBase):
    def triggered(self):
        import late as later
        self.set_pv("LEVEL", len(who) + lib.deep.X + late.Y + later.Y + len(helper.WHO) + len(os.sep))
"""
PUMP = {
    "pump/my_plugin.py": CODE,
    "pump/helper.py": "WHO = 'é'\n",
    "pump/late.py": "WORD = 'é'; from lib.deep import X as Y\n",
    "pump/lib/__init__.py": "",
    "pump/lib/deep.py": "from helper import WHO\nX = 1\n",
    "pump/data/table.txt": "1 2",
    "pump/config.yaml": """\
description: A "pump"
unknown_thing:
  a: 1
parameters: {version: 1.4.0, triggered: true}
pvs:
  outputs: {LEVEL: {type: float}}
""",
    "pump/requirements.txt": "numpy>=1\n-r more.txt\n",
}
RULES = {
    "rules/config.yaml": """\
parameters: {mode: reactive}
arguments:
  inputs:
    T: {type: float, link: "X:T", trigger: true, value: 3.0, buffer_size: 5}
    LIMIT: {type: float, low: 0, high: 10}
    VALVE: {type: bool, link: "X:V"}
  outputs:
    ALARM: {type: bool, latch: true}
    SYS_CONN: {type: string}
rule_defaults: {ALARM: 0}
rules:
  - id: hot
    condition: any_of(T_buf) and T > LIMIT
    on_invalid: hold
    outputs: {ALARM: 1}
    actuators: {VALVE: 1}
""",
}


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def migrate(*arguments: str | Path) -> tuple[int, Any]:
    done = CliRunner().invoke(app, ["migrate", "--json", *map(str, arguments)])
    assert done.exit_code in (0, 1), done.output
    return done.exit_code, json.loads(done.stdout)


def told(folder: Path) -> dict[str, Level]:
    return {f"{one.where.line}: {one.message}": one.level for one in differences(folder)}


def test_what_differs_in_a_config(tmp_path: Path) -> None:
    write(tmp_path, RULES)
    found = {text.partition(" ")[2]: text.partition(":")[0] for text in told(tmp_path / "rules")}
    assert found == {
        "a reactive task evaluates at its start too, and when a set-point is written": "1",
        "T: value of a linked input is not taken as a reading": "4",
        "LIMIT: what clients write is limited to 0 … 10": "5",
        "LIMIT is unknown until somebody writes it; it was 0": "5",
        "ALARM: CLEAR does not release a latch whose cause is still there, and a restart keeps it": "8",
        "nothing writes SYS_CONN any more": "9",
        "an output is written once per evaluation, with its final value; defaults are not written first": "10",
        "a rule whose inputs are disconnected, INVALID or not yet known is unknown, not false": "12",
        "any_of counts a list or array by its elements": "13",
        "rule hot writes VALVE when it becomes active, not in each cycle": "16",
    }


@pytest.mark.parametrize(
    ("config", "silent"),
    [
        ("parameters: {mode: triggered, interval: 2}", True),
        ("parameters: {interval: 2}", False),
        ("arguments: {inputs: {A: {low: 0, high: 1, clamp: false}}}", True),
        ("arguments: {inputs: {A: {low: 0}}}", True),
        ("arguments: {outputs: {A: {low: 0, high: 1}}}", True),
        ("arguments: {inputs: {A: {}}}", True),
        ("transforms: [", True),
    ],
)
def test_what_is_the_same_is_not_told(tmp_path: Path, config: str, silent: bool) -> None:
    write(tmp_path, {"config.yaml": config})
    assert (differences(tmp_path) == ()) is silent


def test_what_differs_in_code(tmp_path: Path) -> None:
    code = """\
import time
import softioc.builder
from cothread.catools import caget
from iocmng.core.controller import IocMngController
class P:
    def execute(self):
        time.sleep(1)
        time.sleep(2)
        self.pvs["SYS_CONN"].get()
"""
    write(tmp_path, {"p.py": code, "broken.py": "class (:\n"})
    found = told(tmp_path)
    assert {text.partition(":")[0] for text in found} == {"2", "3", "4", "7", "9"}
    assert found["7: time.sleep() does not end when the task is stopped"] is Level.NOTE
    assert found["9: SYS_CONN is gone"] is Level.WARNING


def test_a_directory_becomes_a_package_that_installs_and_runs(tmp_path: Path) -> None:
    code, answer = migrate(write(tmp_path, PUMP) / "pump", "--out", tmp_path / "out")
    (pump,) = answer["plugins"]
    assert (code, pump["ok"], pump["name"]) == (0, True, "pump")
    assert "VALIDATE:PUMP:LEVEL" in pump["pvs"]
    # It is triggered, as it was.
    assert "VALIDATE:PUMP:RUN" in pump["pvs"]
    assert {one["code"] for one in pump["findings"]} == {"deprecated", "requirement"}
    package = Path(pump["package"])
    assert package == tmp_path / "out" / "pump"
    assert "# unknown_thing:\n#   a: 1\n" in (package / "src/iocmng_pump/config.yaml").read_text()
    built = build(parse(str(package)), tmp_path / "wheels", lambda line: None, environ=os.environ)
    assert (built.name, built.version, built.origin.kind) == ("iocmng-pump", "1.4.0", "project")
    with zipfile.ZipFile(built.wheel) as archive:
        names = archive.namelist()
        metadata = archive.read("iocmng_pump-1.4.0.dist-info/METADATA").decode()
    assert {"iocmng_pump/data/table.txt", "iocmng_pump/config.yaml", "iocmng_pump/lib/deep.py"} <= set(names)
    assert "Requires-Dist: numpy>=1" in metadata
    assert 'Summary: A "pump"' in metadata


def test_imports_keep_their_meaning(tmp_path: Path) -> None:
    written = repackage("pump", write(tmp_path, PUMP) / "pump", tmp_path / "out")
    source = written.folder / "src" / "iocmng_pump"
    text = (source / "my_plugin.py").read_text()
    assert text.startswith(
        "import os\nfrom iocmng_pump import helper\n"
        "import iocmng_pump.lib.deep; from iocmng_pump import lib; from iocmng_pump import late\n"
        "from iocmng_pump.helper import (\n    WHO as who,\n)\n"
    )
    assert "        from iocmng_pump import late as later\n" in text
    assert (source / "late.py").read_text() == "WORD = 'é'; from iocmng_pump.lib.deep import X as Y\n"
    assert (source / "lib" / "deep.py").read_text() == "from iocmng_pump.helper import WHO\nX = 1\n"


def test_a_list_of_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAT", "hidden-token")
    write(tmp_path, {**PUMP, **RULES})
    listed = """\
plugins:
  - {name: pump, local_path: pump, autostart_order: 4, parameters: {version: 2.0.0}}
  - {name: interlock, local_path: ., path: rules, auto_start: false}
  - {name: away, local_path: nowhere, pat: clear-token}
  - {name: odd, git_url: 'https://127.0.0.1:1/x.git', pat: '${PAT}'}
  - {name: wrong, local_path: pump, brnch: x}
"""
    code, answer = migrate(
        write(tmp_path, {"plugins.yaml": listed}) / "plugins.yaml", "--out", tmp_path / "out"
    )
    plugins = {one["name"]: one for one in answer["plugins"]}
    assert code == 1
    assert {name: one["ok"] for name, one in plugins.items()} == {
        "pump": True,
        "interlock": True,
        "away": False,
        "odd": False,
        "wrong": False,
    }
    assert "VALIDATE:INTERLOCK:ALARM" in plugins["interlock"]["pvs"]
    codes = {name: {one["code"] for one in plugin["findings"]} for name, plugin in plugins.items()}
    assert codes["away"] == {"changed", "not-installed"}
    assert codes["odd"] == {"not-installed"}
    assert "unknown-key" in codes["wrong"]
    assert "token" not in json.dumps(plugins["odd"])
    assert "clear-token" not in json.dumps(answer)
    assert Path(answer["site_file"]).read_text() == (
        "instances:\n"
        '  - {"plugin": "pump", "parameters": {"version": "2.0.0"}, "supervision": {"start_order": 4}}\n'
        '  - {"plugin": "interlock", "enabled": false}\n'
    )
    assert len(answer["general"]) > 3


def test_a_package_is_left_alone(tmp_path: Path) -> None:
    project = repackage("pump", write(tmp_path, PUMP) / "pump", tmp_path / "out").folder
    code, answer = migrate(project, "--out", tmp_path / "more")
    (one,) = answer["plugins"]
    assert (code, one["package"]) == (0, None)
    assert "package already" in one["differences"][0]["message"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere",), "there is no"),
        (("empty",), "names no plugin"),
        (("a b",), "does not match"),
    ],
)
def test_nothing_to_migrate(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path, {"a b/config.yaml": "{}"})
    done = CliRunner().invoke(app, ["migrate", *(str(tmp_path / one) for one in arguments)])
    assert done.exit_code == 2
    assert says in done.output


def test_a_package_is_never_overwritten(tmp_path: Path) -> None:
    write(tmp_path, {**PUMP, "out/pump/mine.txt": "keep"})
    code, answer = migrate(tmp_path / "pump", "--out", tmp_path / "out")
    assert code == 1
    assert "exists already" in json.dumps(answer)
    assert [path.name for path in (tmp_path / "out/pump").iterdir()] == ["mine.txt"]
