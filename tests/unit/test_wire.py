"""What crosses a process border comes back as it was."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocmng.lifecycle import JobState
from iocmng.wire import (
    Actor,
    Event,
    EventKind,
    Finding,
    HostView,
    InstanceDetail,
    InstanceView,
    Level,
    LogLine,
    ParameterView,
    PortView,
    Problem,
    PvView,
    Role,
    RunView,
    StateChange,
    Where,
    from_plain,
    to_plain,
)

FINDING = Finding(
    Level.WARNING, "unknown-key", "unknown key 'x'", Where("c.yaml", 3, 5, "a.x"), "did you mean 'y'?"
)
VIEW = InstanceView(name="a", kind="task", plugin="p", state="RUN", cycles=3, findings=(FINDING,))
PV = PvView(name="A:B", type="enum", record_type="mbbi", value=1, labels=("x", "y"))
DETAIL = InstanceDetail(
    view=VIEW,
    parameters=(ParameterView(name="gain", value={"a": [1, 2.5, None]}, origin="site", live=True),),
    ports=(PortView(name="B", direction="output", pv=PV),),
    history=(StateChange(time=1.5, before="INIT", after="RUN"),),
    metrics={"depth": 4.0},
    allowed=("stop",),
)
HOST = HostView(
    prefix="A", name="n", state="RUN", version="3", hostname="h", pid=1, boot_id="b", url="u", uptime=1.0,
    started=2.0, instances=1, running=1, failed=0, degraded=0,
)  # fmt: skip
THINGS: list[Any] = [
    FINDING,
    VIEW,
    PV,
    DETAIL,
    HOST,
    Event(7, 12.5, EventKind.STATE, "a", "started", {"from": "INIT"}, Actor("ann", "desk", "http")),
    LogLine(1.0, "INFO", "a", "two\nlines"),
    Problem(title="t", status=409, code="refused", detail="d", hint="h", extra={"allowed": ["stop"]}),
    RunView(
        "1", "tune", JobState.FAILED, {"bands": [0, 1]}, 1.0, 2.0, 50.0, "no", {"x": 1}, 3, actor=Actor("ann")
    ),
]


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: type(thing).__name__)
def test_through_json_and_back(thing: Any) -> None:
    text = json.dumps(to_plain(thing), allow_nan=False)
    assert from_plain(type(thing), json.loads(text)) == thing


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: type(thing).__name__)
def test_keys_of_a_newer_version_are_ignored(thing: Any) -> None:
    plain = {**to_plain(thing), "from_the_future": {"deep": 1}}
    assert from_plain(type(thing), plain) == thing


def test_states_cross_by_name_and_words_by_value() -> None:
    assert to_plain(JobState.LOST) == "LOST"
    assert to_plain(Role.ADMIN) == "admin"
    assert to_plain(THINGS[-1])["state"] == "FAILED"


def test_numbers_that_json_has_no_word_for() -> None:
    assert to_plain([math.nan, math.inf, -math.inf, 1.5]) == ["NaN", "Infinity", "-Infinity", 1.5]
    assert to_plain(np.array([1.0, math.nan])) == [1.0, "NaN"]
    assert to_plain({"a": np.float32(0.5), 2: (np.int64(3), frozenset({1}))}) == {"a": 0.5, "2": [3, [1]]}


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(PLAIN)
def test_every_plain_value_becomes_json(value: Any) -> None:
    json.dumps(to_plain(value), allow_nan=False)


def test_what_is_missing_or_wrong_is_refused() -> None:
    with pytest.raises(TypeError):
        from_plain(InstanceView, {"name": "a"})
    with pytest.raises(TypeError, match="mapping"):
        from_plain(InstanceView, ["name"])
    with pytest.raises(ValueError, match="loud"):
        from_plain(Finding, {"level": "loud", "code": "c", "message": "m"})


def test_optional_fields_and_unions() -> None:
    @dataclass(frozen=True)
    class Inner:
        a: int

    @dataclass(frozen=True)
    class Outer:
        inner: Inner | None = None

    globals().update(Inner=Inner)
    assert from_plain(Outer, {"inner": {"a": 1}}) == Outer(Inner(1))
    assert from_plain(Outer, {"inner": None}) == Outer()


def test_a_finding_reads_like_a_compilers_message() -> None:
    assert str(FINDING) == "c.yaml:3:5: warning: unknown key 'x' (did you mean 'y'?) [unknown-key]"
    assert str(Finding(Level.ERROR, "c", "m")) == "error: m [c]"
    assert str(Where(key="a.b")) == "a.b"


def test_roles_are_ordered() -> None:
    assert [role.rank for role in (Role.NONE, Role.VIEWER, Role.OPERATOR, Role.ADMIN)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "module", ["iocmng.wire", "iocmng.errors", "iocmng.names", "iocmng.lifecycle", "iocmng.values"]
)
def test_what_the_cli_imports_stays_light(module: str) -> None:
    code = (
        f"import sys, {module}; print(sorted({{'pydantic', 'numpy', 'yaml', 'softioc'}} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
