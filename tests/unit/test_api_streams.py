from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.serving import Served, serving

from iocmng.client.stream import Message, messages
from iocmng.wire import EventKind, LogLine


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("state")) as endpoint:
        yield endpoint


@pytest.fixture
def fresh(served: Served) -> Served:
    until(lambda: served.streams.open == 0)
    served.control.__init__()  # type: ignore[misc]
    return served


def until(condition: Any, deadline: float = 10.0) -> None:
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


@contextmanager
def listening(served: Served, path: str, **headers: str) -> Iterator[Iterator[Message]]:
    """Messages of a stream that is surely listening."""
    with served.http() as http, http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == "retry: 1000"
        yield messages(lines)


def publish(served: Served, count: int, kind: EventKind = EventKind.MESSAGE, instance: str = "pump") -> None:
    for number in range(count):
        served.control.events.publish(kind, instance=instance, text=f"{number}")


def test_events_come_as_they_happen_with_their_actor(fresh: Served) -> None:
    with listening(fresh, "/api/v1/events") as stream, fresh.http("operator") as http:
        until(lambda: fresh.control.events._subscribers)
        http.post("/api/v1/plugins/pump/pause")
        found = next(stream)
        assert found.kind == "state"
        assert found.id == "boot-1:1"
        assert found.data["instance"] == "pump"
        assert found.data["data"] == {"after": "PAUSED"}
        assert found.data["actor"] == {"user": "operator", "origin": "127.0.0.1", "via": "http"}


def test_a_client_goes_on_where_it_stopped(fresh: Served) -> None:
    publish(fresh, 10)
    with listening(fresh, "/api/v1/events", **{"Last-Event-ID": "boot-1:7"}) as stream:
        assert [next(stream).id for _ in range(3)] == ["boot-1:8", "boot-1:9", "boot-1:10"]
        publish(fresh, 1)
        assert next(stream).id == "boot-1:11"
    with listening(fresh, "/api/v1/events?after=0") as stream:
        assert next(stream).id == "boot-1:1"


@pytest.mark.parametrize("last_id", ["boot-0:3", "boot-1:99", "rubbish", "boot-1:", "boot-1:-4", "9" * 100])
def test_a_client_from_another_boot_hears_of_the_break_and_gets_everything(
    fresh: Served, last_id: str
) -> None:
    publish(fresh, 2)
    with listening(fresh, "/api/v1/events", **{"Last-Event-ID": last_id}) as stream:
        assert [next(stream).kind for _ in range(3)] == ["gap", "message", "message"]


def test_a_client_that_falls_behind_hears_what_it_missed(fresh: Served) -> None:
    publish(fresh, 1500)
    with listening(fresh, "/api/v1/events", **{"Last-Event-ID": "boot-1:3"}) as stream:
        gap = next(stream)
        assert (gap.kind, gap.data) == ("gap", {"boot": "boot-1", "first": 4, "last": 500})
        assert [next(stream).data["id"] for _ in range(1000)] == list(range(501, 1501))


def test_events_are_filtered(fresh: Served) -> None:
    publish(fresh, 3)
    publish(fresh, 1, EventKind.RUN, "tune")
    publish(fresh, 1, EventKind.STATE, "tune")
    publish(fresh, 1, EventKind.STATE, "pump")
    with listening(fresh, "/api/v1/events?after=0&kind=state&kind=run&instance=tune") as stream:
        assert [next(stream).kind for _ in range(2)] == ["run", "state"]
    with fresh.http() as http:
        assert http.get("/api/v1/events?kind=party").status_code == 422


def test_events_of_many_threads_come_once_and_in_order(fresh: Served) -> None:
    with listening(fresh, "/api/v1/events") as stream:
        until(lambda: fresh.control.events._subscribers)
        threads = [threading.Thread(target=publish, args=(fresh, 200)) for _ in range(4)]
        for thread in threads:
            thread.start()
        ids = [next(stream).data["id"] for _ in range(800)]
        for thread in threads:
            thread.join(20)
        assert ids == list(range(1, 801))


def test_a_client_that_does_not_read_blocks_nobody(tmp_path: Path) -> None:
    with serving(tmp_path) as endpoint:
        host, port = httpx.URL(endpoint.url).host, httpx.URL(endpoint.url).port
        with socket.create_connection((host, port or 0)) as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            slow.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            until(lambda: endpoint.streams.open == 1)
            for _ in range(900):
                endpoint.control.events.publish(EventKind.MESSAGE, text="x" * 20_000)
            with listening(endpoint, "/api/v1/events?after=0") as stream:
                assert sum(1 for _, _ in zip(range(900), stream, strict=False)) == 900
            with endpoint.http() as http:
                assert http.get("/api/v1/host").status_code == 200
            begun = time.monotonic()
            endpoint.stop()
            assert time.monotonic() - begun < 5.0


def test_silence_is_broken_by_heartbeats(tmp_path: Path) -> None:
    with (
        serving(tmp_path, heartbeat=0.05) as endpoint,
        endpoint.http() as http,
        http.stream("GET", "/api/v1/events") as answer,
    ):
        lines = (line for line in answer.iter_lines() if line)
        assert [next(lines) for _ in range(3)] == ["retry: 1000", ": alive", ": alive"]


def test_too_many_streams_are_refused(tmp_path: Path) -> None:
    with serving(tmp_path, max_streams=1) as endpoint:
        with listening(endpoint, "/api/v1/events"), endpoint.http() as http:
            refused = http.get("/api/v1/events")
            assert (refused.status_code, refused.json()["code"]) == (503, "too-many-streams")
            assert refused.headers["retry-after"] == "5"
        until(lambda: endpoint.streams.open == 0)
        with listening(endpoint, "/api/v1/events"):
            pass


def test_a_stream_that_its_client_left_is_forgotten(fresh: Served) -> None:
    with listening(fresh, "/api/v1/events"):
        assert fresh.streams.open == 1
        until(lambda: fresh.control.events._subscribers)
    until(lambda: fresh.streams.open == 0)
    until(lambda: not fresh.control.events._subscribers)


def test_stopping_ends_streams_and_waits_at_once(tmp_path: Path) -> None:
    with serving(tmp_path) as endpoint:
        with endpoint.http("operator") as http:
            run = http.post("/api/v1/jobs/tune/runs").json()["id"]
        answers: list[Any] = []

        def wait() -> None:
            with endpoint.http() as http:
                answers.append(http.get(f"/api/v1/runs/{run}?wait=60").json()["state"])

        def read() -> None:
            with endpoint.http() as http, http.stream("GET", "/api/v1/events") as answer:
                answers.append(len([line for line in answer.iter_lines() if line]))

        threads = [threading.Thread(target=wait), threading.Thread(target=read)]
        for thread in threads:
            thread.start()
        until(lambda: endpoint.streams.open == 1 and endpoint.streams.waiting == 1)
        begun = time.monotonic()
        endpoint.stop()
        for thread in threads:
            thread.join(5.0)
        assert time.monotonic() - begun < 3.0
        assert sorted(answers, key=str) == [1, "RUNNING"]


def log(served: Served, number: int, level: str = "INFO") -> None:
    line = LogLine(float(number), level, "pump", f"line {number}")
    served.call(lambda: served.control.write_log("pump", line))


def test_a_log_is_followed_from_its_kept_lines_on_without_a_gap(fresh: Served) -> None:
    for number in range(1, 4):
        log(fresh, number)
    with listening(fresh, "/api/v1/plugins/pump/log?follow=true&since=1") as stream:
        until(lambda: fresh.control.listeners)
        log(fresh, 4)
        found = [next(stream) for _ in range(3)]
        assert [message.data["text"] for message in found] == ["line 2", "line 3", "line 4"]
    with listening(fresh, "/api/v1/plugins/pump/log?follow=true", **{"Last-Event-ID": found[1].id}) as stream:
        assert next(stream).data["text"] == "line 4"
    until(lambda: not fresh.control.listeners)


def test_following_a_log_from_now(fresh: Served) -> None:
    log(fresh, 1)
    with listening(fresh, "/api/v1/tasks/pump/log?follow=true") as stream:
        until(lambda: fresh.control.listeners)
        log(fresh, 2)
        assert next(stream).data["text"] == "line 2"
    with fresh.http() as http:
        assert http.get("/api/v1/plugins/pumb/log?follow=true").status_code == 404
        assert (
            http.get("/api/v1/plugins/pump/log?follow=1", headers={"Last-Event-ID": "x"}).status_code == 422
        )


def test_pvs_are_monitored(fresh: Served) -> None:
    with listening(fresh, "/api/v1/host/monitor?pv=PUMP:LIMIT&pv=SHOT:LIMIT&period=0.02") as stream:
        first = [next(stream), next(stream)]
        assert [(message.kind, message.data["name"]) for message in first] == [
            ("pv", "TEST:PUMP:LIMIT"),
            ("pv", "TEST:SHOT:LIMIT"),
        ]
        fresh.control.values["TEST:SHOT:LIMIT"] = 9.0
        assert (found := next(stream)).data["value"] == 9.0, found
    with fresh.http() as http:
        assert http.get("/api/v1/host/monitor?pv=PUMP:LIMT").status_code == 404
        assert http.get("/api/v1/host/monitor").status_code == 422


def test_messages_are_decoded_as_the_standard_says() -> None:
    text = (
        'retry: 5\n\n: note\nid: a:1\nevent: state\ndata: {"x":\ndata: 1}\n\n'
        'data: 2\n\nid\nfield: y\ndata:3\n\ndata: {"cut'
    )
    assert list(messages(text.split("\n"))) == [
        Message("a:1", "state", {"x": 1}),
        Message("a:1", "message", 2),
        Message("", "message", 3),
    ]
