"""plugins.yaml: entries with an error cost the others nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from iocmng.errors import BadInput
from iocmng.settings import load_settings, read_plugins_file
from iocmng.wire import SourceRequest

ENTRY = """\
plugins:
  - name: pump
    local_path: repo
    path: plugins/pump
    auto_start: no
    autostart_order: 5
    parameters: {interval: 2, dry: yes}
  - {name: gate, local_path: repo}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "repo" / "plugins" / "pump").mkdir(parents=True)
    return tmp_path


def read(folder: Path, text: str, **environ: str):  # type: ignore[no-untyped-def]
    (folder / "plugins.yaml").write_text(text)
    return read_plugins_file(folder / "plugins.yaml", environ)


def test_entries(folder: Path) -> None:
    pump, gate = read(folder, ENTRY)
    assert pump.findings == gate.findings == ()
    assert pump.directory == folder / "repo" / "plugins" / "pump"
    assert pump.root == folder / "repo"
    assert pump.settings.parameters == {"interval": 2, "dry": True}
    assert pump.settings.enabled is False
    assert pump.settings.supervision.start_order == 5
    assert pump.settings.supervision.model_fields_set == {"start_order"}
    assert gate.directory == folder / "repo"
    assert gate.settings.enabled is True
    assert gate.settings.supervision.model_fields_set == set()


@pytest.mark.parametrize(
    ("entry", "code", "place"),
    [
        ("{name: a}", "missing-key", "2:5"),
        ("{local_path: repo}", "missing-key", "2:5"),
        ("{name: a b, local_path: repo}", "name", "2:12"),
        ("{name: a, git_url: 'https://x/y.git', path: ../z}", "path", "2:49"),
        ("{name: a, local_path: repo, path: ../..}", "path", "2:39"),
        ("{name: a, local_path: repo, path: /etc}", "path", "2:39"),
        ("{name: a, local_path: repo, path: link}", "path", "2:39"),
        ("{name: a, local_path: repo, brnch: x}", "unknown-key", "2:33"),
        ("{name: a, local_path: repo, autostart_order: soon}", "wrong-type", "2:50"),
        ("{name: a, local_path: '${NOWHERE}'}", "unset-variable", "2:27"),
        ("just-a-name", "wrong-type", "2:5"),
    ],
)
def test_a_broken_entry_is_listed_with_its_reason(folder: Path, entry: str, code: str, place: str) -> None:
    (folder / "repo" / "link").symlink_to("/tmp")
    broken, good = read(folder, f"plugins:\n  - {entry}\n  - {{name: b, local_path: repo}}\n")
    assert code in {finding.code for finding in broken.findings}
    assert str(broken.findings[0].where) == f"{folder / 'plugins.yaml'}:{place}"
    assert broken.directory is None
    assert good.findings == ()
    assert good.directory == folder / "repo"


def test_an_entry_from_git(folder: Path) -> None:
    text = "plugins: [{name: a, git_url: 'https://x.org/y.git', path: p, branch: b, pat: '${PAT}'}]"
    (entry,) = read(folder, text, PAT="secret-pat")
    assert entry.findings == ()
    assert entry.directory is None
    assert entry.source == SourceRequest(
        name="a", git_url="https://x.org/y.git", path="p", branch="b", token="secret-pat", listed=True
    )
    assert (str(entry), "secret-pat" in repr(entry)) == ("https://x.org/y.git", False)
    (number,) = read(folder, "plugins: [{name: a, git_url: 'https://x.org/y.git', pat: 12345}]")
    assert number.source.token == "12345"


def test_entries_as_the_previous_system_wrote_them(folder: Path) -> None:
    text = """\
plugins:
- {name: a, git_url: '', local_path: repo, path: '', branch: main, pat: null, auto_start: true,
   auto_start_on_boot: true, autostart_order: null, parameters: {}}
"""
    (entry,) = read(folder, text)
    assert entry.findings == ()
    assert (entry.directory, entry.source.branch) == (folder / "repo", "")


def test_a_folder_comes_before_a_repository(folder: Path) -> None:
    (entry,) = read(folder, "plugins: [{name: a, git_url: 'https://x.org/y.git', local_path: repo}]")
    assert [finding.code for finding in entry.findings] == ["does-not-apply"]
    assert entry.directory == folder / "repo"


def test_a_path_counts_from_the_file(folder: Path) -> None:
    (entry,) = read(folder, "plugins: [{name: a, local_path: ../elsewhere}]")
    assert entry.source.local_path == str(folder.parent / "elsewhere")


def test_variables_are_expanded(folder: Path) -> None:
    (entry,) = read(
        folder, "plugins: [{name: a, local_path: '${WHERE:-repo}', pat: '${PAT}'}]", PAT="secret-pat"
    )
    assert entry.directory == folder / "repo"
    assert "secret-pat" not in repr(entry)


@pytest.mark.parametrize("text", ["", "# nothing", "plugins: []"])
def test_an_empty_list(folder: Path, text: str) -> None:
    assert read(folder, text) == ()


@pytest.mark.parametrize("text", ["plugins: [", "- a", "plugins: 3", "plugin: []", "plugins: {a: 1}"])
def test_a_broken_file_is_refused_with_its_place(folder: Path, text: str) -> None:
    with pytest.raises(BadInput, match=r"plugins\.yaml:\d+:\d+"):
        read(folder, text)


def test_through_the_environment(folder: Path) -> None:
    (folder / "plugins.yaml").write_text(ENTRY)
    settings = load_settings({"prefix": "A"}, {"IOCMNG_PLUGINS_CONFIG": str(folder / "plugins.yaml")}, folder)
    assert [entry.name for entry in settings.plugins] == ["pump", "gate"]
    pump = settings.of_instance("pump")
    assert pump is not None
    assert pump.supervision.start_order == 5
    missing = load_settings({"prefix": "A"}, {"IOCMNG_PLUGINS_CONFIG": "none.yaml"}, folder)
    assert missing.plugins == ()
    assert [finding.code for finding in missing.findings] == ["missing-file"]
