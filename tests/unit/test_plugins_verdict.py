from __future__ import annotations

from pathlib import Path

import pytest

from iocmng.plugins import verdict as module
from iocmng.plugins.verdict import Question, Verdict, VerdictStore, parameters_key
from iocmng.spec import Kind, PluginRef
from iocmng.wire import Finding, Level, Where, from_plain, to_plain

NOTE = Finding(Level.NOTE, "import-output", "prints", Where("x.py", 3, 1), "do not")
GOOD = Verdict(kind=Kind.JOB, class_name="Tune", schema={"properties": {}}, parameters={"k": (NOTE,)})


def test_questions_and_verdicts_cross_a_pipe_unchanged() -> None:
    plugin = PluginRef(name="tank", target="a:B", config="/x/config.yaml", editable=True)
    question = Question(
        plugin=plugin, roots=("/a", "/b"), first=True, parameters={"k": {"x": [1, {"y": None}]}}
    )
    assert from_plain(Question, to_plain(question)) == question
    assert from_plain(Verdict, to_plain(GOOD)) == GOOD


def test_a_store_keeps_good_verdicts_over_restarts(tmp_path: Path) -> None:
    store = VerdictStore(tmp_path)
    store.put("good", GOOD)
    bad = Finding(Level.ERROR, "import-crash", "SIGSEGV")
    store.put("bad", Verdict(findings=(bad,)))
    store.put("bad parameters", Verdict(parameters={"k": (bad,)}))
    store.save()
    again = VerdictStore(tmp_path)
    assert again.get("good") == GOOD
    assert again.get("bad") is None
    assert again.get("bad parameters") is None


def test_what_one_start_does_not_need_is_kept_for_the_next(tmp_path: Path) -> None:
    first = VerdictStore(tmp_path)
    first.put("a", GOOD)
    first.put("b", GOOD)
    first.save()
    only = VerdictStore(tmp_path)
    only.get("a")
    only.put("c", GOOD)
    only.save()
    last = VerdictStore(tmp_path)
    assert all(last.get(key) == GOOD for key in "abc")


def test_the_oldest_go_when_there_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    for key in "abcd":
        store = VerdictStore(tmp_path)
        store.put(key, GOOD)
        store.save()
    last = VerdictStore(tmp_path)
    assert [key for key in "abcd" if last.get(key)] == ["b", "c", "d"]


def test_a_state_directory_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = VerdictStore(tmp_path / "file" / "state")
    store.put("a", GOOD)
    store.save()
    assert store.get("a") == GOOD


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": float("nan")}, {"a": float("nan")}, True),
        ({"a": {1, 2}.__class__}, {"a": list}, False),
    ],
)
def test_sets_of_parameters_have_names(one: dict[str, object], other: dict[str, object], same: bool) -> None:
    assert (parameters_key(one) == parameters_key(other)) is same


def test_a_verdicts_name_changes_with_all_it_hangs_on() -> None:
    plugin = PluginRef(name="tank", target="a:B", config="/x")
    other = PluginRef(name="tank", target="a:C", config="/x")
    names = {
        VerdictStore.key("f", plugin, b"x"),
        VerdictStore.key("g", plugin, b"x"),
        VerdictStore.key("f", other, b"x"),
        VerdictStore.key("f", plugin, b"y"),
    }
    assert len(names) == 4
