"""What a class does to ports by name, and what its mode asks of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from iocmng import DeclarativeTask, TaskBase
from iocmng.plugins.classcheck import check_class, check_mode, check_ports
from iocmng.spec import Mode


class Misspelt(TaskBase):
    def execute(self) -> None:
        for name in ("ANY", "OTHER"):
            self.set_pv(name, 1)
        self.set_pv("LEVEL", self.get_pv("SETPIONT"))
        self.get_pv("ENABLE")


def test_a_literal_name_that_nothing_declares_is_found_with_its_line() -> None:
    (finding,) = check_ports(Misspelt, {"LEVEL", "SETPOINT"}, {"ENABLE"})
    assert finding.code == "undeclared-port"
    assert finding.level == "warning"
    assert "get_pv('SETPIONT')" in finding.message
    assert finding.hint == "did you mean 'SETPOINT'?"
    line = Path(finding.where.file).read_text().splitlines()[finding.where.line - 1]
    assert line[finding.where.column - 1 :].startswith('self.get_pv("SETPIONT")')


def test_a_class_without_a_source_is_passed_over() -> None:
    assert not list(check_ports(type("Made", (TaskBase,), {}), set(), set()))


class Meddling(TaskBase):
    def execute(self) -> None:
        self.set_output("MEAN", self.get_input("LEVEL"))
        self.link_put("LEVEL", 1)
        self.link_put("GATE", 1)


def test_outputs_of_rules_and_puts_to_ports_without_a_link() -> None:
    found = list(check_ports(Meddling, {"MEAN", "LEVEL", "GATE"}, set(), owned={"MEAN"}, linked={"GATE"}))
    assert [one.code for one in found] == ["two-writers", "undeclared-port"]
    assert "link_put('LEVEL')" in found[1].message


class Listening(TaskBase):
    def on_input_changed(self, key: str, value: Any, old_value: Any) -> None: ...


class Executing(TaskBase):
    def execute(self) -> None: ...


class Async(TaskBase):
    async def on_input_changed(self, *arguments: Any) -> None: ...


@pytest.mark.parametrize(
    ("cls", "mode", "rules", "lacks"),
    [
        (Listening, Mode.REACTIVE, False, ""),
        (Async, Mode.REACTIVE, False, ""),
        (Executing, Mode.REACTIVE, True, ""),
        (Executing, Mode.REACTIVE, False, "on_input_changed"),
        (Listening, Mode.CONTINUOUS, True, "no execute()"),
        (Executing, Mode.CONTINUOUS, False, ""),
        (Listening, Mode.TRIGGERED, False, "neither triggered()"),
        (DeclarativeTask, Mode.REACTIVE, False, ""),
    ],
)
def test_what_a_mode_asks_for(cls: type, mode: Mode, rules: bool, lacks: str) -> None:
    found = list(check_mode(cls, mode, rules=rules))
    assert [one.code for one in found] == (["method-missing"] if lacks else [])
    assert all(lacks in one.message for one in found)


class Short(TaskBase):
    def on_input_changed(self, key: str) -> None:  # type: ignore[override]
        ...


class Unbound(TaskBase):
    def on_input_changed(*arguments: Any) -> None: ...


def test_a_listener_takes_key_value_and_old_value() -> None:
    (found,) = check_class(Short)
    assert (found.code, Path(found.where.file).name) == ("signature", "test_plugins_classcheck.py")
    assert not [*check_class(Listening), *check_class(Async), *check_class(Unbound)]
