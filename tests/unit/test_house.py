"""Rules of the house that no other tool checks: size, purpose, names, re-exports, what an import drags in."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import iocmng
import iocmng_cli

PACKAGES = [Path(package.__file__).parent for package in (iocmng, iocmng_cli)]
MODULES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
MAX_LINES = 400
FORBIDDEN = {"controller", "manager", "info", "data", "util", "utils", "helper", "helpers"}
HEAVY = {"pydantic", "numpy", "softioc", "epicscorelibs", "epics", "p4p", "cothread", "fastapi", "uvicorn"}


def _title(path: Path) -> str:
    package = next(package for package in PACKAGES if package in path.parents)
    return str(path.relative_to(package.parent))


@cache
def _parsed() -> list[tuple[str, Path, ast.Module]]:
    return [(_title(path), path, ast.parse(path.read_text())) for path in MODULES]


def _words(name: str) -> set[str]:
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return set(spaced.lower().split("_"))


def test_modules_were_found():
    titles = {_title(path) for path in MODULES}
    assert {"iocmng/values.py", "iocmng/logic/expressions.py", "iocmng_cli/__init__.py"} <= titles


def test_no_module_is_longer_than_the_wall():
    sizes = {_title(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {title: size for title, size in sizes.items() if size > MAX_LINES} == {}


def test_every_module_says_its_purpose_in_the_first_line():
    silent = [
        title
        for title, _, tree in _parsed()
        if not (ast.get_docstring(tree) or "").split("\n")[0].endswith(".")
    ]
    assert silent == []


def test_names_of_modules_and_classes_say_what_they_are():
    vague = []
    for title, path, tree in _parsed():
        classes = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        vague += [(title, name) for name in (path.stem, *classes) if _words(name) & FORBIDDEN]
    assert vague == []


def test_init_files_only_re_export():
    """At once or, with `__getattr__`, when a name is first used."""
    busy = []
    for title, path, tree in _parsed():
        if path.name != "__init__.py":
            continue
        for node in ast.walk(tree):
            lazy = isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__dir__")
            if (
                isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                and not lazy
            ):
                busy.append((title, node.lineno))
    assert busy == []


ENDLESS = {"wait", "join", "communicate", "result"}
PROGRAMS = {"run", "call", "check_call", "check_output"}
READING = {"read", "readline"}


def _endless(tree: ast.Module) -> Iterator[int]:
    """Lines on which a test may wait for ever: the whole gate would."""
    awaited = {node.value for node in ast.walk(tree) if isinstance(node, ast.Await)}
    for node in ast.walk(tree):
        if isinstance(node, ast.With):
            opened = (item.context_expr for item in node.items)
            if any(isinstance(one, ast.Call) and ast.unparse(one.func).endswith("Popen") for one in opened):
                yield node.lineno
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node in awaited:
            continue
        name, on = node.func.attr, node.func.value
        bounded = any(keyword.arg in ("timeout", None) for keyword in node.keywords)
        if (
            (name in ENDLESS and not node.args and not bounded)
            or (name in PROGRAMS and isinstance(on, ast.Name) and on.id == "subprocess" and not bounded)
            or (name in READING and isinstance(on, ast.Attribute) and on.attr == "stdout")
        ):
            yield node.lineno


def test_no_test_waits_without_a_deadline():
    """`children.Lines` reads with one, `children.ending` ends with one."""
    tests = Path(__file__).resolve().parents[1]
    files = (path for path in sorted(tests.rglob("*.py")) if "fixtures" not in path.parts)
    found = {
        str(path.relative_to(tests)): lines
        for path in files
        if (lines := sorted(_endless(ast.parse(path.read_text()))))
    }
    assert found == {}


@pytest.mark.parametrize(
    "module",
    [
        "iocmng",
        "iocmng.errors",
        "iocmng.names",
        "iocmng.lifecycle",
        "iocmng.values",
        "iocmng.wire",
        "iocmng.client",
        "iocmng.logic",
        "iocmng.links.selfcheck",
        "iocmng.links.pv_client",
        "iocmng_cli.main",
    ],
)
def test_an_import_drags_in_no_heavy_library(module):
    code = f"import sys, {module}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_public_names_resolve_lazily():
    code = (
        "import sys, iocmng; assert 'iocmng.base' not in sys.modules; "
        "from iocmng import TaskBase, JobBase, JobResult, pv_client, run_ioc; "
        "import iocmng.base.task, iocmng.base.job; "
        "import iocmng.core.functions, iocmng.core.safe_eval, iocmng.core.pv_client; "
        "assert iocmng.base.job.JobResult is JobResult and iocmng.core.pv_client.get is pv_client.get"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
