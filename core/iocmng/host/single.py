"""`iocmng-run` and `run_ioc`: one class in a host of its own, without packaging, state directory or HTTP."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from iocmng.errors import BadInput, ExitCode, IocmngError
from iocmng.host.early import Stopped, serve_signals, stop_on_signals
from iocmng.host.plan import HostPlan
from iocmng.lifecycle import JobState, State
from iocmng.links import pv_client
from iocmng.names import did_you_mean
from iocmng.plugins.candidate import Candidate
from iocmng.plugins.location import Location, config_beside
from iocmng.runtime.clock import RealClock
from iocmng.runtime.desired import DesiredState
from iocmng.runtime.logs import LogBook
from iocmng.spec import InstanceSpec, Isolation, Kind, OnStall, PluginRef
from iocmng.wire import Actor, Event, EventKind, Level

if TYPE_CHECKING:
    from iocmng.config import LoadedConfig

_log = logging.getLogger("iocmng.host")


def run_ioc(
    plugin_class: type,
    *,
    config: str | Path | Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    prefix: str | None = None,
    pva: bool = True,
    name: str | None = None,
    pvout: str | Path | None = None,
    flat: bool = False,
    log_level: str = "INFO",
) -> int:
    """Serve one task or job in the foreground until a signal, or until the task has failed for good.

    Args:
        plugin_class: A TaskBase or JobBase subclass. A job is run once at the start, its PVs stay.
        config: Its config, as a path or as what such a file holds; found beside its module when None.
        parameters: Override those of the config.
        prefix: First part of the PV names.
        pva: Provider of links without a scheme.
        name: The instance's name; the class's when None.
        pvout: File to write the PV names to, one a line.
        flat: PVs are `{prefix}:…`, without the instance's segment.
        log_level: Least level that is shown.

    Returns:
        The exit code: 0 stopped, 1 failed.

    Raises:
        BadInput: Class or config cannot be used; the text holds every error.
    """
    os.environ.setdefault("EPICS_ALLOW_POSIX_THREAD_PRIORITY_SCHEDULING", "NO")
    stop_on_signals()
    pv_client.init(pva=pva)
    spec = _describe(
        plugin_class,
        config,
        parameters or {},
        prefix or "",
        name or plugin_class.__name__,
        flat=flat,
        pva=pva,
    )
    if pvout is not None:
        target = Path(pvout)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(
            "".join(f"{record.name}\n" for record in sorted(spec.records, key=lambda one: one.name))
        )
    logs = LogBook(RealClock(), level=log_level, console=sys.stderr)
    logs.install()
    try:
        with tempfile.TemporaryDirectory(prefix="iocmng-run-") as state:
            return asyncio.run(_serve(spec, plugin_class, Path(state), logs))
    except Stopped:
        return ExitCode.DONE
    finally:
        pv_client.close()
        logs.close()


def _describe(
    cls: type,
    config: str | Path | Mapping[str, Any] | None,
    parameters: Mapping[str, Any],
    prefix: str,
    name: str,
    *,
    flat: bool,
    pva: bool,
) -> InstanceSpec:
    from iocmng.base import DeclarativeTask
    from iocmng.logic.check import check_logic
    from iocmng.runtime.parameters import model_of
    from iocmng.spec.build import describe

    kind = getattr(cls, "_iocmng_kind", None)
    if kind not in (Kind.TASK, Kind.JOB):
        raise BadInput(
            f"{cls.__name__} is neither a TaskBase nor a JobBase", hint="from iocmng import TaskBase"
        )
    if flat and not prefix:
        raise BadInput("flat PVs have no name of their own", hint="give a prefix too")
    loaded = _load(config if config is not None else _config_of(cls.__module__, name))
    findings, spec = list(loaded.findings), None
    if loaded.config is not None:
        model = model_of(cls)
        target = f"{cls.__module__}:{cls.__qualname__}"
        spec, more = describe(
            loaded.config,
            PluginRef(name=name, target=target, config=loaded.document.file, origin="directory"),
            kind=Kind(kind),
            name=name,
            host_prefix=prefix,
            requested=parameters,
            declared=tuple(model.model_fields) if model else (),
            class_name="" if cls is DeclarativeTask else cls.__name__,
            flat=flat,
            pva=pva,
            locate=loaded.locate,
        )
        findings += [
            *more,
            *check_logic(loaded, spec, declared=model.model_fields if model else (), lenient=True),
        ]
    errors = [str(finding) for finding in findings if finding.level is Level.ERROR]
    if spec is None or errors:
        raise BadInput("\n".join(errors), code="config")
    for finding in findings:
        if finding.level is Level.WARNING:
            print(finding, file=sys.stderr)
    if (
        spec.handshake is not None
        and loaded.config
        and "on_stall" not in loaded.config.supervision.model_fields_set
    ):
        # Who restarts this process restarts nothing but the bridge.
        spec = replace(spec, supervision=replace(spec.supervision, on_stall=OnStall.EXIT))
    # One class is all that this process serves, and it is imported already.
    return replace(spec, isolation=Isolation.THREAD, memory_limit=None)


def _load(config: str | Path | Mapping[str, Any] | None) -> LoadedConfig:
    from iocmng.config import load_config, parse_config

    if config is None or isinstance(config, Mapping):
        return parse_config(json.dumps(config or {}), "", lenient=True)
    return load_config(Path(config), lenient=True)


def _config_of(module: str, name: str) -> Path | None:
    file = getattr(sys.modules.get(module), "__file__", None)
    folder = Path(file).resolve().parent if file else Path.cwd()
    beside = config_beside(Location(str(file or ""), str(folder)), module, name)
    return Path(beside) if beside else None


async def _serve(spec: InstanceSpec, cls: type, state: Path, logs: LogBook) -> int:
    from iocmng.host.host import Host
    from iocmng.plugins.hooks import Hooks

    plan = HostPlan(
        prefix=spec.pv_prefix,
        name=spec.name,
        state_dir=state,
        candidates=(Candidate(spec=spec, valid=True),),
        load=lambda plugin, instance: cls,
        host_pvs=False,
    )
    host = Host(plan, logs, DesiredState(state / "desired.json", RealClock()), Hooks())
    host.make_records()
    host.serve_records()
    loop = asyncio.get_running_loop()
    serve_signals(host.ending.stop)
    failed: list[str] = []

    def watch(event: Event) -> None:
        after = event.data.get("after")
        if event.kind is EventKind.STATE and after in (
            State.ERROR.name,
            JobState.FAILED.name,
            JobState.TIMEOUT.name,
        ):
            failed.append(event.text)
            if spec.kind is Kind.TASK:
                loop.call_soon_threadsafe(host.ending.stop)

    host.events.subscribe(watch)
    host.begin()
    print(f"{spec.name} serves {len(spec.records)} PVs at {spec.pv_prefix}:…  (Ctrl-C stops)", flush=True)
    if spec.kind is Kind.JOB:
        host.supervisor.job(spec.name).start_run({}, Actor(via="host"))
    await host.ending.asked()
    await host.stop()
    return ExitCode.FAILED if failed or host.ending.reason else ExitCode.DONE


def find_class(module: str, class_name: str | None, config: Path | None = None) -> type:
    """The class of a module: the one named here or by its config, else the only task or job that is defined there.

    Raises:
        BadInput: There is none, or several.
    """
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        loaded = import_module(module.removesuffix(".py"))
    except ImportError as error:
        raise BadInput(
            f"module {module!r} cannot be imported: {error}", hint="run it in the plugin's directory"
        ) from error
    own = {
        key: value
        for key, value in vars(loaded).items()
        if isinstance(value, type) and value.__module__ == loaded.__name__ and hasattr(value, "_iocmng_kind")
    }
    if class_name is None and len(own) > 1:
        found = _load(config or _config_of(loaded.__name__, loaded.__name__)).config
        class_name = found.class_ if found else None
    if class_name is not None:
        cls = getattr(loaded, class_name, None)
        if not isinstance(cls, type):
            raise BadInput(f"{module} has no class {class_name!r}", hint=did_you_mean(class_name, own))
        return cls
    if len(own) != 1:
        raise BadInput(
            f"{module} defines {len(own)} tasks and jobs{': ' + ', '.join(own) if own else ''}",
            hint="name one with -c, or with class: in its config.yaml",
        )
    return next(iter(own.values()))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="iocmng-run", description="Serve one task or job class in the foreground, without packaging it."
    )
    parser.add_argument("-m", "--module", required=True, help="module that holds the class")
    parser.add_argument("-c", "--class-name", help="the class, when the module defines several")
    parser.add_argument("--config", type=Path, help="its config; default: the one beside the module")
    parser.add_argument("--prefix", help="first part of the PV names")
    parser.add_argument("--name", help="name of the instance; default: the class's")
    parser.add_argument(
        "--pva", default="true", choices=["true", "false"], help="provider of links without a scheme"
    )
    parser.add_argument(
        "--log-level",
        default="INFO",
        type=str.upper,
        choices=["DEBUG", "INFO", "WARNING", "ERROR"],
        help="least level shown",
    )
    parser.add_argument("--pvout", type=Path, help="file to write the PV names to, one a line")
    parser.add_argument(
        "--flat", action="store_true", help="PVs without the instance's segment, as iocmng 2 served them"
    )
    parser.add_argument(
        "-p",
        "--param",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a parameter; may be given several times",
    )
    return parser


def _parameters(given: list[str]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for one in given:
        key, separator, value = one.partition("=")
        if not separator or not key:
            raise BadInput(f"parameter {one!r} is not KEY=VALUE")
        try:
            parameters[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            parameters[key] = value
    return parameters


def main() -> None:
    """The console script."""
    arguments = _arguments().parse_args()
    stop_on_signals()
    try:
        code = run_ioc(
            find_class(arguments.module, arguments.class_name, arguments.config),
            config=arguments.config,
            parameters=_parameters(arguments.param),
            prefix=arguments.prefix,
            pva=arguments.pva == "true",
            name=arguments.name,
            pvout=arguments.pvout,
            flat=arguments.flat,
            log_level=arguments.log_level,
        )
    except Stopped:
        code = ExitCode.DONE
    except IocmngError as error:
        print(f"iocmng-run: {error.detail}{f' ({error.hint})' if error.hint else ''}", file=sys.stderr)
        code = ExitCode.USAGE if isinstance(error, BadInput) else ExitCode.FAILED
    sys.exit(code)
