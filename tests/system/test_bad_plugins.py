"""Every bad plugin of tests/fixtures/plugins, installed beside the good ones: each is INVALID by itself."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from environments import outside
from support.plugins import GOOD, Package, packages, plugin_environment

PROGRAM = Path(__file__).resolve().parents[1] / "support" / "catalog_program.py"
LIMIT = 4.0
BAD = {key: package for key, package in packages().items() if package.expect}


@dataclass(frozen=True)
class Environment:
    python: Path
    state: Path

    def catalog(self, *directories: Path) -> dict[str, Any]:
        done = subprocess.run(
            [str(one) for one in (self.python, PROGRAM, self.state, LIMIT, *directories)],
            capture_output=True,
            text=True,
            timeout=240,
            env=outside(),
        )
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        told["by"] = {one["name"]: one for one in told["candidates"]}
        return told


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    tmp = tmp_path_factory.mktemp("bad")
    hooks = Package(
        "site-hooks",
        code=("from iocmng import hookimpl\n@hookimpl\ndef iocmng_metrics():\n    return {'x': 1.0}\n"),
        group="iocmng.hooks",
        target="fixture_site_hooks.plugin",
    )
    crashing = Package(
        "crash-hooks",
        code="import ctypes; ctypes.string_at(0)\n",
        group="iocmng.hooks",
        target="fixture_crash_hooks.plugin",
    )
    return Environment(plugin_environment(tmp, [*packages(), hooks, crashing]), tmp / "state")


@pytest.fixture(scope="module")
def first(environment: Environment) -> dict[str, Any]:
    return environment.catalog()


@pytest.fixture(scope="module")
def second(environment: Environment, first: dict[str, Any]) -> dict[str, Any]:
    return environment.catalog()


def found(catalog: dict[str, Any], package: Package) -> list[dict[str, Any]]:
    """The candidates that a package gave."""
    name = package.plugin
    return [one for key, one in catalog["by"].items() if key in (name, f"{name}@{package.distribution}")]


@pytest.mark.parametrize("key", sorted(BAD))
def test_it_is_invalid_with_its_reason(first: dict[str, Any], key: str) -> None:
    package = BAD[key]
    for candidate in found(first, package):
        assert not candidate["valid"]
        errors = [one for one in candidate["findings"] if one["level"] == "error"]
        assert package.expect in {one["code"] for one in errors}, errors
        finding = next(one for one in errors if one["code"] == package.expect)
        place = finding["where"]
        assert package.where in f"{place['file']}:{place['line']}:{place['column']}"
        assert package.says in finding["message"]
    assert found(first, package)


@pytest.mark.parametrize("key", [*GOOD, "noisy", "ruled"])
def test_the_good_ones_do_not_notice(first: dict[str, Any], key: str) -> None:
    candidate = first["by"][key]
    assert candidate["valid"]
    assert not [one for one in candidate["findings"] if one["level"] == "error"]
    assert f"T:{key.upper()}:STATUS" in candidate["records"]


def test_kinds_and_classes_are_those_of_the_code(first: dict[str, Any]) -> None:
    told = {key: (first["by"][key]["kind"], first["by"][key]["class"]) for key in GOOD}
    assert told == {
        "counter": ("task", "Plugin"),
        "modelled": ("task", "Plugin"),
        "panel": ("task", ""),
        "pressed": ("task", "Plugin"),
        "summing": ("job", "Plugin"),
    }


def test_printing_at_import_is_noted_and_harms_nothing(first: dict[str, Any]) -> None:
    (note,) = first["by"]["noisy"]["findings"]
    assert (note["code"], note["level"]) == ("import-output", "note")
    assert "hello from noisy" in note["message"]


def test_no_pv_belongs_to_two(first: dict[str, Any]) -> None:
    names = Counter(name for one in first["candidates"] for name in one["records"])
    assert [name for name, count in names.items() if count > 1] == []


def test_an_invalid_plugin_still_shows_its_state(first: dict[str, Any]) -> None:
    shown = {name.rpartition(":")[2] for name in first["by"]["crash"]["records"]}
    assert shown == {"STATUS", "MESSAGE", "LAST_ERROR"}
    assert first["by"]["bad-characters"]["records"] == []


def test_hooks_are_probed_before_they_are_imported(first: dict[str, Any]) -> None:
    assert first["hooks"] == ["fixture-site-hooks:site-hooks"]
    (told,) = (one["message"] for one in first["findings"] if "crash-hooks" in one["message"])
    assert "SIGSEGV" in told


def test_good_verdicts_are_kept_and_bad_ones_looked_at_again(second: dict[str, Any]) -> None:
    assert not {*GOOD, "noisy"} & set(second["asked"])
    assert {"crash", "segfault"} <= set(second["asked"])
    assert second["by"]["summing"]["kind"] == "job"


def test_the_second_boot_says_the_same(first: dict[str, Any], second: dict[str, Any]) -> None:
    def plain(catalog: dict[str, Any]) -> dict[str, Any]:
        return {one["name"]: (one["valid"], one["records"]) for one in catalog["candidates"]}

    assert plain(first) == plain(second)


@pytest.mark.parametrize("words", [b"probe_child", b"left by a probed plugin"])
def test_no_process_is_left(first: dict[str, Any], environment: Environment, words: bytes) -> None:
    left = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if words in command and os.fsencode(environment.python.parent.parent) in command:
                left.append(folder.name)
    assert left == []


def test_directories_of_equal_module_names_are_judged_apart(environment: Environment, tmp_path: Path) -> None:
    for name, level in (("north", 1), ("south", 2)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "helper.py").write_text(f"LEVEL = {level}\n")
        (folder / "my_plugin.py").write_text(
            "from helper import LEVEL\nfrom iocmng import TaskBase\n"
            f"assert LEVEL == {level}\n"
            "class Plugin(TaskBase):\n    def execute(self): pass\n"
        )
        (folder / "config.yaml").write_text("extra: 1\n")
    (tmp_path / "west").mkdir()
    (tmp_path / "west/my_plugin.py").write_text(
        "from iocmng import TaskBase\nclass Plugin(TaskBase):\n    def execute(self): pass\nimport helper\n"
    )
    told = environment.catalog(*(tmp_path / name for name in ("north", "south", "west")))["by"]
    assert (told["north"]["valid"], told["south"]["valid"], told["west"]["valid"]) == (True, True, False)
    (finding,) = (one for one in told["west"]["findings"] if one["level"] == "error")
    assert finding["code"] == "import-missing"
    assert (finding["where"]["file"], finding["where"]["line"]) == (str(tmp_path / "west/my_plugin.py"), 4)
    assert [one["code"] for one in told["north"]["findings"]] == ["unknown-key"]
    assert told["north"]["findings"][0]["where"]["file"] == str(tmp_path / "north/config.yaml")
