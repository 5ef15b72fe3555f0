"""What is refused or fails while it is being installed leaves a running host as it was, and is said with its step."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
import yaml
from hosts import free_ports, own_world
from support.installing import based, indexed, installing_host, standing
from support.started import Started, until
from support.wheels import CODE, CONFIG, rewrite, simple_index, wheel

from iocmng.errors import BadInput, Refused
from iocmng.wire import EventKind, OperationState, OperationView, SourceRequest, Step

PREFIX = "REFUSE"
PATIENCE = 60.0
SECRET = "hunter2hunter2"


@dataclass
class Place:
    """A host with a task of the base and a plugin that was installed into it, and the index it looks at."""

    host: Started
    index: Path
    cycles: dict[str, int] = field(default_factory=dict)

    def wheel(
        self, name: str, version: str = "1.0", *, code: str = "", config: str = "", **more: object
    ) -> str:
        """Put a plugin into the index; returns what to ask for."""
        files = {f"{name}/plugin.py": code or CODE, f"{name}/config.yaml": config or CONFIG}
        wheel(self.index, name, version, plugin=name, files=files, **more)  # type: ignore[arg-type]
        return f"{name}=={version}"

    def ended(self, begun: OperationView) -> OperationView:
        """The operation when it is over."""
        return self.host.client.operation(begun.id, wait=PATIENCE)

    def tried(self, *requirements: str) -> OperationView:
        """Install."""
        return self.ended(self.host.client.install(*requirements, wait=0.0))

    def went_on(self, *names: str) -> None:
        """Wait until each has cycled since it was last looked at."""
        for name in names:
            before = self.cycles.get(name, 0)
            until(lambda name=name, before=before: self.host.view(name).cycles > before, f"{name} cycles")
            self.cycles[name] = self.host.view(name).cycles

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Nothing is other afterwards than it was before, and all went on meanwhile."""
        self.went_on("witness", "resident")
        before = standing(self.host)
        yield
        assert standing(self.host) == before
        self.went_on("witness", "resident")

    def indexed_by(self, index: str) -> None:
        """Let the host look elsewhere."""
        file = Path(self.host.host.env["IOCMNG_CONFIG"])
        site = yaml.safe_load(file.read_text())
        site["install"]["index"] = index
        file.write_text(yaml.safe_dump(site))
        self.host.client.reload_config()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("refusals")
    index, site = indexed(home, {}, confirm_for=1.0)
    environment = {
        **own_world(home),
        **site,
        **based(home, wheel(home / "wheels", "witness", plugin="witness")),
    }
    with installing_host(home, PREFIX, environment) as host:
        made = Place(host, index)
        arrived = made.tried(made.wheel("resident"))
        assert arrived.state is OperationState.DONE, arrived.message
        host.reaches("resident", "RUN")
        yield made
        assert host.host.stop() == 0
        lines = host.host.output.splitlines()
        for before, line in pairwise(lines):
            assert "Traceback" not in line or "[resident]" in before, "\n".join(lines)


def _conflict(place: Place) -> str:
    return place.wheel("greedy", requires=["pydantic<1"])


def _missing(place: Place) -> str:
    return "nobody-has-written-this>=1"


def _corrupt(place: Place) -> str:
    asked = place.wheel("torn")
    file = place.index / "torn-1.0-py3-none-any.whl"
    file.write_bytes(file.read_bytes()[:-200])
    return asked


def _wrong_record(place: Place) -> str:
    asked = place.wheel("forged")
    rewrite(place.index / "forged-1.0-py3-none-any.whl", {}, wrong="forged/plugin.py")
    return asked


def _climbs(place: Place) -> str:
    asked = place.wheel("climber")
    rewrite(place.index / "climber-1.0-py3-none-any.whl", {"../../climbed.py": "evil = True\n"})
    return asked


def _shadows(place: Place) -> str:
    asked = place.wheel("shadow")
    rewrite(place.index / "shadow-1.0-py3-none-any.whl", {"witness/extra.py": "extra = True\n"})
    return asked


def _encoded(place: Place) -> str:
    return "/tmp/%2e%2e/etc"


@pytest.mark.parametrize(
    ("prepare", "state", "step", "says"),
    [
        (_conflict, OperationState.REFUSED, Step.PLAN, "pydantic"),
        (_missing, OperationState.REFUSED, Step.PLAN, "nobody-has-written-this"),
        (_encoded, OperationState.REFUSED, Step.PLAN, "%2e%2e"),
        (_corrupt, None, Step.PLAN, "torn"),
        (_wrong_record, OperationState.REFUSED, None, "forged"),
        (_climbs, OperationState.REFUSED, None, "climbed.py"),
        (_shadows, OperationState.REFUSED, None, "witness"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_cannot_be_installed_is_refused_with_its_step(
    place: Place, prepare: Callable[[Place], str], state: OperationState | None, step: Step | None, says: str
) -> None:
    with place.unchanged():
        over = place.tried(prepare(place))
        assert over.state is state or (
            state is None and over.state in (OperationState.REFUSED, OperationState.FAILED)
        )
        assert says in over.message, over
        assert over.failed_step is not None
        assert step is None or over.failed_step is step
        assert over.code


def test_plugins_that_cannot_work_are_refused_with_every_finding(place: Place) -> None:
    asked = [
        place.wheel("stumbles", code="raise RuntimeError('not on this machine')\n"),
        place.wheel("leaver", code="import os\nos._exit(3)\n"),
        place.wheel("typo", config=CONFIG.replace("type: int", "tpye: int")),
        place.wheel("double", config="prefix: WITNESS\n" + CONFIG),
    ]
    with place.unchanged():
        over = place.tried(*asked)
        assert (over.state, over.failed_step, over.code) == (OperationState.REFUSED, Step.PROBE, "probe"), (
            over
        )
    assert over.plan is not None
    told = "\n".join(f"{finding} {finding.hint}" for finding in over.plan.findings)
    for words in ("not on this machine", "leaver", "config.yaml:3", "tpye", f"{PREFIX}:WITNESS:"):
        assert words in told, told


def test_what_needs_more_spares_than_there_are_is_refused_with_numbers(place: Place) -> None:
    outputs = ", ".join(f"P{number}: {{type: float}}" for number in range(400))
    with place.unchanged():
        over = place.tried(place.wheel("large", config=f"arguments: {{outputs: {{{outputs}}}}}"))
        assert (over.state, over.failed_step) == (OperationState.REFUSED, Step.SWITCH), over
        assert over.code == "spares-short"
    assert over.plan is not None
    need, free = over.plan.spares["ai"]
    assert need > 400 > free
    assert f"ai {need} needed, {free} free" in over.message
    assert "spares" in over.hint
    assert "--restart-host" in over.hint


def test_an_index_that_is_away_or_lies_changes_nothing(place: Place, tmp_path: Path) -> None:
    (closed,) = free_ports(1)
    pages = simple_index(tmp_path / "pages", [wheel(tmp_path, "liar", plugin="liar")])
    page = pages / "liar" / "index.html"
    page.write_text(re.sub("sha256=[0-9a-f]{64}", f"sha256={64 * '0'}", page.read_text()))
    try:
        with place.unchanged():
            place.indexed_by(f"http://127.0.0.1:{closed}/simple/")
            over = place.tried("anything")
            assert (over.state, over.failed_step, over.code) == (OperationState.FAILED, Step.PLAN, "index"), (
                over
            )
            place.indexed_by(str(pages))
            over = place.tried("liar==1.0")
            assert (over.state, over.code) == (OperationState.REFUSED, "wheel-hash"), over
    finally:
        place.indexed_by(str(place.index))


def test_a_second_operation_waits_its_turn_and_the_first_can_be_aborted(place: Place) -> None:
    asked = place.wheel("first")
    with place.unchanged():
        first = place.host.client.install(asked, wait=0.0)
        with pytest.raises(Refused, match=first.id):
            place.host.client.install("second", wait=0.0)
        place.host.client.abort_operation(first.id)
        over = place.ended(first)
        assert over.state is OperationState.ABORTED, over


FAILS = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def initialize(self):
        if {early}:
            raise RuntimeError("cannot begin")

    def execute(self):
        if self.cycle_count == 3:
            raise RuntimeError("cannot go on")
        self.set_pv("COUNT", self.cycle_count)
"""


@pytest.mark.parametrize(
    ("version", "early", "reason"), [("2.0", 1, "cannot begin"), ("3.0", 0, "cannot go on")]
)
def test_a_version_that_does_not_run_is_taken_back(
    place: Place, version: str, early: int, reason: str
) -> None:
    place.went_on("witness")
    before = standing(place.host)
    asked = place.wheel("resident", version, code=FAILS.format(early=early))
    over = place.ended(place.host.client.upgrade(asked, wait=0.0))
    assert (over.state, over.failed_step) == (OperationState.ROLLED_BACK, Step.CONFIRM), over
    assert reason in over.message
    place.host.reaches("resident", "RUN")
    after = standing(place.host)
    # What was not kept is named, and goes at the next start.
    left = str(over.generation)
    assert reason in after["pointer"]["rejected"].pop(left)
    assert reason in after["generations"].pop(over.generation)[1]
    after["folders"].remove(left)
    *shown, _ = after["instances"].pop("resident")
    assert (*shown,) == before["instances"].pop("resident")[:-1]
    assert after == before
    place.cycles.pop("resident", None)
    place.went_on("witness", "resident")
    assert place.host.view("witness").restarts == 0
    events = place.host.client.follow(after="0", kinds=[EventKind.INSTALL], patience=0.0)
    deadline = time.monotonic() + PATIENCE
    for event in events:
        assert time.monotonic() < deadline
        if event.data.get("operation") == over.id and event.data["state"] == "ROLLED_BACK":
            assert reason in event.data["message"]
            break
    assert any(reason in line.text for line in place.host.client.log("HOST")), "the log says why"


@pytest.mark.parametrize(
    "requirement",
    [
        "../elsewhere/wheel-1.0-py3-none-any.whl",
        "/tmp/../etc",
        f"git+https://user:{SECRET}@127.0.0.1/plugin.git",
        f"https://user:{SECRET}@127.0.0.1/thing-1.0-py3-none-any.whl",
        "--index-url=http://127.0.0.1/",
        "-r /etc/passwd",
        "name\n--no-index",
    ],
)
def test_tricks_in_requirements_are_refused_before_anything_begins(place: Place, requirement: str) -> None:
    with place.unchanged(), pytest.raises(BadInput) as refused:
        place.host.client.install(requirement, wait=0.0)
    assert SECRET not in str(refused.value)
    assert SECRET not in place.host.host.output


@pytest.mark.parametrize(
    "source",
    [
        {"name": "../climber", "local_path": "/tmp"},
        {"name": "climber", "local_path": "../tmp"},
        {"name": "climber", "local_path": "/tmp", "path": "../etc"},
        {"name": "climber", "local_path": "/tmp", "path": "/etc"},
        {"name": "climber", "git_url": f"https://user:{SECRET}@127.0.0.1/plugin.git"},
        {"name": "climber", "git_url": "--upload-pack=touch /tmp/x"},
        {"name": "climber", "git_url": "file:///tmp"},
    ],
    ids=lambda source: "-".join(source),
)
def test_tricks_in_names_and_paths_are_refused_before_anything_begins(
    place: Place, source: dict[str, str]
) -> None:
    with place.unchanged(), pytest.raises(BadInput) as refused:
        place.host.client.install(source=SourceRequest(**source), wait=0.0)  # type: ignore[arg-type]
    assert SECRET not in str(refused.value)


def test_a_task_that_is_posted_as_a_job_is_refused(place: Place) -> None:
    asked = place.wheel("wrongway")
    with place.unchanged():
        answer = httpx.post(
            f"{place.host.host.url}/api/v1/jobs",
            json={"requirement": asked},
            headers={"Authorization": f"Bearer {(place.host.state_dir / 'token').read_text().strip()}"},
            timeout=PATIENCE,
        )
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong-kind")
    assert "wrongway is a task, and a job is asked for" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["%2e%2e", "..%2f..%2fstate", "%2Fetc", "resident%00"])
def test_tricks_in_addresses_find_nothing(place: Place, name: str) -> None:
    token = (place.host.state_dir / "token").read_text().strip()
    with place.unchanged():
        answer = httpx.delete(
            f"{place.host.host.url}/api/v1/plugins/{name}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=PATIENCE,
        )
    assert 400 <= answer.status_code < 500
