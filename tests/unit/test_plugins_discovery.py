from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from iocmng.plugins.discovery import discover
from iocmng.plugins.environment import Environment, canonical
from iocmng.plugins.location import locate
from iocmng.wire import Level


def distribution(
    root: Path,
    name: str,
    points: str = "",
    *,
    version: str = "1.0",
    requires: tuple[str, ...] = (),
    files: dict[str, str] | None = None,
    record: bool = True,
    **metadata: str,
) -> Path:
    """Write an installed distribution by hand: its dist-info and its files."""
    root.mkdir(parents=True, exist_ok=True)
    meta = root / f"{name.replace('-', '_')}-{version}.dist-info"
    meta.mkdir()
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {one}" for one in requires)]
    (meta / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n\nWords: not a header\n")
    (meta / "entry_points.txt").write_text(points)
    for file, text in (files or {}).items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    if record:
        (meta / "RECORD").write_text("".join(f"{file},sha256=x,1\n" for file in files or {}))
    for file, text in metadata.items():
        (meta / file.replace("__", ".")).write_text(text)
    return meta


def point(*lines: str) -> str:
    return "[console_scripts]\nx = y:z\n\n[iocmng.plugins]\n" + "\n".join(lines) + "\n"


def codes(found: object) -> list[str]:
    return [finding.code for finding in found.findings]  # type: ignore[attr-defined]


BEAM = {
    "beam/__init__.py": "raise SystemExit('imported')",
    "beam/monitor.py": "1/0",
    "beam/config.yaml": "{}",
}


def test_finds_module_and_config_without_executing_anything(tmp_path: Path) -> None:
    distribution(tmp_path, "acme-beam", point("beam-monitor = beam.monitor:BeamMonitor"), files=BEAM)
    (found,) = discover([str(tmp_path)])
    assert found.plugin.name == "beam-monitor"
    assert (found.plugin.distribution, found.plugin.version) == ("acme-beam", "1.0")
    assert found.plugin.config == str(tmp_path / "beam/config.yaml")
    assert found.file == str(tmp_path / "beam/monitor.py")
    assert not found.findings
    assert "beam" not in sys.modules


def test_a_broken_distribution_costs_the_others_nothing(tmp_path: Path) -> None:
    distribution(tmp_path, "acme-beam", point("beam-monitor = beam.monitor:BeamMonitor"), files=BEAM)
    distribution(tmp_path, "bad-lines", point("nonsense", "empty =", "odd = 3 + 4", "good = beam.monitor:X"))
    broken = distribution(tmp_path, "bytes", "")
    (broken / "entry_points.txt").write_bytes(b"\xff\xfe[iocmng.plugins]\nx = y\n")
    (distribution(tmp_path, "nameless", "") / "METADATA").write_text("Metadata-Version: 2.1\n\n")
    found = {one.plugin.name: one for one in discover([str(tmp_path)])}
    assert not found["beam-monitor"].findings
    assert "entry-point" in codes(found["nonsense"])
    assert "entry-point" in codes(found["empty"])
    assert "entry-point" in codes(found["odd"])
    assert not found["good"].findings
    assert "nonsense" in found["nonsense"].findings[0].message
    assert any("nameless" in name and "metadata" in codes(one) for name, one in found.items())


def test_order_is_by_distribution_then_name(tmp_path: Path) -> None:
    distribution(tmp_path, "zeta", point("a = beam.monitor:A"), files=BEAM)
    distribution(tmp_path, "Alpha", point("z = beam.monitor:Z", "m = beam.monitor:M"))
    assert [one.plugin.name for one in discover([str(tmp_path)])] == ["m", "z", "a"]


def test_two_of_one_name_are_errors_that_name_both_distributions(tmp_path: Path) -> None:
    distribution(tmp_path, "one", point("same = beam.monitor:A"), files=BEAM, version="1.2")
    distribution(tmp_path, "two", point("same = beam.monitor:B"), version="3.4")
    for found in discover([str(tmp_path)]):
        (finding,) = found.findings
        assert finding.code == "duplicate-plugin"
        assert finding.level is Level.ERROR
        assert "one 1.2" in finding.message
        assert "two 3.4" in finding.message


def test_the_first_folder_of_the_path_counts(tmp_path: Path) -> None:
    distribution(tmp_path / "late", "acme_beam", point("old = beam.monitor:A"), version="1.0", files=BEAM)
    distribution(tmp_path / "early", "Acme-Beam", point("new = beam.monitor:A"), version="2.0", files=BEAM)
    found = discover([str(tmp_path / "early"), str(tmp_path / "late")])
    assert [one.plugin.name for one in found] == ["new"]


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["config.json", "config.yml", "config.yaml"], "config.yaml"),
        (["config.json", "config.yml"], "config.yml"),
        (["config.json"], "config.json"),
        (["config.yaml", "beam-monitor.yaml"], "beam-monitor.yaml"),
        (["config.yaml", "beam-monitor.yaml", "monitor.config.yaml"], "monitor.config.yaml"),
    ],
)
def test_the_first_config_there_is_counts(tmp_path: Path, files: list[str], chosen: str) -> None:
    written = {"beam/monitor.py": "", **{f"beam/{name}": "{}" for name in files}}
    distribution(tmp_path, "acme", point("beam-monitor = beam.monitor:X"), files=written)
    (found,) = discover([str(tmp_path)])
    assert found.plugin.config == str(tmp_path / "beam" / chosen)


def test_a_declarative_plugin_is_a_package_or_a_bare_folder(tmp_path: Path) -> None:
    files = {"beam/lock/config.yaml": "{}", "beam/__init__.py": ""}
    distribution(tmp_path, "acme", point("lock = beam.lock"), files=files)
    (found,) = discover([str(tmp_path)])
    assert found.plugin.config == str(tmp_path / "beam/lock/config.yaml")
    assert found.file == ""


def test_missing_things_are_findings(tmp_path: Path) -> None:
    lines = ("a b = beam.monitor:X", "none = beam.absent:X", "bare = beam.monitor:X")
    distribution(tmp_path, "acme", point(*lines), files={"beam/monitor.py": ""})
    found = {one.plugin.name: codes(one) for one in discover([str(tmp_path)])}
    assert found == {
        "a b": ["name", "config-missing"],
        "none": ["module-missing"],
        "bare": ["config-missing"],
    }


def test_editable_installations_are_found_through_their_records(tmp_path: Path) -> None:
    source = tmp_path / "work/src"
    for file, text in {"tank/plugin.py": "1/0", "tank/config.yaml": "{}"}.items():
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        (source / file).write_text(text)
    site = tmp_path / "site"
    url = json.dumps({"url": f"file://{tmp_path}/work", "dir_info": {"editable": True}})
    distribution(
        site,
        "tank",
        point("tank = tank.plugin:Tank"),
        files={"_tank.pth": f"{source}\n"},
        direct_url__json=url,
    )
    (found,) = discover([str(site)])
    assert found.plugin.editable
    assert found.project == f"{tmp_path}/work"
    assert found.plugin.config == str(source / "tank/config.yaml")
    assert found.fingerprint is None


def test_a_fingerprint_changes_with_files_and_with_what_is_needed(tmp_path: Path) -> None:
    def fingerprint(root: Path, needed: str, text: str) -> str | None:
        distribution(root, "acme", requires=("middle>=1", "iocmng"), files={f"{text}.py": ""})
        distribution(root, "middle", requires=("Deep_Thing; python_version > '3'",))
        distribution(root, "deep-thing", version=needed)
        environment = Environment.read([str(root)])
        return environment.fingerprint(environment.installed["acme"])

    same = fingerprint(tmp_path / "1", "1.0", "a")
    assert same == fingerprint(tmp_path / "2", "1.0", "a")
    assert same != fingerprint(tmp_path / "3", "1.1", "a")
    assert same != fingerprint(tmp_path / "4", "1.0", "b")


def test_what_setuptools_puts_on_the_path_of_a_running_process_changes_nothing(tmp_path: Path) -> None:
    distribution(tmp_path / "site", "acme", requires=("numbers",), files={"acme.py": ""})
    distribution(tmp_path / "site" / "setuptools" / "_vendor", "numbers", version="2.0")
    at_boot = Environment.read([str(tmp_path / "site")])
    later = Environment.read([str(tmp_path / "site"), str(tmp_path / "site" / "setuptools" / "_vendor")])
    assert at_boot.fingerprint(at_boot.installed["acme"]) == later.fingerprint(later.installed["acme"])


def test_without_records_nothing_is_remembered(tmp_path: Path) -> None:
    distribution(tmp_path, "acme", record=False)
    environment = Environment.read([str(tmp_path)])
    assert environment.fingerprint(environment.installed["acme"]) is None


@pytest.mark.parametrize("name", ["Acme.Beam", "acme_beam", "ACME--beam", "acme-beam"])
def test_names_of_distributions_have_one_spelling(name: str) -> None:
    assert canonical(name) == "acme-beam"


def test_a_namespace_package_may_lie_in_several_folders(tmp_path: Path) -> None:
    (tmp_path / "a/space").mkdir(parents=True)
    (tmp_path / "b/space").mkdir(parents=True)
    (tmp_path / "b/space/inner.py").write_text("1/0")
    found = locate("space.inner", [str(tmp_path / "a"), str(tmp_path / "b")], importable=False)
    assert found is not None
    assert found.file == str(tmp_path / "b/space/inner.py")
    assert locate("space.other", [str(tmp_path / "a")], importable=False) is None
