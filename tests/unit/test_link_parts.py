"""Link addresses, the order of writes, callbacks of feeds, routing and the heartbeat: without a network."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future

import pytest

from iocmng.errors import BadInput, LinkError, LinkTimeout
from iocmng.links.clients import Links
from iocmng.links.feeds import Fanout, Feed
from iocmng.links.outbox import Outbox, Write
from iocmng.links.toggle import HeartbeatLink
from iocmng.links.worker import Worker
from iocmng.names import LinkAddress, Provider, parse_link
from iocmng.testing.links import FakeLinks
from iocmng.values import Reading


def wait_for(what, seconds: float = 10.0):
    deadline = time.monotonic() + seconds
    while not (result := what()):
        assert time.monotonic() < deadline, f"nothing after {seconds} s"
        time.sleep(0.005)
    return result


class TestAddress:
    @pytest.mark.parametrize(
        ("text", "provider", "pv"),
        [
            ("A:B", Provider.PVA, "A:B"),
            ("ca://A:B.SEVR", Provider.CA, "A:B.SEVR"),
            ("pva://A:B", Provider.PVA, "A:B"),
            ("  ca://A ", Provider.CA, "A"),
        ],
    )
    def test_read(self, text, provider, pv):
        assert parse_link(text, Provider.PVA) == LinkAddress(provider, pv)

    def test_written(self):
        assert str(LinkAddress(Provider.CA, "A:B")) == "ca://A:B"

    @pytest.mark.parametrize("text", ["", "  ", "ca://", "pva:// ", "A B", "A\tB"])
    def test_no_pv(self, text):
        with pytest.raises(BadInput, match="names no PV"):
            parse_link(text, Provider.CA)

    def test_unknown_scheme(self):
        with pytest.raises(BadInput, match="'pvaa'") as caught:
            parse_link("pvaa://X", Provider.CA)
        assert "'pva'" in caught.value.hint


class TestFeeds:
    def test_in_order_and_bounded(self):
        worker, go, got = Worker("test callbacks"), threading.Event(), []

        def slow(reading: Reading) -> None:
            go.wait(10)
            got.append(reading.value)

        feed = Feed(slow, worker, depth=5)
        for number in range(20):
            feed.push(Reading(number))
        go.set()
        wait_for(lambda: got and got[-1] == 19)
        worker.close()
        assert got == sorted(got)
        assert len(got) + feed.dropped == 20
        assert feed.dropped >= 14

    def test_a_busy_feed_lets_others_in_between(self):
        worker, go, order = Worker("test callbacks"), threading.Event(), []

        def first(reading: Reading) -> None:
            go.wait(10)
            order.append(("first", reading.value))

        one, other = Feed(first, worker), Feed(lambda reading: order.append(("other", reading.value)), worker)
        for number in range(50):
            one.push(Reading(number))
        other.push(Reading(0))
        go.set()
        wait_for(lambda: len(order) == 51)
        worker.close()
        assert order.index(("other", 0)) < 5

    def test_a_new_feed_starts_with_the_latest(self):
        worker, got = Worker("test callbacks"), []
        fanout = Fanout(Reading(None, connected=False))
        fanout.publish(Reading(1))
        fanout.add(Feed(lambda reading: got.append(reading.value), worker))
        fanout.publish(Reading(2))
        wait_for(lambda: got == [1, 2])
        worker.close()


class TestWorker:
    def test_jobs_timers_and_failures(self, caplog):
        worker, done = Worker("test worker"), []
        worker.submit(lambda: worker.after(0.02, lambda: done.append("later")))
        worker.submit(lambda: 1 / 0)
        worker.submit(lambda: done.append("now"))
        wait_for(lambda: done == ["now", "later"])
        worker.close()
        assert "ZeroDivisionError" in caplog.text
        assert not [thread for thread in threading.enumerate() if thread.name == "test worker"]


class TestRouting:
    def test_each_provider_gets_its_own_and_only_when_used(self):
        made: dict[Provider, FakeLinks] = {}

        def make(provider: Provider) -> FakeLinks:
            made[provider] = FakeLinks()
            made[provider].serve("X", 1 if provider is Provider.CA else 2)
            return made[provider]

        links = Links(Provider.PVA, make)
        assert links.get("X").value == 2
        assert set(made) == {Provider.PVA}
        values = [outcome.value for outcome in links.get_many(["ca://X", "X", "pva://X"])]
        assert values == [1, 2, 2]
        links.put("ca://X", 5)
        got: list[object] = []
        undo = links.monitor("ca://X", lambda reading: got.append(reading.value))
        links.post("ca://X", 6)
        undo()
        links.post("ca://X", 7)
        assert got == [5, 6]
        links.close()
        with pytest.raises(LinkError, match="closed"):
            links.get("X")
        with pytest.raises(LinkError, match="closed"):
            made[Provider.CA].get("X")

    def test_the_first_post_does_not_wait_for_the_client_library(self):
        imported, fake = threading.Event(), FakeLinks()
        fake.serve("X", 0)

        def slow(provider: Provider) -> FakeLinks:
            imported.wait(10)
            return fake

        links = Links(Provider.CA, slow)
        links.post("X", 1)
        assert fake.puts == []
        imported.set()
        wait_for(lambda: fake.puts == [("X", 1)])
        links.close()
        with pytest.raises(LinkError, match="closed"):
            links.post("X", 2)

    def test_a_batch_tells_each_outcome(self):
        links = Links(Provider.CA, lambda provider: FakeLinks())
        outcomes = links.get_many(["A", "pva://B"])
        assert [type(outcome) for outcome in outcomes] == [LinkTimeout, LinkTimeout]
        assert links.get_many([]) == []


class TestHeartbeat:
    def test_beats_are_written_and_never_raise(self):
        links = FakeLinks()
        heart = HeartbeatLink("ca://IOC:ALIVE", links)
        heart.beat(True)
        links.serve("ca://IOC:ALIVE", 0)
        heart.beat(True)
        heart.beat(False)
        links.disconnect("ca://IOC:ALIVE")
        heart.beat(True)
        assert links.puts == [("ca://IOC:ALIVE", 1), ("ca://IOC:ALIVE", 0)]


class TestOutbox:
    def make(self) -> tuple[Worker, Outbox, list[Write], list[Write]]:
        worker, started, cancelled = Worker("test outbox"), [], []
        return worker, Outbox("ca://X", worker, started.append, cancelled.append), started, cancelled

    def test_one_at_a_time_and_only_the_latest_posted(self):
        worker, outbox, started, _ = self.make()
        writes = [Write(number, time.monotonic() + 10) for number in range(5)]
        for write in writes:
            worker.submit(lambda write=write: outbox.add(write))
        wait_for(lambda: started == writes[:1])
        worker.submit(lambda: outbox.done(writes[0]))
        wait_for(lambda: [write.value for write in started] == [0, 4])
        worker.submit(lambda: outbox.done(writes[4]))
        wait_for(lambda: outbox.idle)
        worker.close()

    def test_those_that_somebody_waits_for_are_all_sent(self):
        worker, outbox, started, _ = self.make()
        outcomes = [Future() for _ in range(3)]
        writes = [
            Write(number, time.monotonic() + 10, told=outcome.set_result)
            for number, outcome in enumerate(outcomes)
        ]
        for write in writes:
            worker.submit(lambda write=write: outbox.add(write))
        for write, outcome in zip(writes, outcomes, strict=True):
            wait_for(lambda write=write: started and started[-1] is write)
            worker.submit(lambda write=write: outbox.done(write))
            assert outcome.result(5) is None
        worker.close()

    def test_each_has_its_own_deadline(self):
        worker, outbox, started, cancelled = self.make()
        outcome: Future[Exception | None] = Future()
        patient = Write(1, time.monotonic() + 60, told=Future().set_result)
        hasty = Write(2, time.monotonic() + 0.2, told=outcome.set_result)
        worker.submit(lambda: outbox.add(patient))
        wait_for(lambda: started == [patient])
        worker.submit(lambda: outbox.done(patient))
        worker.submit(lambda: outbox.add(hasty))
        error = outcome.result(10)
        assert isinstance(error, LinkTimeout)
        assert "ca://X" in str(error)
        assert cancelled == [hasty]
        worker.close()

    def test_one_that_waited_too_long_is_never_sent(self):
        worker, outbox, started, _ = self.make()
        outcome: Future[Exception | None] = Future()
        first = Write(1, time.monotonic() + 60)
        late = Write(2, time.monotonic() + 0.05, told=outcome.set_result)
        worker.submit(lambda: outbox.add(first))
        worker.submit(lambda: outbox.add(late))
        wait_for(lambda: time.monotonic() > late.deadline)
        worker.submit(lambda: outbox.done(first))
        assert isinstance(outcome.result(5), LinkTimeout)
        assert started == [first]
        worker.close()
