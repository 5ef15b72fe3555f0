"""What a host needs to let plugins come and go, and how that is put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iocmng.host.added import AddedInstances
from iocmng.host.changing import Changing
from iocmng.host.ending import Ending
from iocmng.host.finding_plugins import FoundPlugins
from iocmng.host.installs import HostInstalls
from iocmng.host.instance_changes import InstanceChanges
from iocmng.host.performing import Performing
from iocmng.plugins.candidate import Candidate
from iocmng.plugins.installing.generations import Generations
from iocmng.runtime.autosave import Autosave
from iocmng.runtime.desired import DesiredState
from iocmng.runtime.instance import Instance
from iocmng.runtime.rollout import Exchange
from iocmng.runtime.supervisor import Supervisor
from iocmng.settings import InstallSettings
from iocmng.settings.site import SpareSettings
from iocmng.spec import RecordSpec
from iocmng.wire import Actor

if TYPE_CHECKING:
    from iocmng.plugins.installing.installer import Installer


@dataclass(frozen=True, kw_only=True)
class InstallPlan:
    """What boot knows.

    Attributes:
        found: The plugins.
        added: Instances beside those of the site file.
        settings: The section `install` in force, at any time.
        spares: How many hidden records there are.
        environ: The environment of the host, for the tools that install.
    """

    found: FoundPlugins
    added: AddedInstances
    settings: Callable[[], InstallSettings]
    spares: SpareSettings
    environ: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Running:
    """What the host has when it runs.

    Attributes:
        supervisor: Its instances.
        make: Makes an instance that arrives.
        told: Told of records that have appeared, and of those that have gone.
        autosave: Saved inputs, None when nothing is saved.
        desired: What operators want of them.
        starts: Whether an instance is to run.
        disable: Lets an instance start at boot no more, and stops it.
        restart_required: Told whether a generation waits for the next start of the host.
        ending: How it ends.
        boot_id: Of this process.
        state_dir: Its state.
        safe_mode: Why it runs without plugins, or "".
    """

    supervisor: Supervisor
    make: Callable[[Candidate], Instance]
    told: Callable[[Sequence[RecordSpec], Sequence[RecordSpec]], None]
    autosave: Autosave | None
    desired: DesiredState
    starts: Callable[[Instance], bool]
    disable: Callable[[str, Actor], object]
    restart_required: Callable[[bool], None]
    ending: Ending
    boot_id: str
    state_dir: Path
    safe_mode: str = ""


def installs_of(plan: InstallPlan, host: Running) -> HostInstalls:
    """Put the parts together."""
    generations = Generations(host.state_dir)

    def installer() -> Installer:
        # Most starts install nothing, and none waits for what that needs.
        from iocmng.plugins.installing.installer import Installer

        return Installer(host.state_dir, plan.settings(), environ=plan.environ)

    exchange = Exchange(host.supervisor, make=host.make, told=host.told, autosave=host.autosave)
    changing = Changing(plan.found, exchange, host.supervisor, host.desired, host.starts)
    instances = InstanceChanges(
        plan.found,
        changing,
        generations=generations,
        added=plan.added,
        settings=plan.settings,
        safe=host.safe_mode,
    )
    performing = Performing(
        plan.found,
        changing,
        generations=generations,
        installer=installer,
        instances=instances,
        settings=plan.settings,
        ending=host.ending,
        restart_required=host.restart_required,
        safe=host.safe_mode,
    )
    return HostInstalls(
        performing,
        instances,
        host.supervisor,
        generations=generations,
        added=plan.added,
        settings=plan.settings,
        disable=host.disable,
        events=host.supervisor.env.events,
        ending=host.ending,
        boot_id=host.boot_id,
    )
