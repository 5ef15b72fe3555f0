"""Config, plugin and settings become one frozen InstanceSpec."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from iocmng import names
from iocmng.config import JobKeys, PluginConfig, SupervisionKeys
from iocmng.settings.instances import InstanceSettings
from iocmng.spec import parameters as layers
from iocmng.spec.defaults import invalid_defaults, job_defaults, task_defaults
from iocmng.spec.instance import (
    InstanceSpec,
    JobSettings,
    Kind,
    Mode,
    OnStall,
    ParameterValue,
    PluginRef,
    RestartPolicy,
    Supervision,
)
from iocmng.spec.ports import PortProblem, PortTemplate, port_template
from iocmng.wire import Finding, Level, Where

Locate = Callable[..., Where]
_JOB_SUPERVISION = frozenset({"start_order", "depends_on", "start_timeout", "stop_timeout"})
_KEPT_PLANS = 256
_plans: OrderedDict[int, tuple[PluginConfig, _Plan]] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Problem:
    level: Level
    code: str
    message: str
    path: tuple[str, ...]
    hint: str = ""
    at_key: bool = False


@dataclass(frozen=True, slots=True)
class _Plan:
    """What all instances of one config share."""

    ports: tuple[PortTemplate, ...]
    problems: tuple[_Problem, ...]
    declared: Mapping[str, Any]
    merged: Mapping[str, ParameterValue]
    supervision: Supervision
    job: JobSettings


def _nowhere(*path: str | int, key: bool = False) -> Where:
    return Where(key=".".join(str(part) for part in path))


def describe(
    config: PluginConfig,
    plugin: PluginRef,
    *,
    kind: Kind,
    name: str,
    host_prefix: str,
    site: InstanceSettings | None = None,
    environ: Mapping[str, str] | None = None,
    requested: Mapping[str, Any] | None = None,
    chosen: Mapping[str, Any] | None = None,
    declared: Collection[str] | None = None,
    class_name: str = "",
    beamline: Mapping[str, Any] | None = None,
    devices: bool = False,
    flat: bool = False,
    locate: Locate = _nowhere,
) -> tuple[InstanceSpec | None, list[Finding]]:
    """Describe one instance.

    Args:
        config: What the plugin bundles; configs that are the same object share the work.
        plugin: Where it comes from.
        kind: Task or job.
        name: Name of the instance.
        host_prefix: Prefix of the host, "" for none.
        site: What the site file says about this instance.
        environ: Environment that may override declared parameters.
        requested: Parameters of the request that started it.
        chosen: Parameters that an operator set.
        declared: Names that the plugin's ParameterModel declares besides those of the config.
        class_name: Name of the plugin's class.
        beamline: Content of the beamline file.
        devices: Whether tasks may have the devices that it describes.
        flat: PVs stand right under the host's prefix, as iocmng 2 served them.
        locate: The config's places (`LoadedConfig.locate`).

    Returns:
        The spec, None when there is an error among the findings; and the findings.
    """
    plan = _plan(config)
    prefix = (site.prefix if site else None) or config.prefix or name.upper()
    pv_prefix = host_prefix if flat else names.pv_name(host_prefix, prefix)
    findings = [
        Finding(item.level, item.code, item.message, locate(*item.path, key=item.at_key), item.hint)
        for item in plan.problems
    ]
    findings += _name_findings(name, prefix, locate, flat=flat)
    merged, parameters, more = _parameters(plan, config, plugin, site, environ, requested, chosen, declared)
    findings += more
    findings += _kind_findings(config, site, kind, parameters, locate)
    mode = Mode(parameters.mode)
    defaults = job_defaults(pv_prefix) if kind is Kind.JOB else task_defaults(pv_prefix, mode)
    for template in plan.ports:
        if template.name in defaults:
            del defaults[template.name]
            section = "inputs" if template.direction == "input" else "outputs"
            findings.append(
                Finding(
                    Level.NOTE,
                    "takes-default",
                    f"port {template.name!r} takes the place of the default PV of that name",
                    locate("arguments", section, template.name, key=True),
                )
            )
    findings += _length_findings(pv_prefix, plan.ports, defaults, locate)
    if any(finding.level is Level.ERROR for finding in findings):
        return None, findings
    version = parameters.version if parameters.version is not None else plugin.version
    return InstanceSpec(
        name=name,
        kind=kind,
        plugin=plugin,
        prefix=prefix,
        pv_prefix=pv_prefix,
        mode=mode,
        interval=parameters.interval,
        timeout=parameters.timeout,
        description=config.description,
        version=str(version),
        parameters=merged,
        ports=tuple(template.port(f"{pv_prefix}:{template.name}") for template in plan.ports),
        defaults=defaults,
        supervision=_supervision(config, site) if _supervised(site) else plan.supervision,
        job=plan.job,
        enabled=site.enabled if site else True,
        class_name=class_name,
        beamline=beamline or {},
        devices=devices,
    ), findings


def describe_invalid(
    plugin: PluginRef,
    *,
    name: str,
    host_prefix: str,
    kind: Kind = Kind.TASK,
    prefix: str | None = None,
    description: str = "",
    enabled: bool = True,
) -> InstanceSpec:
    """What a refused plugin still shows: STATUS, MESSAGE, LAST_ERROR; nothing if the prefix is illegal."""
    segment = prefix or name.upper()
    pv_prefix = names.pv_name(host_prefix, segment)
    defaults = invalid_defaults(pv_prefix, kind)
    if names.instance_prefix_problem(segment) or any(
        names.pv_name_problem(r.name) for r in defaults.values()
    ):
        defaults = {}
    return InstanceSpec(
        name=name,
        kind=kind,
        plugin=plugin,
        prefix=segment,
        pv_prefix=pv_prefix,
        version=plugin.version,
        description=description,
        defaults=defaults,
        enabled=enabled,
    )


def reduced(spec: InstanceSpec, host_prefix: str) -> InstanceSpec:
    """What an instance still shows after it has been refused."""
    return describe_invalid(
        spec.plugin,
        name=spec.name,
        host_prefix=host_prefix,
        kind=spec.kind,
        prefix=spec.prefix,
        description=spec.description,
        enabled=spec.enabled,
    )


def _plan(config: PluginConfig) -> _Plan:
    with _lock:
        kept = _plans.get(id(config))
        if kept is not None:
            _plans.move_to_end(id(config))
            return kept[1]
    plan = _make_plan(config)
    with _lock:
        # The config is kept with its plan, so that its id cannot be given to another object meanwhile.
        _plans[id(config)] = (config, plan)
        while len(_plans) > _KEPT_PLANS:
            _plans.popitem(last=False)
    return plan


def _make_plan(config: PluginConfig) -> _Plan:
    ports: list[PortTemplate] = []
    problems: list[_Problem] = []
    for section, declared in (("inputs", config.arguments.inputs), ("outputs", config.arguments.outputs)):
        for name, port in declared.items():
            if names.is_refused_port(name):
                continue
            try:
                ports.append(port_template(name, port))
            except PortProblem as problem:
                path = ("arguments", section, name, problem.key)
                problems.append(
                    _Problem(Level.ERROR, "value", f"{name}.{problem.message}", path, problem.hint)
                )
    given = config.parameters.given
    return _Plan(
        tuple(ports),
        tuple(problems),
        given,
        layers.merge((layers.CONFIG, given)),
        _supervision(config, None),
        _job(config.job),
    )


def _supervised(site: InstanceSettings | None) -> bool:
    return site is not None and bool(site.supervision.model_fields_set)


def _supervision(config: PluginConfig, site: InstanceSettings | None) -> Supervision:
    keys: dict[str, Any] = {name: getattr(config.supervision, name) for name in SupervisionKeys.model_fields}
    if site is not None:
        keys.update({name: getattr(site.supervision, name) for name in site.supervision.model_fields_set})
    keys["restart"] = RestartPolicy(keys["restart"])
    keys["on_stall"] = OnStall(keys["on_stall"])
    return Supervision(**keys)


def _job(job: JobKeys) -> JobSettings:
    return JobSettings(**{field.name: getattr(job, field.name) for field in fields(JobSettings)})


def _name_findings(name: str, prefix: str, locate: Locate, *, flat: bool) -> list[Finding]:
    found = []
    if problem := names.plugin_name_problem(name):
        found.append(Finding(Level.ERROR, "name", problem, Where(key=name)))
    if not flat and (problem := names.instance_prefix_problem(prefix)):
        found.append(
            Finding(
                Level.ERROR,
                "prefix",
                problem,
                locate("prefix"),
                "set prefix: in config.yaml or the site file",
            )
        )
    return found


def _parameters(
    plan: _Plan,
    config: PluginConfig,
    plugin: PluginRef,
    site: InstanceSettings | None,
    environ: Mapping[str, str] | None,
    requested: Mapping[str, Any] | None,
    chosen: Mapping[str, Any] | None,
    declared: Collection[str] | None,
) -> tuple[Mapping[str, ParameterValue], Any, list[Finding]]:
    findings: list[Finding] = []
    from_environ: dict[str, Any] = {}
    for item in layers.from_environment(plugin.name, plan.declared, environ) if environ else ():
        if isinstance(item, Finding):
            findings.append(item)
        else:
            from_environ[item[0]] = item[1]
    overrides = [
        (origin, values)
        for origin, values in (
            (layers.ENVIRONMENT, from_environ),
            (layers.SITE, site.parameters if site else None),
            (layers.REQUEST, requested),
            (layers.SET, chosen),
        )
        if values
    ]
    if not overrides:
        return plan.merged, config.parameters, findings
    merged = layers.merge((layers.CONFIG, plan.declared), *overrides)
    parameters, refused = layers.check_reserved(merged)
    findings += refused
    findings += layers.misspelt(merged, {*plan.declared, *(declared or ())})
    return merged, parameters or config.parameters, findings


def _kind_findings(
    config: PluginConfig, site: InstanceSettings | None, kind: Kind, parameters: Any, locate: Locate
) -> list[Finding]:
    found = []

    def note(level: Level, code: str, message: str, *path: str) -> None:
        found.append(Finding(level, code, message, locate(*path, key=True) if path else Where()))

    later = "this version does not run it yet"
    if parameters is not config.parameters and parameters.mode == Mode.REACTIVE:
        note(Level.ERROR, "not-supported-yet", f"mode reactive: {later}")
    if site is not None and site.isolation == "process":
        note(Level.ERROR, "not-supported-yet", f"isolation process: {later}")
    if kind is Kind.JOB and config.supervision.model_fields_set - _JOB_SUPERVISION:
        message = "supervision is for tasks: a job is never run again by itself"
        note(Level.WARNING, "does-not-apply", message, "supervision")
    if kind is Kind.TASK and config.job.model_fields_set:
        note(Level.WARNING, "does-not-apply", "job: is for jobs, this is a task", "job")
    return found


def _length_findings(
    pv_prefix: str, ports: tuple[PortTemplate, ...], defaults: Mapping[str, Any], locate: Locate
) -> list[Finding]:
    longest = max((*(template.name for template in ports), *defaults), key=len)
    if not names.pv_name_problem(f"{pv_prefix}:{longest}"):
        return []
    found = []
    for template in ports:
        if problem := names.pv_name_problem(f"{pv_prefix}:{template.name}"):
            section = "inputs" if template.direction == "input" else "outputs"
            place = locate("arguments", section, template.name, key=True)
            found.append(
                Finding(Level.ERROR, "pv-too-long", problem, place, "shorten the port or the prefix")
            )
    default = max(defaults, key=len)
    if problem := names.pv_name_problem(f"{pv_prefix}:{default}"):
        found.append(Finding(Level.ERROR, "pv-too-long", problem, locate("prefix"), "shorten the prefix"))
    return found
