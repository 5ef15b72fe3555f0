from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from iocmng.errors import BadInput
from iocmng.logic.functions import get_registry
from iocmng.plugins.environment import Environment
from iocmng.plugins.hooks import Hooks, hookimpl
from iocmng.plugins.hookthread import CAPACITY
from iocmng.plugins.sitefunctions import register_functions
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


def test_a_slow_package_holds_up_neither_publisher_nor_others_and_waits_bounded() -> None:
    hooks = Hooks(deadline=30.0)
    release, done = threading.Event(), threading.Event()
    slow: list[int] = []
    quick: list[int] = []

    class Slow:
        @hookimpl
        def iocmng_event(self, event: Event) -> None:
            release.wait(30)
            slow.append(event.id)

    class Quick:
        @hookimpl
        def iocmng_event(self, event: Event) -> None:
            quick.append(event.id)
            if event.id == 24_999:
                done.set()

    hooks.register(Slow(), "slow")
    hooks.register(Quick(), "quick")
    for number in range(25_000):
        hooks.publish("iocmng_event", event=event(number))
        if number % 1000 == 0:
            # The quick one has time now and then, as it has in a host.
            while len(quick) < number:
                threading.Event().wait(0.001)
    assert done.wait(30)
    assert quick == list(range(25_000))
    assert hooks.dropped == {"slow": 25_000 - CAPACITY - 1}
    assert "hooks of slow: 14999 events were dropped" in hooks.problems[0].message
    release.set()
    hooks.close(30.0)
    assert slow == [0, *range(15_000, 25_000)]


def test_an_event_that_hangs_is_found_by_looking_and_costs_its_package_other_hooks_nothing(
    hooks: Hooks,
) -> None:
    release = threading.Event()

    class Hanging:
        @hookimpl
        def iocmng_event(self, event: Event) -> None:
            release.wait(30)

        @hookimpl
        def iocmng_metrics(self) -> dict[str, float]:
            return {"well": 1.0}

    hooks.register(Hanging(), "hanging")
    for number in range(3):
        hooks.publish("iocmng_event", event=event(number))
    end = time.monotonic() + 20
    while not hooks.failures and time.monotonic() < end:
        hooks.look()
        time.sleep(0.01)
    assert hooks.failures == {"hanging": 1}
    assert hooks.call("iocmng_metrics")[0].value == {"well": 1.0}
    hooks.publish("iocmng_event", event=event(3))
    assert hooks.dropped == {"hanging": 3}
    release.set()


def test_a_failure_at_every_event_is_counted_and_not_logged_each_time(
    hooks: Hooks, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        @hookimpl
        def iocmng_event(self, event: Event) -> None:
            raise RuntimeError(f"event {event.id % 2}")

    hooks.register(Failing(), "failing")
    for number in range(1000):
        hooks.publish("iocmng_event", event=event(number))
    hooks.close(20.0)
    assert hooks.failures == {"failing": 1000}
    assert [one.message for one in hooks.problems] == [
        f"hooks of failing: iocmng_event: RuntimeError: event {number} (500 times)" for number in (0, 1)
    ]
    assert len([one for one in caplog.records if "failing" in one.getMessage()]) == 2


def test_packages_work_at_the_same_time_and_share_one_deadline(hooks: Hooks) -> None:
    met = threading.Barrier(2)

    class Meeting:
        @hookimpl
        def iocmng_metrics(self) -> dict[str, float]:
            met.wait(0.25)
            return {"met": 1.0}

    hooks.register(Meeting(), "one")
    hooks.register(Meeting(), "other")
    assert [one.plugin for one in hooks.call("iocmng_metrics", deadline=20.0)] == ["other", "one"]


def test_an_interrupt_that_a_hook_raises_is_no_interrupt_of_the_host(hooks: Hooks) -> None:
    class Interrupting:
        @hookimpl
        def iocmng_metrics(self) -> dict[str, float]:
            raise KeyboardInterrupt

    hooks.register(Interrupting(), "interrupting")
    assert hooks.call("iocmng_metrics") == []
    assert "KeyboardInterrupt" in hooks.problems[0].message


def test_functions_of_packages_reach_expressions_unless_they_take_a_name(
    hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iocmng.logic.functions._registry", get_registry())

    class First:
        @hookimpl
        def iocmng_functions(self) -> dict[str, object]:
            return {"site_double": lambda x: 2 * x, "mean": min, "for": min, "site_three": 3}

    class Second:
        @hookimpl
        def iocmng_functions(self) -> dict[str, object]:
            return {"site_double": abs, "site_half": lambda x: x / 2}

    class Third:
        @hookimpl
        def iocmng_functions(self) -> list[str]:
            return ["site_list"]

    for name, one in (("first", First()), ("second", Second()), ("third", Third())):
        hooks.register(one, name)
    register_functions(hooks)
    known = get_registry()
    assert (known["site_double"](4), known["site_half"](4), known["mean"]([1, 3])) == (8, 2, 2)
    assert hooks.failures == {"first": 3, "second": 1, "third": 1}
    assert "site_double" in "".join(one.message for one in hooks.problems if "second" in one.message)
