"""`/pvs`: PVs wherever they are, subscriptions that belong to their callers, and `/devices`."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from support.pvs import MemoryPvs
from support.serving import Served, serving

from iocmng.api.access import Caller
from iocmng.api.latest import aside
from iocmng.api.subscriptions import Subscriptions
from iocmng.client.stream import Message, messages
from iocmng.errors import NotFound, Refused
from iocmng.values import Severity, Status
from iocmng.wire import Role

API = "/api/v1/pvs"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("state")) as endpoint:
        yield endpoint


@pytest.fixture
def pvs(served: Served) -> Iterator[MemoryPvs]:
    """PVs elsewhere: a pressure over PVA, a valve over CA; nobody is subscribed before or after."""
    access = served.control.pv_access
    access.elsewhere.__init__()  # type: ignore[misc]
    access.elsewhere.serve("pva://RING:PRESSURE", 2.5e-9, Severity.MINOR, Status.HIGH)
    access.elsewhere.serve("ca://RING:VALVE", 1, labels=["Closed", "Open"])
    yield access
    for role in ("operator", "viewer", ""):
        with served.http(role) as http:
            for key in body(http.get(f"{API}/monitors"))["monitors"]:
                body(http.delete(f"{API}/monitor/{key}"))


@pytest.fixture
def operator(served: Served, pvs: MemoryPvs) -> Iterator[httpx.Client]:
    with served.http("operator") as http:
        yield http


def body(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_pv_elsewhere_is_read_in_the_words_of_both_systems(operator: httpx.Client) -> None:
    found = body(operator.post(f"{API}/get", json={"pv_name": "RING:PRESSURE"}))
    assert (found["ok"], found["error"], found["pv_name"]) == (True, None, "RING:PRESSURE")
    assert (found["value"], found["type"]) == (2.5e-9, "float")
    assert (found["address"], found["local"]) == ("pva://RING:PRESSURE", False)
    assert (found["severity"], found["status"], found["connected"]) == ("MINOR", "HIGH", True)
    assert found["timestamp"] > 1e9


def test_a_pv_of_this_host_needs_no_network(operator: httpx.Client) -> None:
    found = body(operator.post(f"{API}/get", json={"pv_name": "ca://TEST:PUMP:LIMIT", "timeout": 0.1}))
    assert (found["address"], found["local"], found["value"]) == ("TEST:PUMP:LIMIT", True, 1.5)


def test_a_value_that_json_has_no_word_for(pvs: MemoryPvs, operator: httpx.Client) -> None:
    pvs.elsewhere.serve("pva://RING:RATIO", math.nan)
    assert body(operator.post(f"{API}/get", json={"pv_name": "RING:RATIO"}))["value"] == "NaN"


@pytest.mark.parametrize(("value", "taken"), [(0, 0), ("Open", 1)])
def test_a_put_reaches_the_pv(pvs: MemoryPvs, operator: httpx.Client, value: Any, taken: int) -> None:
    done = body(operator.post(f"{API}/put", json={"pv_name": "ca://RING:VALVE", "value": value}))
    assert done == {"ok": True, "pv_name": "ca://RING:VALVE", "address": "ca://RING:VALVE", "error": None}
    assert pvs.elsewhere.puts == [("ca://RING:VALVE", taken)]


def test_a_put_to_a_pv_of_this_host_is_made_by_the_caller(served: Served, operator: httpx.Client) -> None:
    body(operator.post(f"{API}/put", json={"pv_name": "TEST:PUMP:LIMIT", "value": 4.5}))
    what, actor = served.control.actors[-1]
    assert (what, actor.user) == ("put TEST:PUMP:LIMIT", "operator")
    served.control.values["TEST:PUMP:LIMIT"] = 1.5


@pytest.mark.parametrize(
    ("path", "request_body", "status", "code", "said"),
    [
        ("get", {"pv_name": "RING:NOWHERE", "timeout": 0.5}, 504, "link-timeout", "within 0.5 s"),
        ("put", {"pv_name": "RING:NOWHERE", "value": 1}, 504, "link-timeout", "RING:NOWHERE"),
        ("put", {"pv_name": "ca://RING:LOCKED", "value": 1}, 409, "link-refused", "access denied"),
        ("put", {"pv_name": "ca://RING:VALVE", "value": "Ajar"}, 422, "link-value", "Closed, Open"),
        ("put", {"pv_name": "TEST:PUMP:PRESSURE", "value": 1}, 409, "refused", "read-only"),
        ("get", {"pv_name": "http://RING"}, 422, "bad-input", "scheme 'http'"),
        ("get", {"pv_name": "A B"}, 422, "bad-input", "names no PV"),
        ("get", {"pv_name": ""}, 422, "bad-input", "pv_name"),
        ("get", {"pv_name": "x" * 300}, 422, "bad-input", "pv_name"),
        ("get", {"pv_name": "RING:VALVE", "timeout": 0}, 422, "bad-input", "timeout"),
        ("get", {"pv_name": "RING:VALVE", "timeout": 1e6}, 422, "bad-input", "timeout"),
        ("put", {"pv_name": "RING:VALVE"}, 422, "bad-input", "value"),
        ("monitor", {"pv_name": "ca://"}, 422, "bad-input", "names no PV"),
    ],
)
def test_a_failure_is_a_problem_that_clients_of_the_previous_system_read_too(
    pvs: MemoryPvs,
    operator: httpx.Client,
    path: str,
    request_body: dict[str, Any],
    status: int,
    code: str,
    said: str,
) -> None:
    pvs.elsewhere.serve("ca://RING:LOCKED", 0)
    pvs.elsewhere.refuse("ca://RING:LOCKED")
    answer = operator.post(f"{API}/{path}", json=request_body)
    found = body(answer, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (found["code"], found["ok"]) == (code, False)
    assert said in found["detail"]
    assert found["message"] == found["detail"]
    if code.startswith("link"):
        assert (found["error"], found["pv_name"]) == (found["detail"], request_body["pv_name"])


@pytest.mark.parametrize(
    ("role", "method", "path", "status"),
    [
        ("viewer", "POST", "get", 200),
        ("viewer", "POST", "monitor", 200),
        ("viewer", "DELETE", "monitor/RING:PRESSURE", 200),
        ("viewer", "GET", "monitors", 200),
        ("viewer", "GET", "provider", 200),
        ("viewer", "POST", "put", 403),
        ("", "POST", "get", 200),
        ("", "POST", "put", 401),
    ],
)
def test_reading_is_for_viewers_and_writing_for_operators(
    served: Served, pvs: MemoryPvs, role: str, method: str, path: str, status: int
) -> None:
    request_body = {"pv_name": "RING:PRESSURE"} | ({"value": 1} if path == "put" else {})
    with served.http(role) as http:
        if method == "DELETE":
            body(http.post(f"{API}/monitor", json=request_body))
        answer = http.request(method, f"{API}/{path}", json=request_body if method == "POST" else None)
        assert answer.status_code == status, answer.text
    assert pvs.elsewhere.puts == []


def test_a_subscription_keeps_the_latest_reading(pvs: MemoryPvs, operator: httpx.Client) -> None:
    made = body(operator.post(f"{API}/monitor", json={"pv_name": "ca://RING:VALVE"}))
    assert made == {"ok": True, "key": "ca://RING:VALVE", "message": "Monitoring ca://RING:VALVE"}
    pvs.elsewhere.serve("ca://RING:VALVE", 0)
    found = body(operator.get(f"{API}/monitor/ca://RING:VALVE"))
    assert (found["reading"]["value"], found["updates"]) == (0, 2)
    assert 590 < found["expires"] <= 600
    pvs.elsewhere.disconnect("ca://RING:VALVE")
    listed = body(operator.get(f"{API}/monitors"))
    assert (listed["monitors"], listed["count"]) == ({"ca://RING:VALVE": "ca://RING:VALVE"}, 1)
    assert listed["readings"]["ca://RING:VALVE"]["connected"] is False
    ended = body(operator.delete(f"{API}/monitor/ca%3A%2F%2FRING%3AVALVE"))
    assert ended == {"ok": True, "key": "ca://RING:VALVE", "message": "Stopped monitoring ca://RING:VALVE"}
    assert body(operator.delete(f"{API}/monitor/ca://RING:VALVE"), 404)["code"] == "not-found"
    assert body(operator.get(f"{API}/monitors"))["count"] == 0


def listeners(pvs: MemoryPvs, pv: str) -> int:
    return pvs.elsewhere.listeners(pv)


def test_a_key_belongs_to_its_caller(served: Served, pvs: MemoryPvs) -> None:
    with served.http("operator") as mine, served.http("viewer") as theirs, served.http() as nobodys:
        for http, pv in ((mine, "RING:PRESSURE"), (theirs, "ca://RING:VALVE"), (nobodys, "RING:PRESSURE")):
            body(http.post(f"{API}/monitor", json={"pv_name": pv, "name": "k"}))
        assert body(mine.get(f"{API}/monitors"))["monitors"] == {"k": "RING:PRESSURE"}
        assert body(theirs.get(f"{API}/monitors"))["monitors"] == {"k": "ca://RING:VALVE"}
        body(theirs.delete(f"{API}/monitor/k"))
        body(theirs.delete(f"{API}/monitor/k"), 404)
        assert body(mine.get(f"{API}/monitor/k"))["pv_name"] == "RING:PRESSURE"
        assert listeners(pvs, "pva://RING:PRESSURE") == 2
        assert listeners(pvs, "ca://RING:VALVE") == 0
        for http in (mine, nobodys):
            body(http.delete(f"{API}/monitor/k"))
        assert listeners(pvs, "pva://RING:PRESSURE") == 0


def test_the_same_key_again_replaces_the_subscription(pvs: MemoryPvs, operator: httpx.Client) -> None:
    for pv in ("RING:PRESSURE", "ca://RING:VALVE"):
        body(operator.post(f"{API}/monitor", json={"pv_name": pv, "name": "k"}))
    assert listeners(pvs, "pva://RING:PRESSURE") == 0
    assert body(operator.get(f"{API}/monitor/k"))["reading"]["value"] == 1
    body(operator.delete(f"{API}/monitor/k"))


def test_there_are_not_more_than_the_limits(pvs: MemoryPvs) -> None:
    alice, bob = (Caller(name, Role.VIEWER) for name in ("alice", "bob"))

    async def main() -> None:
        kept = Subscriptions(pvs, per_caller=2, in_all=3)
        for number in range(2):
            kept.open(alice, "RING:PRESSURE", f"k{number}")
        with pytest.raises(Refused, match="you have 2 monitors") as refused:
            kept.open(alice, "RING:PRESSURE", "k2")
        assert refused.value.error_code == "too-many-monitors"
        kept.open(alice, "RING:PRESSURE", "k1")
        kept.open(bob, "RING:PRESSURE", "k0")
        with pytest.raises(Refused, match="there are 3 monitors"):
            kept.open(bob, "RING:PRESSURE", "k1")
        kept.close(alice, "k0")
        kept.open(bob, "RING:PRESSURE", "k1")
        assert listeners(pvs, "pva://RING:PRESSURE") == 3

    asyncio.run(main())


def test_one_that_nobody_asks_for_ends(pvs: MemoryPvs) -> None:
    alice = Caller("alice", Role.VIEWER)

    async def main() -> None:
        kept = Subscriptions(pvs, idle=0.2)
        kept.open(alice, "RING:PRESSURE", "unread")
        kept.open(alice, "RING:PRESSURE", "read")
        async with asyncio.timeout(20):
            while listeners(pvs, "pva://RING:PRESSURE") > 1:
                kept.get(alice, "read")
                await asyncio.sleep(0.01)
        with pytest.raises(NotFound, match="unread"):
            kept.get(alice, "unread")
        async with asyncio.timeout(20):
            while listeners(pvs, "pva://RING:PRESSURE"):
                await asyncio.sleep(0.01)

    asyncio.run(main())


def test_a_stream_shows_each_now_and_when_it_changes_and_leaves_nothing(
    pvs: MemoryPvs, operator: httpx.Client
) -> None:
    query = {"pv": ["RING:PRESSURE", "ca://RING:VALVE", "RING:PRESSURE"], "period": 0.02}
    with operator.stream("GET", f"{API}/monitor", params=query) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        said = messages(answer.iter_lines())
        first = {message.data["pv_name"]: message.data["value"] for message in take(said, 2)}
        assert first == {"RING:PRESSURE": 2.5e-9, "ca://RING:VALVE": 1}
        pvs.elsewhere.serve("ca://RING:VALVE", 0)
        (changed,) = take(said, 1)
        assert (changed.kind, changed.data["value"]) == ("pv", 0)
        pvs.elsewhere.disconnect("ca://RING:VALVE")
        (lost,) = take(said, 1)
        assert (lost.data["connected"], lost.data["severity"]) == (False, "INVALID")
        assert listeners(pvs, "ca://RING:VALVE") == 1
    gone = threading.Event()
    for _ in range(200):
        if not listeners(pvs, "ca://RING:VALVE") + listeners(pvs, "pva://RING:PRESSURE"):
            break
        gone.wait(0.05)
    assert listeners(pvs, "ca://RING:VALVE") + listeners(pvs, "pva://RING:PRESSURE") == 0


def take(said: Iterator[Message], count: int) -> list[Message]:
    return [next(said) for _ in range(count)]


def test_a_burst_is_one_message_with_the_latest(pvs: MemoryPvs, operator: httpx.Client) -> None:
    with operator.stream("GET", f"{API}/monitor", params={"pv": "ca://RING:VALVE", "period": 0.2}) as answer:
        said = messages(answer.iter_lines())
        next(said)
        for number in range(50):
            pvs.elsewhere.serve("ca://RING:VALVE", number)
        seen = [next(said).data["value"]]
        while seen[-1] != 49:
            seen.append(next(said).data["value"])
        assert len(seen) <= 3


@pytest.mark.parametrize(
    ("value", "elsewhere"),
    [(1.0, False), ("x" * 10_000, False), ([0] * 100, False), ([0] * 6000, True), (np.zeros(6000), True)],
)
def test_a_long_array_is_written_beside_the_loop(value: Any, elsewhere: bool) -> None:
    assert (asyncio.run(aside(threading.get_ident, None, value)) != threading.get_ident()) is elsewhere


def test_a_long_array_travels(pvs: MemoryPvs, operator: httpx.Client) -> None:
    pvs.elsewhere.serve("pva://RING:WAVE", np.arange(6000.0))
    read = body(operator.post(f"{API}/get", json={"pv_name": "RING:WAVE"}))
    assert (read["type"], read["value"][-1]) == ("array", 5999.0)
    body(operator.post(f"{API}/monitor", json={"pv_name": "RING:WAVE"}))
    assert body(operator.get(f"{API}/monitor/RING:WAVE"))["reading"]["value"][-1] == 5999.0
    assert len(body(operator.get(f"{API}/monitors"))["readings"]["RING:WAVE"]["value"]) == 6000
    body(operator.delete(f"{API}/monitor/RING:WAVE"))


def test_names_that_are_none_are_refused_before_the_stream(operator: httpx.Client) -> None:
    assert body(operator.get(f"{API}/monitor", params={"pv": "http://X"}), 422)["code"] == "bad-input"
    assert body(operator.get(f"{API}/monitor"), 422)["code"] == "bad-input"


def test_a_request_that_waits_ends_when_the_host_stops(tmp_path: Path) -> None:
    with serving(tmp_path) as endpoint:
        arrived, never = threading.Event(), asyncio.Event()

        async def pause() -> None:
            arrived.set()
            await never.wait()

        endpoint.control.pv_access.pause = pause
        answers: list[httpx.Response] = []

        def ask() -> None:
            with endpoint.http("viewer") as http:
                answers.append(http.post(f"{API}/get", json={"pv_name": "X", "timeout": 30}))

        asking = threading.Thread(target=ask)
        asking.start()
        assert arrived.wait(10)
        endpoint.stop()
        asking.join(10)
        assert json.loads(answers[0].text)["code"] == "stopping"


def test_provider_and_devices(operator: httpx.Client) -> None:
    assert body(operator.get(f"{API}/provider")) == {"provider": "pva"}
    assert body(operator.get("/api/v1/devices")) == {
        "available": ["GUNFLG01", "DIPO02"],
        "available_count": 2,
        "created": ["GUNFLG01"],
        "created_count": 1,
    }
