"""What is wrong with transforms, rules, latches and links without looking into expressions."""

from __future__ import annotations

import pytest

from iocmng.config import LoadedConfig, parse_config
from iocmng.wire import Finding, Level

HEAD = """\
arguments:
  inputs: {A: {link: 'X:A'}, V: {link: 'X:V'}}
  outputs: {T: {}, U: {value: 1}, S: {fail_safe: 2, value: 0}, M: {type: string, value: ''}}
"""


def load(text: str, *, lenient: bool = False) -> LoadedConfig:
    return parse_config(HEAD + text, "c.yaml", lenient=lenient)


def only(loaded: LoadedConfig) -> Finding:
    assert len(loaded.findings) == 1, [str(one) for one in loaded.findings]
    return loaded.findings[0]


def rules(*more: str) -> str:
    return "rules:\n" + "".join(f"  - {{{one}}}\n" for one in more)


def test_a_config_without_fault() -> None:
    text = "transforms: [{output: T, expression: A * 2}]\nrule_defaults: {U: 0}\n" + rules(
        "id: a, condition: A > 1, outputs: {U: 1}, severity: MAJOR",
        "id: b, condition: A > 2, outputs: {S: 1}, actuators: {V: 0}, on_invalid: hold, repeat: 5",
        "id: c, condition: A > 3, message: much, message_pv: M, group: G",
    )
    assert load(text).findings == ()


@pytest.mark.parametrize(
    ("text", "level", "code", "place", "says"),
    [
        (
            rules("id: a, condition: A, group: x", "id: b, condition: A, group: x", "id: a, condition: V, group: x"),
            Level.ERROR, "duplicate-rule", (7, 10), "first in line 5",
        ),
        (
            "transforms:\n  - {output: T, expression: A}\n  - {output: T, expression: V}",
            Level.ERROR, "two-writers", (6, 14), "transform in line 5",
        ),
        (
            "transforms: [{output: T, expression: A}]\nrule_defaults: {T: 3}",
            Level.ERROR, "two-writers", (5, 17), "transform in line 4",
        ),
        (
            "transforms: [{output: U, expression: A}]\n" + rules("id: a, condition: A, outputs: {U: 3}"),
            Level.ERROR, "two-writers", (6, 37), "transform in line 4",
        ),
        (
            "transforms: [{output: M, expression: A}]\n" + rules("id: a, condition: A, message: m, message_pv: M"),
            Level.ERROR, "two-writers", (6, 51), "transform in line 4",
        ),
        (rules("id: a, condition: A"), Level.WARNING, "no-effect", (5, 10), "sets nothing"),
        (rules("id: a, condition: A, actuators: {V: 1}"), Level.WARNING, "on-invalid-unstated", (5, 10), "actuators"),
        (
            rules("id: a, condition: A, outputs: {S: 1}"),
            Level.WARNING, "on-invalid-unstated", (5, 10), "the fail_safe output S",
        ),
        (rules("id: a, condition: A, outputs: {U: 1}, repeat: 3"), Level.WARNING, "does-not-apply", (5, 44), "repeat"),
        (rules("id: a, condition: A, message: m, severity: MINOR"), Level.WARNING, "does-not-apply", (5, 39), "sever"),
        (
            rules("id: a, condition: A, outputs: {U: 1}, message_pv: M"),
            Level.WARNING, "does-not-apply", (5, 44), "message_pv has no effect without message",
        ),
        (rules("id: a, condition: A, outputs: {T: 1}"), Level.WARNING, "no-default", (5, 37), "rule_defaults: {T: …}"),
        (
            rules("id: a, condition: A, outputs: {T: 1}", "id: b, condition: A, outputs: {T: 1}"),
            Level.WARNING, "no-default", (5, 37), "T",
        ),
    ],
)  # fmt: skip
def test_a_fault(text: str, level: Level, code: str, place: tuple[int, int], says: str) -> None:
    finding = only(load(text))
    assert (finding.level, finding.code) == (level, code)
    assert (finding.where.line, finding.where.column) == place
    assert says in f"{finding.message} {finding.hint}"


@pytest.mark.parametrize(
    "keys", ["latch: true", "latch: true, latch_dir: fall", "latch_dir: any", "latch_dir: 0->1"]
)
def test_a_latch_that_never_holds(keys: str) -> None:
    text = f"arguments:\n  outputs:\n    A: {{{keys}}}"
    finding = only(parse_config(text, "c.yaml"))
    assert (finding.level, finding.code, finding.where.line) == (Level.ERROR, "latch-unused", 3)
    assert finding.where.column == 9
    assert only(parse_config(text, "c.yaml", lenient=True)).level is Level.WARNING
    rule = "rules: [{id: a, condition: '1', outputs: {A: 1}}]\nrule_defaults: {A: 0}"
    codes = [one.code for one in parse_config(f"{text}\n{rule}", "c.yaml").findings]
    assert codes == ([] if "latch: true" in keys else ["latch-unused"])


@pytest.mark.parametrize(
    ("port", "parameters", "code"),
    [
        ("poll_rate: 2", "", ""),
        ("poll_rate: 2, trigger: true, link_mode: poll", "", ""),
        ("poll_rate: 2, trigger: true", "", "does-not-apply"),
        ("poll_rate: 2, link_mode: monitor", "", "does-not-apply"),
        ("poll_rate: 2", "mode: reactive", "does-not-apply"),
        ("poll_rate: 2, max_age: 5", "", ""),
        ("poll_rate: 2, max_age: 2", "", "limits"),
        ("max_age: 0.5", "", "limits"),
        ("max_age: 0.5", "interval: 0.1", ""),
        ("max_age: 0.5", "mode: reactive", ""),
    ],
)
def test_how_often_an_input_is_read(port: str, parameters: str, code: str) -> None:
    text = f"parameters: {{{parameters}}}\narguments: {{inputs: {{A: {{link: X, {port}}}}}}}"
    assert [one.code for one in parse_config(text, "c.yaml").findings] == ([code] if code else [])


def test_a_port_that_hides_what_expressions_read_of_another() -> None:
    text = (
        "arguments:\n  inputs: {A: {}}\n  outputs:\n    A_ok: {}\ntransforms: [{output: A_ok, expression: A}]"
    )
    finding = only(parse_config(text, "c.yaml"))
    assert (finding.level, finding.code, finding.where.line) == (Level.WARNING, "name-clash", 4)
    assert parse_config("arguments: {inputs: {A: {}, A_ok: {}}}", "c.yaml").findings == ()


def test_expressions_and_ids_may_look_like_numbers() -> None:
    loaded = load("transforms: [{output: T, expression: 3}]\n" + rules("id: 1, condition: true, message: x"))
    assert loaded.config is not None
    assert loaded.config.transforms[0].expression == "3"
    assert (loaded.config.rules[0].id, loaded.config.rules[0].condition) == ("1", "True")


def test_what_is_known_in_spite_of_errors() -> None:
    assert load("rules: [{id: a, condition: A, message: x, no: 1}]").complete is not None
    assert load("rules: [{id: a}]").complete is None
    assert load("rules: 3").complete is None
    assert parse_config("arguments: {inputs: [1]}", "c.yaml").complete is None
    assert parse_config("pvs: {inputs: {A: {}}}", "c.yaml").complete is not None
    assert parse_config("- 1", "c.yaml").complete is None
