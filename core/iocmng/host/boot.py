"""`iocmng run`: from settings to a serving host, and from a signal to an exit code."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from iocmng.errors import BadInput, BootFailed, ExitCode, InstallFailed, IocmngError
from iocmng.host.added import AddedInstances
from iocmng.host.admin import Admin
from iocmng.host.again import Start, exec_again
from iocmng.host.confirming import Confirming
from iocmng.host.early import Stopped, release_signals, serve_signals, stop_came, stop_on_signals
from iocmng.host.entries import (
    EntriesOutcome,
    fetching_environ,
    install_entries,
    remember_invalid,
    site_installer,
)
from iocmng.host.finding_plugins import find_plugins
from iocmng.host.generations import BootGeneration, boot_generation, settle_lock, uncount
from iocmng.host.installing import InstallPlan
from iocmng.host.libraries import import_host
from iocmng.host.notify import ToldToSystemd
from iocmng.host.plan import HostPlan, script_roots
from iocmng.host.reloading import Reloading
from iocmng.host.summary import summary
from iocmng.links import pv_client
from iocmng.plugins.installing.generations import Generations
from iocmng.plugins.journal import Journal
from iocmng.plugins.sitepath import append_site
from iocmng.runtime.clock import RealClock
from iocmng.runtime.desired import Boots, DesiredState
from iocmng.runtime.events import EventBus
from iocmng.runtime.lock import Holder, StateLock, private_directory
from iocmng.runtime.logfiles import LogFormat
from iocmng.runtime.logs import LogBook
from iocmng.settings import Settings, load_settings
from iocmng.wire import EventKind

_log = logging.getLogger("iocmng.host")
FAILED_BOOTS = 3
SETTLED_AFTER = 10.0
LONG_START = 60.0
"""Seconds after which a start that is ended from outside is taken for one that hung."""

LAST_WORDS = 3.0
"""Seconds that threads of a host which has stopped may take before the process is replaced without them."""


def run(overrides: Mapping[str, Any]) -> int:
    """Run a host in the foreground until it is stopped.

    Args:
        overrides: Options of the command line, see `load_settings`.

    Returns:
        The exit code: 0 stopped, 1 boot failed, 2 usage or site file, 75 asks for a restart.
    """
    start = Start.here()
    reread = partial(load_settings, overrides, start.environ, Path.cwd())
    try:
        settings = reread()
    except BadInput as error:
        _tell(error)
        return ExitCode.USAGE
    os.environ.pop("IOCMNG_TOKEN", None)
    # With that right EPICS locks the whole process in memory; it looks when its libraries are loaded.
    os.environ.setdefault("EPICS_ALLOW_POSIX_THREAD_PRIORITY_SCHEDULING", "NO")
    stop_on_signals()
    # What boot makes stays for the life of the process: looking for garbage among it only costs time.
    gc.disable()
    try:
        end = _locked(settings, reread, start)
        if end.again is not None and not stop_came():
            exec_again(start, end.again)
        return ExitCode.DONE if stop_came() else end.code
    except Stopped:
        return ExitCode.DONE
    except BadInput as error:
        _tell(error)
        return ExitCode.USAGE
    except IocmngError as error:
        _tell(error)
        return ExitCode.FAILED


@dataclass(frozen=True, slots=True)
class _End:
    """The exit code, and the listening socket for the process that follows at once, None when none does."""

    code: int
    again: socket.socket | None = None


def _tell(error: IocmngError) -> None:
    print(f"iocmng run: {error.detail}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Boot:
    """What is held, and what was noted, from before plugins are looked for until the process ends."""

    start: Start
    settings: Settings
    lock: StateLock
    admin: Admin
    logs: LogBook
    journal: Journal
    boots: Boots
    attempts: int
    chosen: BootGeneration
    entries: EntriesOutcome
    reloading: Reloading
    begun: float = field(default_factory=time.monotonic)

    @property
    def safe_mode(self) -> str:
        """Why no plugins are loaded, or ""."""
        if self.settings.safe_mode:
            return "asked for"
        if self.attempts > FAILED_BOOTS:
            return f"{self.attempts - 1} boots in a row have failed; the log of the last one says why"
        return ""

    def not_counted(self) -> None:
        """This start ends for a reason that plugins have nothing to do with."""
        self.boots.refused()
        # Who ends a start that takes long may do so because it hangs.
        if self.chosen.pending is not None and time.monotonic() - self.begun < LONG_START:
            uncount(self.settings.state_dir)


def _locked(settings: Settings, reread: Callable[[], Settings], start: Start) -> _End:
    """Hold state directory and port, and what was noted there, for the time of the host."""
    private_directory(settings.state_dir)
    holder = Holder(os.getpid(), os.uname().nodename, settings.prefix, started=time.time())
    with StateLock(settings.state_dir, holder) as lock, Admin(settings, start.listening) as admin:
        logs = _logs(settings)
        journal = Journal(settings.state_dir)
        entries = EntriesOutcome()
        if not settings.safe_mode:
            entries = install_entries(settings, Generations(settings.state_dir), site_installer)
        # Without plugins nothing is tried, and so nothing is counted.
        chosen = (
            BootGeneration() if settings.safe_mode else boot_generation(settings.state_dir, journal.problem)
        )
        boots = Boots(settings.state_dir / "boots.json", RealClock())
        boot = _Boot(
            start=start,
            settings=settings,
            lock=lock,
            admin=admin,
            logs=logs,
            journal=journal,
            boots=boots,
            attempts=boots.begin(known=bool(journal.convicted) or chosen.changed),
            chosen=chosen,
            entries=entries,
            reloading=Reloading(settings, reread, admin, logs),
        )
        try:
            return _serve(boot)
        except Stopped:
            boot.not_counted()
            boots.succeeded()
            raise
        except (IocmngError, OSError) as error:
            failure = error if isinstance(error, IocmngError) else _of_system(error, settings.state_dir)
            # What ends a boot is read in the log by whoever was not at the terminal.
            _log.error("boot failed: %s", failure.detail)
            if isinstance(failure, (BootFailed, BadInput)):
                boot.not_counted()
            raise failure from error
        finally:
            journal.close()
            logs.close()


def _of_system(error: OSError, state_dir: Path) -> BootFailed:
    where = error.filename or f"a file in {state_dir}"
    return BootFailed(
        f"{where}: {error.strerror or error}", hint=f"make room in {state_dir}, or mend its permissions"
    )


def _logs(settings: Settings) -> LogBook:
    log = settings.log
    logs = LogBook(
        RealClock(),
        directory=settings.log_dir,
        level=log.level,
        form=LogFormat(log.format),
        max_mb=log.max_mb,
        keep=log.keep,
        console=sys.stderr,
    )
    logs.install()
    return logs


def _serve(boot: _Boot) -> _End:
    settings, journal, chosen, safe_mode = boot.settings, boot.journal, boot.chosen, boot.safe_mode
    problems = [str(finding) for finding in settings.findings]
    problems += filter(None, (boot.boots.problem, journal.problem))
    problems += (*boot.entries.problems, *chosen.problems)
    desired = DesiredState(settings.state_dir / "desired.json", RealClock())
    problems += desired.load()
    # EPICS' libraries take half a second to load, part of it waiting; and they look at every frame of the stack
    # that imports them, which is short in a thread of its own.
    threading.Thread(target=import_host, name="iocmng-import").start()
    if chosen.generation is not None and not safe_mode:
        append_site(chosen.generation.site)
    added = AddedInstances(settings.state_dir, time.time())
    problems += added.problems
    found = find_plugins(
        added.with_added(settings),
        journal,
        safe=bool(safe_mode),
        generation=chosen.generation,
        lost=chosen.lost,
        broken=boot.entries.broken,
    )
    if not safe_mode:
        remember_invalid(settings.state_dir, found.invalid_directories)
    plan = HostPlan(
        prefix=settings.prefix,
        default_prefix=settings.default_prefix,
        name=settings.name or settings.prefix,
        state_dir=settings.state_dir,
        candidates=found.candidates,
        load=found.load,
        only=frozenset(settings.only),
        safe_mode=safe_mode,
        access_security=settings.access_security,
        autosave_dir=settings.autosave_dir,
        autosave_period=settings.autosave.period,
        autosave_keep=settings.autosave.keep,
        beamline=settings.beamline,
        keep_runs=settings.runs.keep,
        script_roots=script_roots(settings),
        problems=(*problems, *found.problems),
        describe_config=boot.reloading.describe,
        reload=boot.reloading.reload,
        note=found.note,
        look_at=found.look_at,
        changed=found.changed,
        provenance=found.provenance,
        installing=InstallPlan(
            found=found,
            added=added,
            settings=lambda: boot.reloading.settings.install,
            spares=settings.spares,
            environ=fetching_environ(settings),
        ),
    )
    return asyncio.run(_main(plan, boot, desired, found.hooks))


async def _main(plan: HostPlan, boot: _Boot, desired: DesiredState, hooks: Any) -> _End:
    admin, boots = boot.admin, boot.boots
    # The web framework takes a third of a second to import: it comes in while iocInit sleeps.
    admin.import_soon()
    from iocmng.host.host import Host

    pv_client.init(pva=boot.settings.pva)
    host = Host(plan, boot.logs, desired, hooks)
    host.make_records()
    host.serve_records()
    loop = asyncio.get_running_loop()
    serve_signals(host.ending.stop)
    host.ending.check = boot.reloading.check
    host.url = admin.url
    host.begin()
    assert host.service is not None
    # Before anybody can ask for an installation, whose unfinished generation would go too.
    await asyncio.to_thread(_prune, plan.state_dir)
    await admin.start(host.service, await host.site.routers(), host.site.refuse_route)
    boot.lock.announce(admin.url)
    print(summary(host.view(), [(one.view(), one.spec) for one in host.supervisor]), flush=True)
    gc.freeze()
    gc.enable()
    settle = loop.call_later(SETTLED_AFTER, lambda: threading.Thread(target=boots.succeeded).start())
    confirming = Confirming(plan.state_dir, boot.chosen, partial(_told, host.events))
    if not plan.safe_mode:
        seconds = boot.settings.install.confirm_for
        confirming.begin(host.supervisor, seconds, RealClock(), host.ending.restart)
    with ToldToSystemd(os.environ, host.supervisor.env.records, plan.prefix) as told:
        await host.ending.asked()
        told.reason = host.ending.reason or told.reason
        told.again = host.ending.again
    settle.cancel()
    kept = admin.hand_over() if host.ending.again else None
    # An instance that wants the process to end did not run well.
    await confirming.over(counted=bool(host.ending.reason))
    await asyncio.gather(host.stop(), admin.stop(handed_over=kept is not None))
    await asyncio.to_thread(pv_client.close)
    boots.succeeded()
    if kept is not None:
        release_signals()
        if host.ending.again:
            _log.info("the process is replaced by a new one of itself")
            _in_any_case(boot.start, kept)
            return _End(ExitCode.RESTART, kept)
        # A signal has come since.
        kept.close()
        admin.forget()
    if host.ending.reason:
        _log.error("asks to be started again: %s", host.ending.reason)
        return _End(ExitCode.RESTART)
    return _End(ExitCode.DONE)


def _in_any_case(start: Start, kept: socket.socket) -> None:
    """Replace the process also when something of the host does not come to its end."""

    def late() -> None:
        if not stop_came():
            exec_again(start, kept)

    timer = threading.Timer(LAST_WORDS, late)
    timer.daemon = True
    timer.start()


def _prune(state_dir: Path) -> None:
    try:
        if settle_lock(state_dir):
            _log.info("plugins.lock was behind its generation and is written anew")
    except InstallFailed as error:
        _log.error("%s", error)
    for line in Generations(state_dir).prune():
        _log.info("generations: %s", line)


def _told(events: EventBus, text: str, good: bool) -> None:
    _log.log(logging.INFO if good else logging.ERROR, "%s", text)
    events.publish(EventKind.INSTALL, text=text, data={"confirmed": good})
