"""A Python program installs, waits, aborts and restarts the host."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from support.installs import PLAN, End, MemoryInstalls, source_of
from support.serving import SECRETS, Served, serving

from iocmng.client import Client
from iocmng.errors import BadInput, NoHost, NotAllowed, NotFound, Refused
from iocmng.lifecycle import Trigger
from iocmng.wire import InstallRequest, InstallVerb, OperationState, SourceRequest, Step

DEADLINE = 10.0


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("state")) as found:
        yield found


@pytest.fixture
def served(endpoint: Served) -> Served:
    endpoint.call(endpoint.control.__init__)  # type: ignore[misc]
    return endpoint


@pytest.fixture
def installs(served: Served) -> MemoryInstalls:
    return served.control.installs


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with Client(served.url, SECRETS["admin"]) as made:
        yield made


def test_each_verb_asks_for_itself(installs: MemoryInstalls, client: Client) -> None:
    assert client.install("acme-beam>=2", restart_host=True).state is OperationState.DONE
    client.upgrade("acme-beam", accept_reconnect=True)
    client.uninstall("acme-beam")
    client.rollback(2)
    client.from_lock()
    client.fetch("pump")
    asked = [request for request, _ in installs.requests]
    assert asked == [
        InstallRequest(requirements=("acme-beam>=2",), restart_host=True),
        InstallRequest(verb=InstallVerb.UPGRADE, requirements=("acme-beam",), accept_reconnect=True),
        InstallRequest(verb=InstallVerb.UNINSTALL, requirements=("acme-beam",)),
        InstallRequest(verb=InstallVerb.ROLLBACK, generation=2),
        InstallRequest(verb=InstallVerb.FROM_LOCK),
        InstallRequest(verb=InstallVerb.FETCH, requirements=("pump",)),
    ]
    assert [view.verb.value for view in client.operations()][-2:] == ["upgrade", "install"]


def test_a_plan_changes_nothing(served: Served, installs: MemoryInstalls, client: Client) -> None:
    planned = client.plan("acme-beam", "acme-lib")
    assert planned.plan == PLAN
    assert planned.planned_only
    assert installs.requests == [(InstallRequest(requirements=("acme-beam", "acme-lib")), True)]
    assert "beam" not in served.control.views
    client.plan(InstallRequest(verb=InstallVerb.ROLLBACK, generation=1))
    assert installs.requests[-1][0].generation == 1


def test_a_plugin_directory_with_its_token(installs: MemoryInstalls, client: Client) -> None:
    source = SourceRequest(
        name="beam", git_url="https://h/x.git", token="secret-1", parameters={"gain": 1.5}, auto_start=False
    )
    view = client.install(source=source)
    assert source_of(installs) == source
    assert "secret-1" not in repr(view)


def test_what_failed_is_returned_with_its_reason(installs: MemoryInstalls, client: Client) -> None:
    installs.end = End(
        state=OperationState.ROLLED_BACK,
        message="ended in ERROR",
        hint="see its log",
        failed_step=Step.CONFIRM,
    )
    for begin in (
        partial(client.install, "acme-beam"),
        partial(client.add_instance, "pump", "pump-2"),
        partial(client.remove, "pump"),
    ):
        # With and without waiting: it may have ended before the host could answer.
        for view in (begin(), begin(wait=0)):
            assert (view.state, view.failed_step, view.hint) == ("ROLLED_BACK", Step.CONFIRM, "see its log")
            assert view.message == "ended in ERROR"


def test_waiting_ends_with_the_operation_or_with_its_time(
    served: Served, installs: MemoryInstalls, client: Client
) -> None:
    installs.held = True
    begun = client.install("acme-beam", wait=0)
    assert begun.state is OperationState.RUNNING
    assert client.operation(begun.id, wait=0.01).state is OperationState.RUNNING
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.operation, begun.id, wait=None)
        served.call(installs.finish)
        assert waiting.result(DEADLINE).state is OperationState.DONE
    assert client.abort_operation(begun.id).state is OperationState.DONE


def test_an_operation_is_aborted(installs: MemoryInstalls, client: Client) -> None:
    installs.held = True
    begun = client.upgrade("acme-beam", wait=0)
    with pytest.raises(Refused, match=rf"operation {begun.id} \(upgrade\) is under way"):
        client.install("acme-lib")
    assert client.abort_operation(begun.id).state is OperationState.ABORTED


def test_refusals_are_errors(client: Client, served: Served) -> None:
    with pytest.raises(BadInput, match="nothing to install"):
        client.install()
    with pytest.raises(NotFound, match="op-99"):
        client.operation("op-99")
    with Client(served.url, SECRETS["operator"]) as operator, pytest.raises(NotAllowed):
        operator.install("acme-beam")


def test_generations(client: Client) -> None:
    kept = client.generations()
    assert [(one.number, one.current, one.problem) for one in kept] == [
        (3, True, ""),
        (2, False, ""),
        (1, False, "its marker is missing"),
    ]
    assert kept[0].origins == {"acme-beam": "index"}


def test_restart_host_waits_for_the_next_process(
    served: Served, installs: MemoryInstalls, client: Client
) -> None:
    installs.restarted = lambda: setattr(served.control, "awaited", "starts")
    with pytest.raises(NoHost, match=r"not back after 0.3 s: it has not gone yet") as refused:
        client.restart_host(wait=0.3)
    assert refused.value.error_code == "not-back"
    served.control.boot_id = "boot-9"
    with pytest.raises(NoHost, match="starts"):
        client.returned("boot-1", wait=0.3)
    threading.Timer(0.1, setattr, (served.control, "awaited", None)).start()
    client.returned("boot-1", wait=DEADLINE)
    client.restart_host(wait=0)
    assert installs.restarts == 2


def test_a_restart_of_an_instance_fetches_nothing(installs: MemoryInstalls, client: Client) -> None:
    installs.fetched = {"pump"}
    client.act("pump", Trigger.RESTART)
    assert installs.requests == []
