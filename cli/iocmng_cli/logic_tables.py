"""Links, rules and latches of an instance as tables."""

from __future__ import annotations

from collections.abc import Sequence

from iocmng.wire import InstanceDetail, LinkView, PortView, RuleView
from iocmng_cli.output import Cell, Column, Row, heading, print_fields, print_table, word
from iocmng_cli.text import value_text
from iocmng_cli.times import clock, duration

LINK_COLUMNS = (
    Column("PORT"),
    Column("LINK"),
    Column("MODE", rank=3),
    Column("STATE"),
    Column("AGE", rank=1, right=True),
    Column("COUNT", rank=4, right=True),
    Column("TROUBLE", wraps=True),
)
RULE_COLUMNS = (
    Column("RULE"),
    Column("STATE"),
    Column("CONDITION", rank=2, wraps=True),
    Column("IS", rank=1),
    Column("SINCE", rank=3),
    Column("FIRED", rank=5, right=True),
    Column("SETS", rank=4, wraps=True),
    Column("REASON", wraps=True),
)


def print_logic(detail: InstanceDetail) -> None:
    """Write what an instance has of them."""
    linked = [(port, port.link) for port in detail.ports if port.link is not None]
    if linked:
        heading("Links")
        print_table(LINK_COLUMNS, [link_row(port, link) for port, link in linked])
    if detail.rules:
        heading("Rules")
        print_table(RULE_COLUMNS, [rule_row(rule) for rule in detail.rules])
    if detail.latched:
        heading(f"Latched, until {detail.view.prefix}:CLEAR or iocmng reset")
        fields = {name: Cell(value_text(value), "yellow") for name, value in detail.latched.items()}
        print_fields(fields, indent="  ")
    if detail.unknowns:
        heading("Evaluations in which it could not be computed")
        print_fields({name: str(count) for name, count in detail.unknowns.items()}, indent="  ")


def link_row(port: PortView, link: LinkView) -> Row:
    """The line of a link: an input reads from its PV (←), an output writes to it (→)."""
    arrow = "←" if port.direction == "input" else "→"
    return (
        port.name,
        f"{arrow} {link.address}",
        " ".join(filter(None, (link.mode, "in this host" if link.local else ""))),
        _link_state(link),
        duration(link.age) if link.age is not None else "",
        _counts(link),
        link.complaint,
    )


def _link_state(link: LinkView) -> Cell:
    if not link.connected:
        return Cell("not connected", "bold red")
    return Cell(
        "connected, pending" if link.pending else "connected", "yellow" if link.complaint else "green"
    )


def _counts(link: LinkView) -> str:
    extra = [
        f"{count} {what}" for count, what in ((link.failures, "failed"), (link.dropped, "dropped")) if count
    ]
    return f"{link.updates} ({', '.join(extra)})" if extra else str(link.updates)


def rule_row(rule: RuleView) -> Row:
    """The line of a rule: what it decides, since when, and why."""
    state = word(rule.state)
    notes = [rule.state]
    if rule.held:
        notes.append("held")
    if rule.pending is not None:
        notes.append(f"{duration(rule.pending)} to go")
    return (
        rule.id,
        Cell(", ".join(notes), state.style),
        rule.condition,
        {True: "true", False: "false", None: "unknown"}[rule.value],
        clock(rule.since),
        str(rule.fired or ""),
        _sets(rule),
        rule.reason or (rule.message if rule.state == "active" else ""),
    )


def _sets(rule: RuleView) -> str:
    parts: Sequence[tuple[str, object]] = (*rule.outputs.items(), *rule.actuators.items())
    return ", ".join(f"{name}={value_text(value)}" for name, value in parts)
