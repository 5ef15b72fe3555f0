from __future__ import annotations

import asyncio
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.swapping import USER, Machine, as_before, few_modules, reasons, running, user

from iocmng.plugins import holders
from iocmng.plugins.allstacks import lines_of_stacks
from iocmng.plugins.hot import not_hot, still_running


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setattr(holders, "loaded_modules", few_modules())
    with as_before():
        yield Machine(tmp_path)


WAITING = """
import threading, asyncio
entered, leave = threading.Event(), threading.Event()

def stay():
    entered.set()
    leave.wait(20)

class Own(threading.Thread):
    def run(self):
        super().run()

async def waiting():
    entered.set()
    await asyncio.sleep(20)
"""


@pytest.mark.parametrize("case", ["target", "called", "argument", "class"])
def test_a_thread_of_old_code_is_found(machine: Machine, case: str) -> None:
    plugin: Any = running(machine, WAITING)
    makes: dict[str, Callable[[], threading.Thread]] = {
        "target": lambda: threading.Thread(target=plugin.stay),
        "called": lambda: threading.Thread(target=lambda: plugin.stay()),
        "argument": lambda: threading.Thread(
            target=lambda f: (plugin.entered.set(), plugin.leave.wait(20)), args=(plugin.stay,)
        ),
        "class": lambda: plugin.Own(target=lambda: (plugin.entered.set(), plugin.leave.wait(20))),
    }
    thread = makes[case]()
    thread.name, thread.daemon = "old-code", True
    thread.start()
    assert plugin.entered.wait(20)
    try:
        assert "the thread 'old-code'" in reasons(still_running(machine.changes(None), [USER]))
        assert not_hot(machine.changes(None), [user("acme-beam", live=True)]) == ()
    finally:
        plugin.leave.set()
        thread.join(20)
    assert not thread.is_alive()
    assert still_running(machine.changes(None), [USER]) == ()


def test_a_coroutine_of_cothread_in_old_code_is_found(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = running(machine, "def wait(): pass\n")
    stacks = [("elsewhere.py", "1"), (plugin.__file__ or "", "7")]
    monkeypatch.setattr(holders, "lines_of_stacks", lambda: iter(stacks))
    monkeypatch.setitem(sys.modules, "cothread", types.ModuleType("cothread"))
    (found,) = still_running(machine.changes(None), [USER])
    assert found.reason == f"a coroutine of cothread runs {plugin.__file__}:7"


def test_every_stack_is_listed_with_its_lines() -> None:
    assert any(file == __file__ for file, _ in lines_of_stacks())


def test_an_asyncio_task_of_old_code_is_found(machine: Machine) -> None:
    plugin: Any = running(machine, WAITING)

    async def look() -> str:
        task = asyncio.create_task(plugin.waiting(), name="old-task")
        await asyncio.sleep(0)
        found = reasons(still_running(machine.changes(None), [USER]))
        task.cancel()
        return found

    assert "old-task" in asyncio.run(look())


def test_a_subscription_that_calls_old_code_is_found_unless_it_is_garbage(machine: Machine) -> None:
    plugin: Any = running(machine, "def changed(value): ...\n")
    made = type("Subscription", (), {"__module__": "p4p.client.thread"})
    subscription: Any = made()
    subscription.name, subscription.called = "ACME:BEAM", plugin.changed
    told = reasons(still_running(machine.changes(None), [USER]))
    assert "the Subscription ACME:BEAM of p4p still calls acme_beam.plugin" in told
    subscription.itself = subscription
    del subscription
    assert still_running(machine.changes(None), [USER]) == ()
