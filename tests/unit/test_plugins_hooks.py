from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from iocmng.errors import BadInput
from iocmng.plugins.environment import Environment
from iocmng.plugins.hooks import Hooks, hookimpl
from iocmng.wire import Event, EventKind, Finding, Level


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    made = Hooks(deadline=0.3)
    yield made
    made.close()


class Good:
    def __init__(self, value: float = 1.0) -> None:
        self.value = value
        self.thread = ""

    @hookimpl
    def iocmng_metrics(self) -> dict[str, float]:
        self.thread = threading.current_thread().name
        return {"good": self.value}


class Bad:
    @hookimpl
    def iocmng_metrics(self) -> dict[str, float]:
        raise RuntimeError("no meter")


class Leaving:
    @hookimpl
    def iocmng_metrics(self) -> dict[str, float]:
        sys.exit("bye")


def event(number: int) -> Event:
    return Event(number, 0.0, EventKind.STATE)


def test_one_failure_costs_the_others_nothing(hooks: Hooks) -> None:
    first, last = Good(1), Good(2)
    for name, one in (("first", first), ("bad", Bad()), ("leaving", Leaving()), ("last", last)):
        hooks.register(one, name)
    answers = hooks.call("iocmng_metrics")
    assert [(one.plugin, one.value) for one in answers] == [("last", {"good": 2}), ("first", {"good": 1})]
    assert hooks.failures == {"bad": 1, "leaving": 1}
    assert any("bad" in one.message and "no meter" in one.message for one in hooks.problems)


def test_implementations_run_in_the_hook_thread_and_builtin_ones_here(hooks: Hooks) -> None:
    foreign, own = Good(), Good()
    hooks.register(foreign, "foreign")
    hooks.register(own, "own", builtin=True)
    hooks.call("iocmng_metrics")
    assert foreign.thread == "iocmng-hooks foreign"
    assert own.thread == threading.current_thread().name
    assert hooks.packages == ("foreign",)


def test_a_hanging_one_is_left_behind_and_passed_over_until_it_returns(hooks: Hooks) -> None:
    release, calls = threading.Event(), []

    class Hanging:
        @hookimpl
        def iocmng_metrics(self) -> dict[str, float]:
            calls.append(1)
            release.wait(20)
            return {"late": 1.0}

    hooks.register(Good(), "good")
    hooks.register(Hanging(), "hanging")
    for _ in range(3):
        assert [one.plugin for one in hooks.call("iocmng_metrics")] == ["good"]
    assert len(calls) == 1
    assert hooks.failures == {"hanging": 3}
    release.set()
    for _ in range(50):
        if len(hooks.call("iocmng_metrics")) == 2:
            break
    else:
        pytest.fail("the implementation is never asked again")


def test_a_generator_runs_under_the_deadline(hooks: Hooks) -> None:
    class Lazy:
        @hookimpl
        def iocmng_validate(self, candidate: object) -> Iterator[Finding]:
            yield Finding(Level.NOTE, "x", f"about {candidate}")
            raise RuntimeError("half way")

    hooks.register(Lazy(), "lazy")
    assert hooks.call("iocmng_validate", candidate="tank") == []
    assert "half way" in hooks.problems[0].message


def test_arguments_that_are_not_asked_for_are_left_out(hooks: Hooks) -> None:
    class Modest:
        @hookimpl
        def iocmng_discover(self) -> list[str]:
            return ["found"]

    hooks.register(Modest(), "modest")
    assert hooks.call("iocmng_discover", settings=None)[0].value == ["found"]


def test_what_pluggy_would_let_through_is_refused(hooks: Hooks) -> None:
    class Misspelt:
        @hookimpl
        def iocmng_metric(self) -> None: ...

    class Greedy:
        @hookimpl
        def iocmng_event(self, event: Event, loop: object) -> None: ...

    class Wrapping:
        @hookimpl(wrapper=True)
        def iocmng_metrics(self) -> Iterator[None]:
            yield

    for implementation, code, words in (
        (Misspelt(), "hook-unknown", "iocmng_metrics"),
        (Greedy(), "hook-signature", "loop"),
        (Wrapping(), "hook-wrapper", "iocmng_metrics"),
    ):
        with pytest.raises(BadInput, match=words) as refusal:
            hooks.register(implementation, "package")
        assert refusal.value.error_code == code
    assert hooks.packages == ()


def test_events_arrive_in_order_and_nobody_waits(hooks: Hooks) -> None:
    seen: list[int] = []
    entered, release, done = threading.Event(), threading.Event(), threading.Event()

    class Listening:
        @hookimpl
        def iocmng_event(self, event: Event) -> None:
            entered.set()
            if event.id == 0:
                release.wait(0.2)
            seen.append(event.id)
            if event.id == 99:
                done.set()

    hooks.register(Listening(), "listening")
    for number in range(100):
        hooks.publish("iocmng_event", event=event(number))
    assert entered.wait(10)
    assert 99 not in seen
    release.set()
    assert done.wait(10)
    assert seen == list(range(100))


def test_without_implementations_nothing_starts(hooks: Hooks) -> None:
    before = threading.active_count()
    hooks.publish("iocmng_event", event=event(1))
    assert not hooks.has("iocmng_event")
    assert threading.active_count() == before


def test_closing_delivers_what_waits(hooks: Hooks) -> None:
    seen = []

    class Listening:
        @hookimpl
        def iocmng_event(self, event: Event) -> None:
            seen.append(event.id)

    hooks.register(Listening(), "listening")
    for number in range(20):
        hooks.publish("iocmng_event", event=event(number))
    hooks.close(10.0)
    assert seen == list(range(20))


def advertise(root: Path, **targets: str) -> Environment:
    meta = root / "site_hooks-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Name: site-hooks\nVersion: 1.0\n\n")
    lines = "".join(f"{name} = {target}\n" for name, target in targets.items())
    (meta / "entry_points.txt").write_text(f"[iocmng.hooks]\n{lines}")
    return Environment.read([str(root)])


def test_entry_points_are_loaded_one_by_one(
    hooks: Hooks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("hooks_of_tests")
    module.Good = Good  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hooks_of_tests", module)
    for name, text in {"leaving_hooks": "import sys; sys.exit(3)", "raising_hooks": "1/0"}.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    environment = advertise(
        tmp_path,
        a="leaving_hooks",
        b="raising_hooks",
        c="absent_hooks",
        d="hooks_of_tests:Absent",
        judged="hooks_of_tests",
        z="hooks_of_tests:Good",
    )

    def judge(name: str, target: str) -> tuple[Finding, ...]:
        refused = name.endswith("judged")
        return (Finding(Level.ERROR, "import-crash", "ends with SIGSEGV"),) if refused else ()

    hooks.load(environment, judge=judge)
    assert hooks.packages == ("site-hooks:z",)
    assert hooks.call("iocmng_metrics")[0].value == {"good": 1.0}
    told = " ".join(one.message for one in hooks.problems)
    for word in ("SystemExit", "ZeroDivisionError", "absent_hooks", "Absent", "SIGSEGV"):
        assert word in told
    assert all(one.level is Level.WARNING for one in hooks.problems)
