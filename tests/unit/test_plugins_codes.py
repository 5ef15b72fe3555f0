from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import iocmng
from iocmng.plugins.codes import CODES

HOME = Path(iocmng.__file__).parent
PLACES = ("config", "settings", "spec", "logic", "plugins")
MAKERS = {
    "Finding": 1,
    "error": 0,
    "warning": 0,
    "_error": 0,
    "_refused": 1,
    "Problem": 1,
    "note": 1,
    "_report": 0,
}


def used() -> Iterator[tuple[str, str]]:
    files = [file for place in PLACES for file in (HOME / place).rglob("*.py")]
    for file in [*files, *(HOME / "host").glob("probe*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                at = MAKERS.get(name)
                if at is not None and len(node.args) > at and isinstance(node.args[at], ast.Constant):
                    code = node.args[at].value
                    if isinstance(code, str) and " " not in code and "%" not in code:
                        yield code, f"{file.relative_to(HOME)}:{node.lineno}"


def test_every_code_that_is_used_is_explained() -> None:
    assert {code: place for code, place in used() if code not in CODES} == {}


def test_the_table_is_written_for_people() -> None:
    for code, (means, do) in CODES.items():
        assert code == code.lower()
        assert 8 < len(means) < 90
        assert 5 < len(do) < 90
