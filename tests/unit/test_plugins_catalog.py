from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iocmng.plugins.candidate import Candidate
from iocmng.plugins.catalog import Catalog, build_catalog
from iocmng.plugins.discovery import Discovered
from iocmng.plugins.hooks import Hooks, hookimpl
from iocmng.plugins.verdict import Question, Verdict, VerdictStore
from iocmng.settings.instances import InstanceSettings
from iocmng.settings.settings import Settings
from iocmng.spec import Kind, PluginRef
from iocmng.wire import Finding, Level

Answer = Callable[[Question], Verdict]


def error(code: str) -> Finding:
    return Finding(Level.ERROR, code, f"about {code}")


def good(question: Question) -> Verdict:
    return Verdict(kind=Kind.TASK, class_name="Plugin", parameters=dict.fromkeys(question.parameters, ()))


class Prober:
    """Answers in place of a child process, and remembers what it was asked."""

    def __init__(self, answer: Answer = good) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def ask(self, questions: Sequence[Question]) -> list[Verdict]:
        self.asked += [question.plugin.name for question in questions]
        return [self.answer(question) for question in questions]


class Site:
    """Plugins on disk, settings and hooks of one host."""

    def __init__(self, tmp: Path) -> None:
        self.tmp = tmp
        self.found: list[Discovered] = []
        self.hooks = Hooks()
        self.hooks.register(self, "source", builtin=True)
        self.settings: dict[str, Any] = {}
        self.store = VerdictStore(tmp / "state")

    @hookimpl
    def iocmng_discover(self) -> Iterable[Discovered]:
        return self.found

    def plugin(self, name: str, config: str = "{}\n", **more: Any) -> None:
        file = self.tmp / f"{name}.yaml"
        file.write_text(config)
        plugin = PluginRef(
            name=name,
            target=f"{name}.plugin:Plugin",
            distribution=f"acme-{name}",
            version="1.0",
            config=str(file),
        )
        self.found.append(Discovered(**{"plugin": plugin, "fingerprint": f"print-{name}", **more}))

    def build(self, answer: Answer | Prober = good) -> Catalog:
        prober = answer if isinstance(answer, Prober) else Prober(answer)
        settings = Settings(prefix="P", state_dir=self.tmp / "state", **self.settings)
        return build_catalog(settings, self.hooks, prober=prober, store=self.store)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def names(catalog: Catalog) -> dict[str, bool]:
    return {one.spec.name: one.valid for one in catalog.candidates}


def codes(catalog: Catalog, name: str) -> set[str]:
    candidate = catalog.find(name)
    assert candidate is not None
    return {finding.code for finding in candidate.findings}


def instance(plugin: str, name: str | None = None, **more: Any) -> InstanceSettings:
    return InstanceSettings(plugin=plugin, name=name, **more)


def test_each_plugin_gives_one_instance_of_its_name(site: Site) -> None:
    site.plugin("tank")
    site.plugin("pump", "supervision: {start_order: 5}\n")
    catalog = site.build()
    assert list(names(catalog).items()) == [("pump", True), ("tank", True)]
    assert catalog.candidates[1].spec.pv_prefix == "P:TANK"


def test_the_site_file_adds_replaces_and_leaves_out(site: Site) -> None:
    for name in ("tank", "pump", "valve"):
        site.plugin(name)
    site.settings = {
        "instances": (instance("tank", prefix="OWN", enabled=False), instance("pump", "pump-2")),
        "exclude": ("valve", "vavle"),
    }
    catalog = site.build()
    assert set(names(catalog)) == {"tank", "pump", "pump-2"}
    tank = catalog.find("tank")
    assert tank is not None
    assert (tank.spec.prefix, tank.spec.enabled) == ("OWN", False)
    assert [(one.code, one.hint) for one in catalog.findings] == [("unknown-plugin", "did you mean 'valve'?")]
    site.settings["only_listed"] = True
    assert set(names(site.build())) == {"tank", "pump-2"}
    site.settings["only"] = ("pump-2", "pumpe")
    catalog = site.build()
    assert set(names(catalog)) == {"pump-2"}
    assert "unknown-instance" in {one.code for one in catalog.findings}


def test_an_unknown_plugin_is_listed_with_the_nearest_name(site: Site) -> None:
    site.plugin("tank")
    site.settings = {"instances": (instance("tnak", "north"),)}
    catalog = site.build()
    assert names(catalog) == {"north": False, "tank": True}
    north = catalog.find("north")
    assert north is not None
    assert north.findings[0].code == "unknown-plugin"
    assert "tank" in north.findings[0].hint
    assert set(north.spec.defaults) == {"STATUS", "MESSAGE", "LAST_ERROR"}


def test_duplicates_are_both_listed_and_neither_runs(site: Site) -> None:
    site.plugin("tank")
    site.found.append(
        Discovered(plugin=PluginRef(name="tank", target="x:Y", distribution="other", version="2"))
    )
    catalog = site.build()
    assert names(catalog) == {"tank": False, "tank@other": False}
    assert [len(one.spec.records) for one in catalog.candidates] == [3, 0]
    assert {one.spec.plugin.distribution for one in catalog.candidates} == {"acme-tank", "other"}


def test_one_prefix_twice_stops_both_and_names_both(site: Site) -> None:
    site.plugin("a", "prefix: X\n")
    site.plugin("b", "prefix: X\n")
    site.plugin("c", "prefix: Y\n")
    catalog = site.build()
    assert names(catalog) == {"a": False, "b": False, "c": True}
    assert codes(catalog, "a") == {"pv-clash"}
    records = [record.name for one in catalog.candidates for record in one.spec.records]
    assert len(records) == len(set(records))


def test_a_broken_plugin_takes_no_pv_from_a_good_one(site: Site) -> None:
    site.plugin("a", "prefix: X\nbogus: 1\n")
    site.plugin("b", "prefix: X\n")
    catalog = site.build()
    assert names(catalog) == {"a": False, "b": True}
    broken = catalog.find("a")
    assert broken is not None
    assert broken.spec.records == ()


def test_the_hosts_prefix_is_refused(site: Site) -> None:
    site.plugin("a", "prefix: HOST\n")
    site.plugin("b")
    site.settings = {"instances": (instance("b", prefix="HOST"),)}
    catalog = site.build()
    assert names(catalog) == {"a": False, "b": False}
    assert all(one.spec.records == () for one in catalog.candidates)


def test_broken_configs_are_not_imported(site: Site) -> None:
    site.plugin("a", "interval: 1\n")
    site.plugin("b")
    prober = Prober()
    assert names(site.build(prober)) == {"a": False, "b": True}
    assert prober.asked == ["b"]


def test_the_second_step_decides_kind_and_validity(site: Site) -> None:
    site.plugin("a")
    site.plugin("b")

    def answer(question: Question) -> Verdict:
        if question.plugin.name == "a":
            return Verdict(findings=(error("import-crash"),))
        return Verdict(kind=Kind.JOB, class_name="Tune", parameters=dict.fromkeys(question.parameters, ()))

    catalog = site.build(answer)
    assert codes(catalog, "a") == {"import-crash"}
    job = catalog.find("b")
    assert job is not None
    assert (job.spec.kind, job.spec.class_name) == (Kind.JOB, "Tune")
    assert "PROGRESS" in job.spec.defaults


def test_good_verdicts_are_kept_and_bad_ones_asked_again(site: Site) -> None:
    site.plugin("a")
    site.plugin("b")
    site.plugin("edited", fingerprint=None)

    def answer(question: Question) -> Verdict:
        return Verdict(findings=(error("import-hang"),)) if question.plugin.name == "b" else good(question)

    site.build(answer)
    site.store = VerdictStore(site.tmp / "state")
    prober = Prober(answer)
    catalog = site.build(prober)
    assert prober.asked == ["b", "edited"]
    assert names(catalog) == {"a": True, "b": False, "edited": True}
    kept = catalog.find("a")
    assert kept is not None
    assert kept.spec.class_name == "Plugin"
    (site.tmp / "a.yaml").write_text("description: changed\n")
    prober.asked.clear()
    site.build(prober)
    assert prober.asked == ["a", "b", "edited"]


def test_one_instance_is_looked_at_again_without_importing_others(site: Site) -> None:
    for name in ("a", "b", "c"):
        site.plugin(name, fingerprint=None)
    prober = Prober()
    settings = Settings(prefix="P", state_dir=site.tmp / "state")
    catalog = build_catalog(settings, site.hooks, prober=prober, focus="b")
    assert prober.asked == ["b"]
    again = catalog.find("b")
    assert again is not None
    assert again.valid


def test_a_damaged_store_is_no_fault(site: Site) -> None:
    site.plugin("a")
    site.build()
    for text in ("{", "[]", '{"x": 3}'):
        (site.tmp / "state/verdicts.json").write_text(text)
        site.store = VerdictStore(site.tmp / "state")
        prober = Prober()
        assert names(site.build(prober)) == {"a": True}
        assert prober.asked == ["a"]


def modelled(question: Question) -> Verdict:
    """A class whose Parameters take steps up to 5."""
    refused = {
        key: (error("parameters"),) if given.get("step", 0) > 5 else ()
        for key, given in question.parameters.items()
    }
    return Verdict(kind=Kind.TASK, schema={"properties": {"step": {}}}, parameters=refused)


def test_parameters_are_judged_per_instance_with_one_question(site: Site) -> None:
    site.plugin("tank", "parameters: {step: 1}\n")
    site.settings = {
        "instances": tuple(instance("tank", f"t{n}", parameters={"step": n}) for n in (2, 4, 6, 8))
    }
    prober = Prober(modelled)
    catalog = site.build(prober)
    assert prober.asked == ["tank"]
    assert names(catalog) == {"t2": True, "t4": True, "t6": False, "t8": False, "tank": True}


def test_new_parameters_are_asked_about_when_a_model_has_a_say(site: Site) -> None:
    site.plugin("tank", "parameters: {step: 1}\n")
    for answer, again in ((modelled, ["tank"]), (good, [])):
        site.store = VerdictStore(None)
        site.settings = {}
        site.build(answer)
        site.settings = {"instances": (instance("tank", "t2", parameters={"step": 2}),)}
        prober = Prober(answer)
        site.build(prober)
        assert prober.asked == again


def test_site_policy_changes_a_config_and_is_judged_like_it(site: Site) -> None:
    class Policy:
        changes: Mapping[str, Any] = {"parameters": {"interval": 2.5}}

        @hookimpl
        def iocmng_configure(self, candidate: Candidate) -> Mapping[str, Any] | None:
            return self.changes if candidate.spec.name == "tank" else None

    policy = Policy()
    site.hooks.register(policy, "policy")
    site.plugin("tank", "parameters: {own: 3}\ndescription: kept\n")
    site.plugin("pump")
    catalog = site.build()
    tank = catalog.find("tank")
    assert tank is not None
    assert (tank.spec.interval, tank.spec.description, tank.spec.parameters["own"].value) == (2.5, "kept", 3)
    assert (tank.spec.kind, tank.spec.class_name) == (Kind.TASK, "Plugin")
    policy.changes = {"intervall": 1}
    catalog = site.build()
    assert names(catalog) == {"pump": True, "tank": False}
    tank = catalog.find("tank")
    assert tank is not None
    assert "policy" in tank.findings[0].message
    assert tank.findings[0].code == "unknown-key"


def test_a_validating_hook_can_refuse_and_a_broken_one_costs_nothing(site: Site) -> None:
    class Judge:
        @hookimpl
        def iocmng_validate(self, candidate: Candidate) -> list[Finding]:
            return [error("site-rule")] if candidate.spec.name == "tank" else []

    class Broken:
        @hookimpl
        def iocmng_validate(self, candidate: Candidate) -> list[Finding]:
            raise RuntimeError("out of order")

    site.hooks.register(Judge(), "judge")
    site.hooks.register(Broken(), "broken")
    site.plugin("tank")
    site.plugin("pump")
    catalog = site.build()
    assert names(catalog) == {"pump": True, "tank": False}
    tank = catalog.find("tank")
    assert tank is not None
    assert set(tank.spec.defaults) == {"STATUS", "MESSAGE", "LAST_ERROR"}
    assert any("out of order" in one.message for one in catalog.findings)


def test_a_hook_that_discovers_rubbish_costs_nothing(site: Site) -> None:
    class Rubbish:
        @hookimpl
        def iocmng_discover(self) -> object:
            return ["tank", 3]

    site.hooks.register(Rubbish(), "rubbish")
    site.plugin("tank")
    assert names(site.build()) == {"tank": True}


def test_the_environment_of_the_settings_reaches_parameters(site: Site) -> None:
    site.plugin("tank", "parameters: {step: 1}\n")
    site.settings = {"environ": {"TANK_STEP": "7"}}
    tank = site.build().find("tank")
    assert tank is not None
    assert tank.spec.parameters["step"].value == 7


def test_what_the_source_tells_is_kept_with_the_verdict(site: Site) -> None:
    code = site.tmp / "code.py"
    code.write_text("from iocmng import TaskBase\nclass Tank(TaskBase):\n    pass\n")
    site.plugin("tank")
    plugin = replace(site.found[0].plugin, target="code")
    site.found[0] = replace(site.found[0], plugin=plugin, file=str(code))
    for asked in (["tank"], []):
        site.store = VerdictStore(site.tmp / "state")
        prober = Prober()
        catalog = site.build(prober)
        assert prober.asked == asked
        assert codes(catalog, "tank") == {"class-unnamed"}
    code.write_text("class (:\n")
    site.found[0] = replace(site.found[0], fingerprint="changed")
    prober = Prober()
    catalog = site.build(prober)
    assert prober.asked == []
    assert codes(catalog, "tank") == {"syntax-error"}


LOGIC = """
parameters: {low: 1}
arguments: {inputs: {T: {link: 'X:T', buffer_size: 3}}, outputs: {MEAN: {}}}
transforms: [{output: MEAN, expression: smooth(T_buf) + limit}]
"""


def ruled(question: Question) -> Verdict:
    return replace(good(question), functions=("smooth",))


def test_functions_of_code_count_once_it_was_imported(site: Site) -> None:
    site.plugin("a", LOGIC.replace("low:", "limit:"))
    assert names(site.build(ruled)) == {"a": True}
    prober = Prober(ruled)
    assert names(site.build(prober)) == {"a": True}
    assert prober.asked == []


def test_what_the_import_does_not_bring_either_is_unknown(site: Site) -> None:
    site.plugin("a", LOGIC)
    prober = Prober()
    catalog = site.build(prober)
    assert prober.asked == ["a"]
    assert codes(catalog, "a") == {"unknown-name", "unknown-function"}
    place = next(one.where for one in catalog.candidates[0].findings if one.code == "unknown-function")
    assert (place.line, place.column) == (4, 41)


def test_expressions_of_a_plugin_without_code_are_judged_at_once(site: Site) -> None:
    site.plugin("a", LOGIC)
    site.found = [replace(one, plugin=replace(one.plugin, target="acme")) for one in site.found]
    settings = Settings(prefix="P", state_dir=site.tmp / "state")
    catalog = build_catalog(settings, site.hooks)
    assert codes(catalog, "a") == {"unknown-name", "unknown-function"}
    assert names(catalog) == {"a": False}


def test_faults_of_expressions_are_told_beside_those_of_keys(site: Site) -> None:
    site.plugin("a", f"{LOGIC}bogus: 1\n".replace("limit", "lmit + A_buf"))
    site.found = [replace(one, plugin=replace(one.plugin, target="acme")) for one in site.found]
    assert codes(site.build(), "a") == {"unknown-key", "unknown-name", "unknown-function"}


def test_parameters_of_the_site_count_in_expressions(site: Site) -> None:
    site.plugin("a", LOGIC.replace("smooth", "mean"))
    site.found = [replace(one, plugin=replace(one.plugin, target="acme")) for one in site.found]
    site.settings = {"instances": (instance("a"), instance("a", "b", parameters={"limit": 3}))}
    assert names(site.build()) == {"a": False, "b": True}


def test_instances_that_trigger_each_other_are_warned_about(site: Site) -> None:
    follow = """
parameters: {mode: reactive}
arguments: {inputs: {IN: {link: 'P:%s:OUT', trigger: true}}, outputs: {OUT: {}}}
transforms: [{output: OUT, expression: IN + 1}]
"""
    site.plugin("a", follow % "B")
    site.plugin("b", follow % "A")
    catalog = site.build()
    assert names(catalog) == {"a": True, "b": True}
    assert codes(catalog, "a") == codes(catalog, "b") == {"trigger-loop"}


def test_the_host_decides_the_provider_of_links(site: Site) -> None:
    site.plugin("a", LOGIC.replace("smooth(T_buf) + limit", "T"))
    site.settings = {"pva": False}
    link = site.build().candidates[0].spec.ports[0].link
    assert str(link and link.address) == "ca://X:T"


def test_links_to_instances_of_this_host(site: Site) -> None:
    site.plugin("tank", "arguments: {inputs: {POINT: {}}, outputs: {LEVEL: {}}}")
    site.plugin(
        "pump",
        """
arguments:
  inputs:
    GOOD: {link: 'P:TANK:LEVEL.HIGH'}
    STATE: {link: 'ca://P:TANK:STATUS'}
    TYPO: {link: 'P:TANK:LEVL'}
    ELSEWHERE: {link: 'P:OTHER:LEVEL'}
    VALVE: {link: 'P:TANK:LEVEL'}
  outputs:
    SET: {link: 'P:TANK:POINT'}
    WRONG: {link: 'pva://P:TANK:LEVEL'}
rules: [{id: r, condition: GOOD > 1, actuators: {VALVE: 1}, on_invalid: hold}]
""",
    )
    found = [one for one in site.build().candidates[0].findings if one.code == "link-nowhere"]
    assert [(one.level, one.where.line, one.where.column) for one in found] == [
        (Level.WARNING, 6, 18), (Level.WARNING, 8, 19), (Level.WARNING, 11, 19),
    ]  # fmt: skip
    assert found[0].hint == "did you mean 'LEVEL'?"
    assert "read-only" in found[1].message


def test_values_are_judged_beside_faults_that_leave_the_config_whole(site: Site) -> None:
    site.plugin(
        "a",
        """
arguments:
  inputs: {T: {link: 'http://T'}}
  outputs: {ON: {type: bool, alarm: {severity: {Onn: MAJOR}}}, LIST: {type: array}}
rules: [{id: r, condition: T_buf, outputs: {ON: 3, OFF: 1}, message: x}]
""",
    )
    found = codes(site.build(), "a")
    assert {"link", "unknown-key", "missing-key", "output-value", "unknown-output", "no-buffer"} <= found
