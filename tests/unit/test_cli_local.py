"""Commands that need no host: new, schema, config, validate, and how `run` hands its options on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from iocmng_cli.main import app

RUNNER = CliRunner()


def _run(*arguments: str, **options: Any) -> Result:
    return RUNNER.invoke(app, list(arguments), **options)


@pytest.fixture(autouse=True)
def _somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("IOCMNG_CONFIG", "IOCMNG_PREFIX", "IOCMNG_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("kind", ["task", "job", "declarative"])
def test_new_makes_a_package_that_validates(kind: str, tmp_path: Path) -> None:
    made = _run(
        "new", "beam-monitor", "--kind", kind, "--prefix", "BEAM", "--description", "Watches it: [all]"
    )
    assert made.exit_code == 0, made.output
    assert "iocmng dev" in made.output
    assert (tmp_path / "beam-monitor" / "pyproject.toml").is_file()
    config = next((tmp_path / "beam-monitor").rglob("config.yaml")).read_text()
    assert "BEAM" in config
    assert not (tmp_path / "home").exists()


def test_new_refuses_what_exists_and_names_that_make_no_plugin(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    assert "exists already" in _run("new", "there").output
    for arguments in (["new", "sub/we ird"], ["new", "x", "--prefix", "HOST"], ["new", "json"]):
        refused = _run(*arguments)
        assert refused.exit_code == 2, refused.output
        assert not (tmp_path / arguments[1]).exists()


def test_new_takes_a_name_that_differs_from_the_directory(tmp_path: Path) -> None:
    assert _run("new", "deep/er/dir", "--name", "rf-interlock").exit_code == 0
    assert 'name = "rf-interlock"' in (tmp_path / "deep" / "er" / "dir" / "pyproject.toml").read_text()


def test_schema_is_that_of_config_or_site() -> None:
    plugin, site = json.loads(_run("schema").output), json.loads(_run("schema", "--site").output)
    assert "arguments" in plugin["properties"]
    assert "admin" in site["properties"]


def test_the_sample_passes_the_check(tmp_path: Path) -> None:
    sample = _run("config", "sample")
    assert sample.exit_code == 0
    (tmp_path / "iocmng.yaml").write_text(sample.output)
    checked = _run("config", "check")
    assert checked.exit_code == 0, checked.output
    assert f"{tmp_path / 'iocmng.yaml'}: good" in checked.output


def test_a_bad_site_file_is_named_with_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("prefix: LAB\nadmn: {port: 1}\nlog:\n  level: LOUD\n")
    checked = _run("config", "check", "site.yaml")
    assert checked.exit_code == 1
    assert "site.yaml:2:1: error: unknown key 'admn' (did you mean 'admin'?)" in checked.output
    assert "site.yaml:4:10: error" in checked.output
    (finding,) = json.loads(_run("config", "check", "site.yaml", "--json").output)
    assert finding["level"] == "error"
    assert _run("config", "check", "missing.yaml").exit_code == 1


def test_settings_are_shown_with_their_origin(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("prefix: LAB:TEST\n")
    shown = json.loads(_run("config", "show", "site.yaml", "--json", env={"IOCMNG_PORT": "9999"}).output)
    assert shown["prefix"] == {"value": "LAB:TEST", "origin": "site"}
    assert shown["admin.port"] == {"value": 9999, "origin": "environment IOCMNG_PORT"}
    assert "LAB:TEST" in _run("config", "show", "site.yaml").output


def test_run_hands_on_only_what_was_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Mapping[str, Any]] = []

    def boot(overrides: Mapping[str, Any]) -> int:
        seen.append(overrides)
        return 75

    monkeypatch.setattr("iocmng.host.boot.run", boot)
    assert _run("run").exit_code == 75
    given = [
        "--prefix",
        "LAB",
        "--port",
        "0",
        "--state-dir",
        "s",
        "--only",
        "a",
        "--only",
        "b",
        "--safe-mode",
    ]
    assert _run("run", *given, "--log-level", "debug", "--config", "site.yaml").exit_code == 75
    assert seen == [
        {},
        {
            "prefix": "LAB",
            "port": 0,
            "state_dir": Path("s"),
            "only": ("a", "b"),
            "safe_mode": True,
            "log_level": "DEBUG",
            "config": Path("site.yaml"),
        },
    ]


def test_dev_refuses_what_holds_no_plugin() -> None:
    refused = _run("dev", "nowhere")
    assert refused.exit_code == 2
    assert "is no directory" in refused.output


def test_the_reference_of_commands_is_what_docs_say() -> None:
    from iocmng_cli.reference import reference

    committed = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
    assert committed.read_text() == reference(), "python -m iocmng_cli.reference > docs/cli.md"
