"""Names of ports that a class uses and its config does not declare."""

from __future__ import annotations

from pathlib import Path

from iocmng import TaskBase
from iocmng.plugins.classcheck import check_ports


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
