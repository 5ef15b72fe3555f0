"""`iocmng.pv_client` inside a host: through its clients, with keys of each instance's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from iocmng.links import pv_client
from iocmng.runtime.streams import bind_thread, bound_instance
from iocmng.testing.links import FakeLinks


@pytest.fixture
def links() -> Iterator[FakeLinks]:
    fake = FakeLinks()
    for pv in ("pva://X", "ca://X"):
        fake.serve(pv, 1.0)
    pv_client.adopt(fake)
    yield fake
    pv_client.adopt(None)


def test_everything_goes_through_the_adopted_client_which_stays_open(links: FakeLinks) -> None:
    assert pv_client.get("X") == 1.0
    pv_client.put("ca://X", 2.0)
    assert links.puts == [("ca://X", 2.0)]
    pv_client.monitor("X", lambda value: None)
    pv_client.init(pva=False)
    assert links.listeners("pva://X") == 0
    assert pv_client.get("X") == 2.0
    pv_client.init(pva=True)
    pv_client.close()
    assert pv_client.get("X") == 1.0


def test_two_instances_never_end_each_others_subscriptions(links: FakeLinks) -> None:
    got: dict[str, list[tuple[object, str | None]]] = {"one": [], "two": []}
    for name, values in got.items():
        undo = bind_thread(name)
        pv_client.monitor("X", lambda value, values=values: values.append((value, bound_instance())))  # type: ignore[misc]
        assert pv_client.active_monitors() == {"X": "X"}
        undo()
    assert pv_client.active_monitors() == {}
    links.serve("pva://X", 3.0)
    undo = bind_thread("one")
    assert pv_client.unmonitor("X")
    assert not pv_client.unmonitor("X")
    undo()
    links.serve("pva://X", 4.0)
    assert got == {"one": [(1.0, "one"), (3.0, "one")], "two": [(1.0, "two"), (3.0, "two"), (4.0, "two")]}
    assert pv_client.release("two") == 1
    assert links.listeners("pva://X") == 0


def test_an_equal_key_of_the_same_instance_replaces(links: FakeLinks) -> None:
    first, second = list[object](), list[object]()
    pv_client.monitor("X", first.append, name="mine")
    pv_client.monitor("ca://X", second.append, name="mine")
    links.serve("pva://X", 3.0)
    assert (first, second) == ([1.0], [1.0])
    assert pv_client.unmonitor_all() == 1
