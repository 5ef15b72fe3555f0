"""SIGKILL of a host while it installs, and of what installs for it; `python tests/churn --kills 50` is longer."""

from __future__ import annotations

import random
from pathlib import Path

from churn.kills import World
from support.installing import standing
from support.started import Started

from iocmng.wire import OperationState, Step


def test_a_host_and_its_installer_may_be_killed_at_any_step(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    before_switch = chance.choice((Step.PLAN, Step.STAGE, Step.PROBE))
    after = chance.choice((Step.SWITCH, Step.CONFIRM))
    print(f"seed {seed}: {before_switch}, {after}")
    world = World(tmp_path, seed)

    def kill_its_children(host: Started) -> None:
        before = standing(host)
        over = world.kill_child(host, "/uv")
        assert over.state in (OperationState.FAILED, OperationState.REFUSED), over
        assert over.message
        assert standing(host) == before
        assert world.kill_child(host, "probe_child").over
        world.check(host)
        world.kill(host, before_switch)

    world.live(kill_its_children)
    world.live(lambda host: world.kill(host, after))
    world.live(lambda host: None)
