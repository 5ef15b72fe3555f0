"""A task's life on fake records and a virtual clock: states, restarts, stalls, what is shown."""

from __future__ import annotations

import pytest
from support.tasks import CONFIG, Counting, block, config

from iocmng import TaskBase
from iocmng.errors import Refused
from iocmng.lifecycle import TABLE, VERBS, State, Trigger
from iocmng.testing import run_task
from iocmng.values import Severity


def test_a_cycle_comes_at_a_fixed_rate() -> None:
    with run_task(Counting, CONFIG) as task:
        task.step(10.0)
        assert task.get("WRITTEN") == 11.0
        assert task.get("CYCLE_COUNT") == 11
        assert task.get("TASK_STATUS") == 0


def test_a_slow_cycle_is_counted_and_missed_ones_are_skipped() -> None:
    class Slow(TaskBase):
        def execute(self) -> None:
            block(self, 2.5)

    with run_task(Slow, CONFIG) as task:
        task.step(9.0)
        assert task.get("CYCLE_COUNT") == 3
        assert task.get("OVERRUNS") == 6


def test_outputs_are_valid_only_in_run() -> None:
    with run_task(Counting, CONFIG, start=False) as task:
        for name in ("WRITTEN", "DECLARED", "SAFE"):
            assert task.severity(name) is Severity.INVALID
        assert task.get("SAFE") == -1.0
        task.act("start")
        assert [task.severity(name) for name in ("WRITTEN", "DECLARED", "SAFE")] == [Severity.NO_ALARM] * 3
        assert task.get("SAFE") == 1.0
        task.act("pause")
        assert task.severity("DECLARED") is Severity.INVALID
        assert task.get("DECLARED") == 3.0
        assert task.get("SAFE") == -1.0
        assert task.reading("DECLARED").message == "paused"
        task.act("resume")
        assert task.severity("DECLARED") is Severity.NO_ALARM
        task.act("stop")
        assert task.severity("WRITTEN") is Severity.INVALID


def test_an_output_without_value_stays_invalid_until_it_is_written() -> None:
    class Idle(TaskBase):
        def execute(self) -> None:
            if self.get_pv("FAIL"):
                self.set_pv("WRITTEN", 5)

    with run_task(Idle, CONFIG) as task:
        task.step(3.0)
        assert task.status == "RUN"
        assert task.severity("WRITTEN") is Severity.INVALID
        task.put("FAIL", True)
        task.step(1.0)
        assert (task.get("WRITTEN"), task.severity("WRITTEN")) == (5.0, Severity.NO_ALARM)


def test_what_initialize_writes_is_invalid_until_run() -> None:
    seen = []

    class Early(TaskBase):
        def initialize(self) -> None:
            self.set_pv("WRITTEN", 7)
            seen.append(self.readings["WRITTEN"].severity)

        def execute(self) -> None:
            seen.append(self.readings["WRITTEN"].severity)

    with run_task(Early, CONFIG):
        assert seen[:2] == [Severity.INVALID, Severity.NO_ALARM]


def test_nan_is_published_invalid() -> None:
    class NotANumber(TaskBase):
        def execute(self) -> None:
            self.set_pv("WRITTEN", float("nan"))

    with run_task(NotANumber, CONFIG) as task:
        assert task.severity("WRITTEN") is Severity.INVALID
        assert task.status == "RUN"


def test_a_failure_is_shown_retried_and_forgotten_only_on_reset() -> None:
    with run_task(Counting, config(restart_sec=2.0)) as task:
        task.put("FAIL", True)
        task.step(1.0)
        assert task.status == "BACKOFF"
        assert task.message == "retry 1 in 2 s: ValueError: told to"
        assert task.severity("WRITTEN") is Severity.INVALID
        assert task.get("TASK_STATUS") == 3
        task.put("FAIL", False)
        task.step(2.0)
        assert task.status == "RUN"
        assert task.get("RESTARTS") == 1
        assert task.last_error == "ValueError: told to"
        assert task.get("LAST_ERROR") == "ValueError: told to"
        task.put("RESET", 1)
        assert task.get("LAST_ERROR") == ""
        assert task.get("RESTARTS") == 0
        assert task.get("RESET") is False


def test_the_delay_doubles_to_its_ceiling() -> None:
    with run_task(Counting, config(restart_sec=1.0, restart_max_sec=4.0)) as task:
        task.put("FAIL", True)
        task.step(1.0)
        delays = []
        for _ in range(4):
            delays.append(task.message.split(" in ")[1].split(" s")[0])
            task.step(float(delays[-1]))
        assert delays == ["1", "2", "4", "4"]


def test_too_many_restarts_in_the_window_end_in_error_until_reset() -> None:
    with run_task(Counting, config(restart_sec=0.1, restart_max_sec=0.1, restart_max=3)) as task:
        task.put("FAIL", True)
        task.step(5.0)
        assert task.status == "ERROR"
        assert "restart_max allows 3" in task.message
        task.put("FAIL", False)
        task.act("reset")
        assert task.status == "RUN"


def test_no_restart_when_the_policy_says_so() -> None:
    with run_task(Counting, config(restart="no")) as task:
        task.put("FAIL", True)
        task.step(1.0)
        assert task.status == "ERROR"
        task.put("FAIL", False)
        task.put("RESTART", 1)
        assert task.status == "RUN"
        assert task.get("RESTART") is False


def test_failing_cycles_below_the_limit_are_survived() -> None:
    with run_task(Counting, config(cycle_errors=3)) as task:
        task.put("FAIL", True)
        task.step(2.0)
        assert task.status == "RUN"
        assert task.get("CYCLE_ERRORS") == 2
        task.put("FAIL", False)
        task.step(1.0)
        task.put("FAIL", True)
        task.step(3.0)
        assert task.status == "BACKOFF"


def test_initialize_that_fails_leads_to_backoff_without_cleanup() -> None:
    cleaned = []

    class Broken(TaskBase):
        def initialize(self) -> None:
            raise OSError("no such device")

        def execute(self) -> None:
            raise AssertionError

        def cleanup(self) -> None:
            cleaned.append(self)

    with run_task(Broken, CONFIG) as task:
        assert task.status == "BACKOFF"
        assert "OSError: no such device" in task.message
    assert cleaned == []


def test_cleanup_runs_once_after_stop_and_after_a_failure() -> None:
    cleaned = []

    class Careful(Counting):
        def cleanup(self) -> None:
            cleaned.append(self.number)

    with run_task(Careful, config(restart_sec=1.0)) as task:
        task.put("FAIL", True)
        task.step(1.0)
        task.put("FAIL", False)
        task.step(1.0)
        task.act("stop")
        assert task.status == "END"
    assert len(cleaned) == 2


def test_sys_exit_is_a_failure() -> None:
    class Leaving(TaskBase):
        def execute(self) -> None:
            raise SystemExit(3)

    with run_task(Leaving, CONFIG) as task:
        assert task.status == "BACKOFF"
        assert "SystemExit: 3" in task.message


def test_a_loop_inside_execute_counts_cycles_pauses_and_ends() -> None:
    class Looping(TaskBase):
        def execute(self) -> None:
            while self.sleep(2.0):
                self.set_pv("WRITTEN", self.cycle_count)

    with run_task(Looping, CONFIG) as task:
        task.step(10.0)
        assert task.get("CYCLE_COUNT") == 5
        task.act("pause")
        task.step(20.0)
        assert task.get("CYCLE_COUNT") == 5
        assert task.status == "PAUSED"
        task.act("resume")
        task.step(4.0)
        assert int(task.get("CYCLE_COUNT") or 0) in (7, 8)
        task.act("stop")
        assert task.status == "END"


def test_async_methods_run_as_sync_ones_do() -> None:
    class Async(TaskBase):
        async def initialize(self) -> None:
            await self.asleep(1.0)

        async def execute(self) -> None:
            await self.asleep(0.5)
            self.set_pv("WRITTEN", 1)

    with run_task(Async, CONFIG) as task:
        assert task.status == "INIT"
        task.step(3.0)
        assert task.status == "RUN"
        assert task.get("WRITTEN") == 1.0


def test_sleep_in_async_code_is_refused() -> None:
    class Wrong(TaskBase):
        async def execute(self) -> None:
            self.sleep(1.0)

    with run_task(Wrong, CONFIG) as task:
        assert "await self.asleep()" in task.message


def test_health_degrades_and_recovers() -> None:
    class Ill(Counting):
        def health(self) -> str | None:
            return "coolant is warm" if self.number < 40 else None

        def metrics(self) -> dict[str, float]:
            return {"number": self.number}

    with run_task(Ill, CONFIG) as task:
        task.step(1.0)
        assert task.get("DEGRADED") is True
        assert task.reading("DEGRADED").message == "coolant is warm"
        assert task.instance.degraded == "coolant is warm"
        task.step(70.0)
        assert task.get("DEGRADED") is False
        assert task.task.counters.metrics["number"] > 50


def test_health_that_raises_degrades_and_costs_nothing_else() -> None:
    class Ill(Counting):
        def health(self) -> str | None:
            raise KeyError("x")

        def metrics(self) -> dict[str, float]:
            raise KeyError("y")

    with run_task(Ill, CONFIG) as task:
        task.step(40.0)
        assert task.status == "RUN"
        assert "health() failed: KeyError" in task.instance.degraded


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("WRITTEN", None, "TypeError"),
        ("WRITTEN", "text", "TypeError"),
        ("NOWHERE", 1, "KeyError"),
        ("STATUS", 1, "KeyError"),
    ],
)
def test_bad_writes_name_what_is_wrong(name: str, value: object, error: str) -> None:
    class Writing(TaskBase):
        def execute(self) -> None:
            self.set_pv(name, value)

    with run_task(Writing, CONFIG) as task:
        assert task.status == "BACKOFF"
        assert error in task.message
        assert name in task.message


def test_refused_verbs_say_what_is_allowed() -> None:
    with run_task(Counting, CONFIG) as task:
        task.act("pause")
        with pytest.raises(Refused, match="allowed now: stop, pause, resume, restart, reset"):
            task.act("start")
        task.act("stop")
        with pytest.raises(Refused, match="cannot pause while END"):
            task.act("pause")


@pytest.mark.parametrize("state", [State.RUN, State.PAUSED, State.END, State.ERROR, State.BACKOFF])
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_does_in_every_state_what_the_table_says(state: State, verb: Trigger) -> None:
    with run_task(
        Counting, config(restart="no" if state is State.ERROR else "on-failure", restart_sec=50.0)
    ) as task:
        if state in (State.ERROR, State.BACKOFF):
            task.put("FAIL", True)
            task.step(1.0)
            task.put("FAIL", False)
        elif state is State.PAUSED:
            task.act("pause")
        elif state is State.END:
            task.act("stop")
        assert task.status == state.name
        expected = TABLE.get((state, verb))
        if expected is None:
            with pytest.raises(Refused):
                task.act(verb)
            assert task.status == state.name
        else:
            task.act(verb)
            task.step(0.1)
            # INIT is over at once: nothing keeps the task from its first cycle.
            assert task.status == (State.RUN if expected is State.INIT else expected).name


def test_every_change_is_an_event_and_in_the_history() -> None:
    with run_task(Counting, CONFIG) as task:
        task.act("stop")
        steps = [(change.before, change.after) for change in task.instance.history]
        assert steps == [("END", "INIT"), ("INIT", "RUN"), ("RUN", "END")]
        told = [event.data["after"] for event in task.events if event.kind == "state"]
        assert told == ["INIT", "RUN", "END"]


def test_parameters_of_a_model_are_checked_at_the_start() -> None:
    from iocmng import ParameterModel

    class Modelled(Counting):
        class Parameters(ParameterModel):
            gain: float = 1.0

        def execute(self) -> None:
            self.set_pv("WRITTEN", self.parameters.gain + self.parameters["gain"])

    with run_task(Modelled, CONFIG, parameters={"gain": 4.0}) as task:
        assert task.get("WRITTEN") == 8.0
    with run_task(Modelled, CONFIG, parameters={"gain": "much"}) as task:
        assert "gain: Input should be a valid number" in task.message
