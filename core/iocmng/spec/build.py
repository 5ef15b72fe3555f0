"""Config, plugin and settings become one frozen InstanceSpec."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from iocmng import names
from iocmng.config import PluginConfig
from iocmng.names import Provider
from iocmng.settings.instances import InstanceSettings
from iocmng.spec import parameters as layers
from iocmng.spec.defaults import invalid_defaults, job_defaults, task_defaults
from iocmng.spec.handshake_plan import handshake_findings, handshake_spec, mode_of
from iocmng.spec.instance import (
    Direction,
    Engine,
    InstanceSpec,
    Kind,
    Mode,
    ParameterValue,
    PluginRef,
    Supervision,
)
from iocmng.spec.isolation import isolation_of
from iocmng.spec.plan import Plan, plan_of, supervision_of
from iocmng.spec.ports import PortTemplate
from iocmng.spec.script import AFTER_GRACE, ScriptSpec
from iocmng.wire import Finding, Level, Where

Locate = Callable[..., Where]
_JOB_SUPERVISION = frozenset({"start_order", "depends_on", "start_timeout", "stop_timeout"})


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
    pva: bool = True,
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
        pva: Provider of links without a scheme where `parameters.pva` says nothing: PVA, or CA when False.
        locate: The config's places (`LoadedConfig.locate`).

    Returns:
        The spec, None when there is an error among the findings; and the findings.
    """
    plan = plan_of(config)
    findings = value_findings(config, locate)
    prefix = (site.prefix if site else None) or config.prefix or name.upper()
    pv_prefix = host_prefix if flat else names.pv_name(host_prefix, prefix)
    findings += _name_findings(name, prefix, locate, flat=flat)
    merged, parameters, more = _parameters(plan, config, plugin, site, environ, requested, chosen, declared)
    findings += more
    findings += _kind_findings(config, kind, locate)
    isolation, limit, more = isolation_of(
        config, site, script=plan.script, target=plugin.target, locate=locate
    )
    findings += more
    findings += handshake_findings(config, kind, parameters.mode, isolation, locate)
    mode = mode_of(config, parameters.mode)
    if kind is Kind.JOB:
        defaults = job_defaults(pv_prefix)
        findings += _job_findings(config, plan, locate)
    else:
        defaults = task_defaults(pv_prefix, mode, plan.wiring)
        findings += _mode_findings(mode, plan, locate)
    for template in plan.ports:
        if template.name in defaults:
            del defaults[template.name]
            text = f"port {template.name!r} takes the place of the default PV of that name"
            where = locate("arguments", _section(template), template.name, key=True)
            findings.append(Finding(Level.NOTE, "takes-default", text, where))
    findings += _length_findings(pv_prefix, plan.ports, defaults, locate)
    findings += _self_links(pv_prefix, plan.ports, locate)
    if any(finding.level is Level.ERROR for finding in findings):
        return None, findings
    over_pva = pva if parameters.pva is None else parameters.pva
    provider = Provider.PVA if over_pva else Provider.CA
    reactive = mode is Mode.REACTIVE
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
        ports=tuple(
            template.port(f"{pv_prefix}:{template.name}", provider, reactive=reactive)
            for template in plan.ports
        ),
        defaults=defaults,
        supervision=_long_enough(
            supervision_of(config, site) if _supervised(site) else plan.supervision, plan.script
        ),
        job=plan.job,
        script=replace(plan.script, root=str(Path(plugin.config).parent)) if plan.script else None,
        logic=plan.logic,
        enabled=site.enabled if site else True,
        class_name=class_name,
        beamline=beamline or {},
        devices=devices,
        handshake=handshake_spec(config, provider),
        isolation=isolation,
        memory_limit=limit,
        engine=Engine(config.engine),
    ), findings


def value_findings(config: PluginConfig, locate: Locate = _nowhere) -> list[Finding]:
    """What is wrong with values and with the ports that rules name, whatever the instance.

    Args:
        config: The config; one with errors will do if nothing had to be left out (`LoadedConfig.exact`).
        locate: The config's places (`LoadedConfig.locate`).
    """
    return [
        Finding(item.level, item.code, item.message, locate(*item.path, key=item.at_key), item.hint)
        for item in plan_of(config).problems
    ]


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


def _long_enough(supervision: Supervision, script: ScriptSpec | None) -> Supervision:
    """The supervision with a `stop_timeout` in which a script can be asked to end, and be killed."""
    if script is None:
        return supervision
    return replace(supervision, stop_timeout=max(supervision.stop_timeout, script.stop_grace + AFTER_GRACE))


def _supervised(site: InstanceSettings | None) -> bool:
    return site is not None and bool(site.supervision.model_fields_set)


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
    plan: Plan,
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
            (site.origin if site else layers.SITE, site.parameters if site else None),
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


def _kind_findings(config: PluginConfig, kind: Kind, locate: Locate) -> list[Finding]:
    found = []

    def note(level: Level, code: str, message: str, *path: str) -> None:
        found.append(Finding(level, code, message, locate(*path, key=True) if path else Where()))

    if kind is Kind.JOB and config.supervision.model_fields_set - _JOB_SUPERVISION:
        message = "supervision is for tasks: a job is never run again by itself"
        note(Level.WARNING, "does-not-apply", message, "supervision")
    if kind is Kind.TASK and config.script is not None:
        note(Level.ERROR, "does-not-apply", "script: is for script jobs, this is a task", "script")
    if kind is Kind.TASK and config.job.model_fields_set:
        note(Level.WARNING, "does-not-apply", "job: is for jobs, this is a task", "job")
    return found


def _job_findings(config: PluginConfig, plan: Plan, locate: Locate) -> Iterator[Finding]:
    for section in ("transforms", "rule_defaults", "rules"):
        if getattr(config, section):
            text = f"{section} are for tasks: a job does not evaluate them"
            yield Finding(Level.ERROR, "does-not-apply", text, locate(section, key=True), "remove them")
    for template in plan.ports:
        if template.link is not None:
            text = f"{template.name}.link: links are for tasks: a job gets its inputs from the request"
            where = locate("arguments", _section(template), template.name, "link", key=True)
            yield Finding(Level.ERROR, "does-not-apply", text, where, "remove it, or use iocmng.pv_client")


def _mode_findings(mode: Mode, plan: Plan, locate: Locate) -> Iterator[Finding]:
    if mode is not Mode.REACTIVE or any(one.link and one.link.trigger for one in plan.ports):
        return
    where = locate("parameters", "mode")
    hint = "add trigger: true to a linked input, or set parameters.mode to continuous"
    if any(one.direction is Direction.INPUT and one.link is None for one in plan.ports):
        text = "no input of this reactive task has trigger: true: it runs only when a client writes an input"
        yield Finding(Level.WARNING, "no-trigger", text, where, hint)
    else:
        text = "a reactive task runs when an input changes, and no input has trigger: true"
        yield Finding(Level.ERROR, "no-trigger", text, where, hint)


def _self_links(pv_prefix: str, ports: tuple[PortTemplate, ...], locate: Locate) -> Iterator[Finding]:
    for template in ports:
        if template.link is None:
            continue
        pv, _, field = template.link.link(Provider.CA, monitor=False).address.pv.partition(".")
        if pv == f"{pv_prefix}:{template.name}" and field in ("", "VAL", "VAL$"):
            text = f"{template.name} is linked to itself: {pv} is its own PV"
            where = locate("arguments", _section(template), template.name, "link")
            yield Finding(Level.ERROR, "link-self", text, where, "name the PV of another record")


def _section(template: PortTemplate) -> str:
    return "inputs" if template.direction == "input" else "outputs"


def _length_findings(
    pv_prefix: str, ports: tuple[PortTemplate, ...], defaults: Mapping[str, Any], locate: Locate
) -> list[Finding]:
    longest = max((*(template.name for template in ports), *defaults), key=len)
    if not names.pv_name_problem(f"{pv_prefix}:{longest}"):
        return []
    found = []
    for template in ports:
        if problem := names.pv_name_problem(f"{pv_prefix}:{template.name}"):
            place = locate("arguments", _section(template), template.name, key=True)
            found.append(
                Finding(Level.ERROR, "pv-too-long", problem, place, "shorten the port or the prefix")
            )
    default = max(defaults, key=len)
    if problem := names.pv_name_problem(f"{pv_prefix}:{default}"):
        found.append(Finding(Level.ERROR, "pv-too-long", problem, locate("prefix"), "shorten the prefix"))
    return found
