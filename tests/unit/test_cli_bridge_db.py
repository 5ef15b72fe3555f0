"""`iocmng bridge-db` prints what the example's IOC loads."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from iocmng_cli.main import app

EXAMPLE = Path(__file__).parents[2] / "examples" / "bridge" / "src" / "iocmng_stage_bridge"


def test_the_database_of_the_example_is_what_is_printed() -> None:
    printed = CliRunner().invoke(app, ["bridge-db"])
    assert printed.exit_code == 0
    assert printed.output == (EXAMPLE / "bridge.db").read_text()


def test_a_prefix_takes_the_place_of_the_macro() -> None:
    printed = CliRunner().invoke(app, ["bridge-db", "--prefix", "IOC:MOTOR:01:"]).output
    assert 'record(bo, "IOC:MOTOR:01:Trigger")' in printed
    assert "$(P)" not in printed
