from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from iocmng.base import DeclarativeTask
from iocmng.errors import Refused
from iocmng.plugins.load import LoadFailed, changed_files, load_class, reload
from iocmng.spec import PluginRef

NAME = "load_fixture"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / NAME
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[name]


def plugin(target: str = f"{NAME}.plugin:Plugin", *, editable: bool = False) -> PluginRef:
    return PluginRef(name="tank", target=target, distribution="acme", editable=editable)


@pytest.mark.parametrize(
    ("code", "expected", "words", "line"),
    [
        ("x = 1\nraise ValueError('no bus')", "import-failed", "ValueError: no bus", 2),
        ("import sys\nsys.exit('bye')", "import-exit", "bye", 2),
        ("class Odd(BaseException): pass\nraise Odd", "import-failed", "Odd", 2),
        ("\nimport absent_of_tests", "import-missing", "absent_of_tests", 2),
        ("def f(:\n", "import-failed", "SyntaxError", 1),
        ("raise MemoryError", "import-memory", "memory", 1),
        ("class Plugins: pass", "class-missing", "Plugin", 0),
        ("Plugin = 7", "class-missing", "int", 0),
    ],
)
def test_whatever_a_module_does_is_an_error_with_its_place(
    package: Path, code: str, expected: str, words: str, line: int
) -> None:
    (package / "plugin.py").write_text(code)
    with pytest.raises(LoadFailed, match=words) as failure:
        load_class(plugin())
    finding = failure.value.finding
    assert finding.code == expected
    if line:
        assert (finding.where.file, finding.where.line) == (str(package / "plugin.py"), line)
        assert "plugin.py" in failure.value.trace


def test_the_nearest_class_is_suggested(package: Path) -> None:
    (package / "plugin.py").write_text("class Plugins: pass")
    with pytest.raises(LoadFailed) as failure:
        load_class(plugin())
    assert "Plugins" in failure.value.hint


def test_the_place_is_the_plugins_own_line(package: Path) -> None:
    (package / "plugin.py").write_text("import json\n\njson.loads('{')\n")
    with pytest.raises(LoadFailed) as failure:
        load_class(plugin())
    assert (Path(failure.value.where.file).name, failure.value.where.line) == ("plugin.py", 3)


def test_an_entry_point_without_a_class_imports_nothing(package: Path) -> None:
    (package / "plugin.py").write_text("1/0")
    assert load_class(plugin(f"{NAME}.plugin")) is DeclarativeTask


def test_a_nested_class_is_found(package: Path) -> None:
    (package / "plugin.py").write_text("class Outer:\n    class Plugin: pass")
    assert load_class(plugin(f"{NAME}.plugin:Outer.Plugin")).__name__ == "Plugin"


def test_reload_takes_over_changed_files_of_the_whole_project(package: Path) -> None:
    (package / "plugin.py").write_text(f"from {NAME}.deep import VALUE\nclass Plugin:\n    value = VALUE\n")
    (package / "deep.py").write_text("VALUE = 1")
    project = str(package.parent)
    before = load_class(plugin(editable=True))
    assert changed_files(project) == ()
    (package / "deep.py").write_text("VALUE = 2")
    assert changed_files(project) == (str(package / "deep.py"),)
    after = reload(plugin(editable=True), project)
    assert (before.value, after.cls.value) == (1, 2)  # type: ignore[attr-defined]
    assert after.changed == (str(package / "deep.py"),)
    assert changed_files(project) == ()


def test_a_failed_reload_leaves_the_old_modules(package: Path) -> None:
    (package / "plugin.py").write_text("class Plugin:\n    value = 1\n")
    before = load_class(plugin(editable=True))
    module = sys.modules[f"{NAME}.plugin"]
    (package / "plugin.py").write_text("raise OSError('half saved')")
    with pytest.raises(LoadFailed, match="half saved"):
        reload(plugin(editable=True), str(package.parent))
    assert sys.modules[f"{NAME}.plugin"] is module
    assert load_class(plugin(editable=True)) is before


def test_what_is_not_editable_says_how_a_new_version_comes() -> None:
    with pytest.raises(Refused, match="code unchanged") as refusal:
        reload(plugin(), "")
    assert "pip install -U acme, then restart the host" in refusal.value.hint
