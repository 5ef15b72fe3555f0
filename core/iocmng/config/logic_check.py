"""Checks of links, transforms and rules that need no expression: identities, writers, latches, what is left unsaid."""

from __future__ import annotations

from collections.abc import Iterator

from iocmng.config.document import Path
from iocmng.config.models import PluginConfig, Rule
from iocmng.config.report import Report
from iocmng.wire import Level

DERIVED = ("_buf", "_ok", "_age", "_severity")
"""What an expression puts behind a port's name to read more of it than its value."""

STAMP = len("dd/mm/yy HH:MM:SS - ")
"""What stands before a message in its PV."""

_LATCHES = "only values that rules set are latched"


def check_logic_keys(config: PluginConfig, report: Report, *, lenient: bool) -> None:
    """Report what is wrong or doubtful with transforms, rules and latches, apart from expressions and values."""
    _check_rates(config, report)
    _check_ids(config, report)
    _check_writers(config, report)
    _check_latches(config, report, lenient=lenient)
    _check_derived(config, report)
    for index, rule in enumerate(config.rules):
        _check_rule(("rules", index), rule, config, report)
    _check_defaults(config, report)


def _check_ids(config: PluginConfig, report: Report) -> None:
    seen: dict[str, int] = {}
    for index, rule in enumerate(config.rules):
        path = ("rules", index, "id")
        if rule.id in seen:
            line = report.document.where("rules", seen[rule.id], "id").line
            text = f"two rules are called {rule.id!r}, the first in line {line}"
            report.error("duplicate-rule", text, *path, hint="rename one")
        seen.setdefault(rule.id, index)


def _check_writers(config: PluginConfig, report: Report) -> None:
    """A transform's output has no second writer; rules, defaults and messages may share one."""
    first: dict[str, Path] = {}
    for index, transform in enumerate(config.transforms):
        _second(transform.output, ("transforms", index, "output"), first, report, key=False)
        first.setdefault(transform.output, ("transforms", index, "output"))
    for name in config.rule_defaults:
        _second(name, ("rule_defaults", name), first, report, key=True)
    for index, rule in enumerate(config.rules):
        for name in rule.outputs:
            _second(name, ("rules", index, "outputs", name), first, report, key=True)
        if rule.message_pv is not None:
            _second(rule.message_pv, ("rules", index, "message_pv"), first, report, key=False)


def _second(name: str, path: Path, first: dict[str, Path], report: Report, *, key: bool) -> None:
    if name in first:
        line = report.document.where(*first[name]).line
        text = f"{name} is written by the transform in line {line}, and an output of a transform has no other writer"
        report.error("two-writers", text, *path, hint="write another output", key=key)


def _check_latches(config: PluginConfig, report: Report, *, lenient: bool) -> None:
    level = Level.WARNING if lenient else Level.ERROR
    of_rules = {name for rule in config.rules for name in rule.outputs}
    for name, port in config.arguments.outputs.items():
        path = ("arguments", "outputs", name)
        if port.latch and name not in of_rules:
            text = f"{name}.latch: no rule sets {name}, and {_LATCHES}"
            report.add(
                level, "latch-unused", text, (*path, "latch"), "set it in a rule, or remove latch", key=True
            )
        elif port.latch_dir != "rise" and not port.latch:
            text = f"{name}.latch_dir has no effect without latch: true"
            report.add(
                level, "latch-unused", text, (*path, "latch_dir"), "add latch: true, or remove it", key=True
            )


def _check_derived(config: PluginConfig, report: Report) -> None:
    """A port called like what expressions read of another port hides that."""
    if not (config.transforms or config.rules):
        return
    declared = config.arguments
    known = {*declared.inputs, *declared.outputs}
    for section, names in (("inputs", tuple(declared.inputs)), ("outputs", tuple(declared.outputs))):
        for name in names:
            base = next((name.removesuffix(end) for end in DERIVED if name.endswith(end)), name)
            if base != name and base in known:
                text = f"port {name!r} hides what {name!r} means in expressions beside a port {base!r}"
                report.warning("name-clash", text, "arguments", section, name, hint="rename it", key=True)


def _check_rates(config: PluginConfig, report: Report) -> None:
    reactive = config.parameters.mode == "reactive"
    for name, port in config.arguments.inputs.items():
        if port.link is None:
            continue
        path = ("arguments", "inputs", name)
        polled = port.link_mode == "poll" or not (port.link_mode or port.trigger or reactive)
        period = port.poll_rate or config.parameters.interval
        if port.poll_rate is not None and not polled:
            text = f"{name}.poll_rate has no effect: the link is monitored"
            hint = "add link_mode: poll, or remove it"
            report.warning("does-not-apply", text, *path, "poll_rate", hint=hint, key=True)
        elif polled and port.max_age is not None and port.max_age <= period:
            text = f"{name} is read each {period:g} s: with max_age {port.max_age:g} it is INVALID in between"
            report.warning("limits", text, *path, "max_age", hint="let max_age be more than twice that")


def _check_rule(path: Path, rule: Rule, config: PluginConfig, report: Report) -> None:
    given = rule.model_fields_set
    outputs = config.arguments.outputs
    if not (rule.outputs or rule.actuators or rule.message or rule.group):
        text = f"rule {rule.id} sets nothing and says nothing"
        report.warning("no-effect", text, *path, "id", hint="give it outputs, actuators or a message")
    safe = [name for name in rule.outputs if name in outputs and outputs[name].fail_safe is not None]
    if "on_invalid" not in given and (rule.actuators or safe):
        what = "actuators" if rule.actuators else f"the fail_safe output {safe[0]}"
        text = f"rule {rule.id} has {what} and does not say what it does while its inputs are unknown"
        hint = "state on_invalid: trip, hold (what it does now) or ignore"
        report.warning("on-invalid-unstated", text, *path, "id", hint=hint)
    note = outputs.get(rule.message_pv) if rule.message_pv else None
    needed = len(rule.message) + STAMP
    if note is not None and rule.message and needed > note.size:
        text = f"rule {rule.id}: time and message have {needed} bytes, {rule.message_pv} {note.size}"
        hint = f"give {rule.message_pv} a larger size, or the end is cut off"
        report.warning("too-long", text, *path, "message", hint=hint)
    for key, word, wanted in _unused(rule):
        if key in given:
            text = f"rule {rule.id}: {key} has no effect without {word}"
            report.warning("does-not-apply", text, *path, key, hint=f"add {wanted}, or remove it", key=True)


def _unused(rule: Rule) -> Iterator[tuple[str, str, str]]:
    if not rule.actuators:
        yield "repeat", "actuators", "actuators: {…}"
    if not rule.outputs:
        yield "severity", "outputs", "outputs: {…}"
    if not rule.message:
        yield "message_pv", "message", "message: …"


def _check_defaults(config: PluginConfig, report: Report) -> None:
    told: set[str] = set()
    for index, rule in enumerate(config.rules):
        for name in rule.outputs:
            port = config.arguments.outputs.get(name)
            if port is None or name in told or name in config.rule_defaults or port.value is not None:
                continue
            told.add(name)
            text = f"output {name} has no default: it keeps what a rule set after that rule has ended"
            hint = f"add rule_defaults: {{{name}: …}}, or value: to the output"
            report.warning("no-default", text, "rules", index, "outputs", name, hint=hint, key=True)
