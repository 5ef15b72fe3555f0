"""What all instances of one config share: record templates, logic, supervision; made once and kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from iocmng import names
from iocmng.config import JobKeys, PluginConfig, SupervisionKeys
from iocmng.settings.instances import InstanceSettings
from iocmng.spec import parameters as layers
from iocmng.spec.defaults import Wiring
from iocmng.spec.instance import (
    Direction,
    JobSettings,
    OnStall,
    ParameterValue,
    RestartPolicy,
    Supervision,
)
from iocmng.spec.logic import logic_spec
from iocmng.spec.ports import PortProblem, PortTemplate, port_template
from iocmng.spec.problem import Problem
from iocmng.spec.script import ScriptSpec
from iocmng.spec.script_plan import script_spec
from iocmng.spec.wiring import LogicSpec
from iocmng.wire import Level

_KEPT_PLANS = 256
_plans: OrderedDict[int, tuple[PluginConfig, Plan]] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a config says whatever instance it is used for.

    Attributes:
        ports: Templates of the ports, in declaration order.
        logic: Transforms and rules.
        wiring: What the default PVs of links and first-out groups follow.
        problems: What is wrong with values.
        declared: Parameters that the config states.
        merged: The same with their origin.
        supervision: How instances are supervised, unless the site says otherwise.
        job: How runs are handled.
        script: What a script job runs.
    """

    ports: tuple[PortTemplate, ...]
    logic: LogicSpec
    wiring: Wiring
    problems: tuple[Problem, ...]
    declared: Mapping[str, Any]
    merged: Mapping[str, ParameterValue]
    supervision: Supervision
    job: JobSettings
    script: ScriptSpec | None


def plan_of(config: PluginConfig) -> Plan:
    """The plan of a config; configs that are the same object share it."""
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


def _make_plan(config: PluginConfig) -> Plan:
    ports: list[PortTemplate] = []
    problems: list[Problem] = []
    for section, declared in (("inputs", config.arguments.inputs), ("outputs", config.arguments.outputs)):
        for name, port in declared.items():
            if names.is_refused_port(name):
                continue
            try:
                ports.append(port_template(name, port))
            except PortProblem as problem:
                path = ("arguments", section, name, problem.key)
                problems.append(
                    Problem(Level.ERROR, "value", f"{name}.{problem.message}", path, problem.hint)
                )
    script, script_problems = script_spec(config)
    logic, more = logic_spec(config, {port.name: port for port in ports})
    given = config.parameters.given
    return Plan(
        tuple(ports),
        logic,
        Wiring(
            inputs=tuple(_linked(ports, Direction.INPUT)),
            outputs=tuple(_linked(ports, Direction.OUTPUT)),
            groups=logic.groups,
        ),
        (*problems, *more, *script_problems),
        given,
        layers.merge((layers.CONFIG, given)),
        supervision_of(config, None),
        _job(config.job),
        script,
    )


def _linked(ports: list[PortTemplate], direction: Direction) -> Iterator[str]:
    return (port.name for port in ports if port.link is not None and port.direction is direction)


def supervision_of(config: PluginConfig, site: InstanceSettings | None) -> Supervision:
    """How an instance is supervised: what the site states wins over the config."""
    keys: dict[str, Any] = {name: getattr(config.supervision, name) for name in SupervisionKeys.model_fields}
    if site is not None:
        keys.update({name: getattr(site.supervision, name) for name in site.supervision.model_fields_set})
    keys["restart"] = RestartPolicy(keys["restart"])
    keys["on_stall"] = OnStall(keys["on_stall"])
    return Supervision(**keys)


def _job(job: JobKeys) -> JobSettings:
    return JobSettings(**{field.name: getattr(job, field.name) for field in fields(JobSettings)})
