"""What a host is made from: settings and catalog brought into the form that the composition needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iocmng.errors import Refused
from iocmng.plugins.candidate import Candidate
from iocmng.runtime.runs import KEEP_RUNS
from iocmng.settings.settings import Settings
from iocmng.spec import PluginRef
from iocmng.wire import ReloadView

if TYPE_CHECKING:
    from iocmng.host.installing import InstallPlan

Load = Callable[[PluginRef, str], type]
"""Imports the class of a plugin for the instance of that name."""


def _unnoted(instance: str, what: str) -> None:
    """A host without plugins of its own choice keeps no journal."""


def _from_base(plugin: PluginRef) -> tuple[int | None, str]:
    return None, "base" if plugin.distribution else ""


async def _not_reloadable() -> ReloadView:
    raise Refused("this host has no site file", hint="start it with: iocmng run")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlan:
    """Everything that is fixed before records are made.

    Attributes:
        prefix: PV prefix of the host; `default_prefix` says that nobody chose it.
        name: The host's name.
        state_dir: Private directory; its lock is held already.
        candidates: Instances, valid and not.
        load: Imports a plugin's class.
        only: When not empty, no other instances start.
        safe_mode: Why the host runs without plugins, or "".
        host_pvs: Whether the host has PVs of its own.
        access_security: The site's access file.
        pva: Whether PV Access is served.
        autosave_dir: Where inputs are kept; `autosave_period` in seconds, `autosave_keep` backups.
        beamline: Content of the beamline file.
        keep_runs: How many ended runs of a job are kept.
        script_roots: Folders under which scripts with an absolute path may lie.
        problems: What boot found that does not stop it.
        describe_config: Settings in force, for listings.
        reload: Reads the settings again, and applies what it can; raises BadInput.
        note: Keeps the journal; see `Environment.note`.
        look_at: Validates one instance again, after which `load` gives its present code; None when it is gone.
        changed: Whether files of an instance's plugin differ from what is loaded.
        provenance: Generation and origin of a plugin's distribution, as `InstanceView` has them.
        installing: Lets plugins come and go; None where that is not foreseen.
        boot_times: Seconds each phase before took, for the log.
    """

    prefix: str
    name: str
    state_dir: Path
    candidates: tuple[Candidate, ...]
    load: Load
    default_prefix: bool = False
    only: frozenset[str] = frozenset()
    safe_mode: str = ""
    host_pvs: bool = True
    access_security: Path | None = None
    pva: bool = True
    autosave_dir: Path | None = None
    autosave_period: float = 10.0
    autosave_keep: int = 5
    beamline: Mapping[str, Any] = field(default_factory=dict)
    keep_runs: int = KEEP_RUNS
    script_roots: tuple[Path, ...] = ()
    problems: tuple[str, ...] = ()
    describe_config: Callable[[], Mapping[str, Any]] = dict
    reload: Callable[[], Awaitable[ReloadView]] = _not_reloadable
    note: Callable[[str, str], None] = _unnoted
    look_at: Callable[[str], Candidate | None] | None = None
    changed: Callable[[str], bool] = lambda instance: False
    provenance: Callable[[PluginRef], tuple[int | None, str]] = _from_base
    installing: InstallPlan | None = None
    boot_times: Mapping[str, float] = field(default_factory=dict)


def script_roots(settings: Settings) -> tuple[Path, ...]:
    """The folders of `scripts.roots`; a relative one counts from the site file."""
    base = settings.file.parent if settings.file else Path.cwd()
    return tuple(base / root for root in settings.scripts.roots)
