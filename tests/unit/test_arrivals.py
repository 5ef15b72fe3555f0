from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.swapping import Machine, as_before, beam

from iocmng.host.probe import Probe
from iocmng.host.probe_imports import ImportTimes
from iocmng.plugins.arrivals import base_environment, environment_over, import_path, judge_arrivals
from iocmng.plugins.catalog import Catalog
from iocmng.plugins.hooks import Hooks
from iocmng.plugins.hot import heavy
from iocmng.plugins.verdict import Question, Verdict, VerdictStore
from iocmng.settings.instances import InstanceSettings
from iocmng.settings.settings import Settings
from iocmng.spec import InstanceSpec, Isolation, Kind
from iocmng.wire import Finding, Level

CONFIG = "arguments: {outputs: {COUNT: {type: int}}}\n"
CODE = "from iocmng import TaskBase\n\n\nclass Plugin(TaskBase):\n    def execute(self):\n        pass\n"


class Prober:
    """Answers in place of a child process."""

    def __init__(self, *findings: Finding) -> None:
        self.asked: list[Question] = []
        self._findings = findings

    def ask(self, questions: Sequence[Question]) -> list[Verdict]:
        self.asked += questions
        return [
            Verdict(kind=Kind.TASK, findings=self._findings, parameters=dict.fromkeys(one.parameters, ()))
            for one in questions
        ]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with as_before():
        yield Machine(tmp_path)


def plugin(
    name: str, version: str = "1.0", config: str = CONFIG, code: str = CODE, **more: Any
) -> dict[str, Any]:
    package = f"acme_{name.replace('-', '_')}"
    files = {f"{package}/plugin.py": code, f"{package}/config.yaml": config}
    return {
        "name": f"acme-{name}",
        "version": version,
        "plugin": {name: f"{package}.plugin:Plugin"},
        "files": files,
        **more,
    }


def arrivals(
    site: Path, *changed: str, prober: Any = None, running: Sequence[InstanceSpec] = (), **settings: Any
) -> Catalog:
    return judge_arrivals(
        Settings(prefix="T", state_dir=site.parent, **settings),
        Hooks(),
        environment=environment_over(site),
        lock=None,
        prober=prober or Prober(),
        changed=set(changed),
        running=running,
        store=VerdictStore(None),
    )


def names(catalog: Catalog) -> list[str]:
    return [one.spec.name for one in catalog.candidates]


def codes(catalog: Catalog, name: str) -> list[str]:
    candidate = catalog.find(name)
    assert candidate is not None
    return [one.code for one in candidate.findings if one.level is Level.ERROR]


def test_only_plugins_of_changed_distributions_are_looked_at(machine: Machine) -> None:
    site = machine.generation(plugin("beam"), plugin("vac"))
    prober = Prober()
    catalog = arrivals(site, "acme-beam", prober=prober)
    assert names(catalog) == ["beam"]
    assert catalog.candidates[0].valid
    assert catalog.candidates[0].spec.plugin.config.startswith(str(site))
    assert [(one.plugin.name, one.first) for one in prober.asked] == [("beam", False)]


def test_instances_configured_for_a_plugin_that_arrives_only_now_come_with_it(machine: Machine) -> None:
    instances = (
        InstanceSettings.model_validate({"plugin": "beam", "name": "beam-2", "prefix": "B2"}),
        InstanceSettings.model_validate({"plugin": "absent"}),
    )
    catalog = arrivals(
        machine.generation(plugin("beam")), "acme-beam", instances=instances, exclude=("nothing",)
    )
    assert names(catalog) == ["beam", "beam-2"]
    assert all(one.valid for one in catalog.candidates)
    assert catalog.findings == ()


def test_arrivals_are_compared_with_what_runs(machine: Machine) -> None:
    vac = (
        arrivals(machine.generation(plugin("vac", config=f"prefix: SHARED\n{CONFIG}")), "acme-vac")
        .candidates[0]
        .spec
    )
    clashing = plugin("beam", config=f"prefix: SHARED\n{CONFIG}")
    catalog = arrivals(machine.generation(clashing), "acme-beam", running=[vac])
    assert codes(catalog, "beam") == ["pv-clash"]
    assert catalog.candidates[0].spec.records == ()
    depends = plugin("beam", config=f"supervision: {{depends_on: [vac]}}\n{CONFIG}")
    assert codes(arrivals(machine.generation(depends), "acme-beam", running=[vac]), "beam") == []
    assert codes(arrivals(machine.generation(depends), "acme-beam"), "beam") == ["depends-unknown"]


def test_what_is_on_its_way_out_clashes_with_nothing(machine: Machine) -> None:
    old = arrivals(machine.generation(plugin("beam")), "acme-beam").candidates[0].spec
    catalog = arrivals(machine.generation(plugin("beam", "2.0")), "acme-beam", running=[old])
    assert codes(catalog, "beam") == []
    assert catalog.candidates[0].spec.plugin.version == "2.0"


def test_a_name_that_another_distribution_has_is_refused(machine: Machine) -> None:
    vac = arrivals(machine.generation(plugin("vac")), "acme-vac").candidates[0].spec
    twin = plugin("beam", plugin={"vac": "acme_beam.plugin:Plugin"})
    catalog = arrivals(machine.generation(twin), "acme-beam", running=[vac])
    assert "duplicate-plugin" in codes(catalog, catalog.candidates[0].spec.name)
    other = replace(vac, name="beam", plugin=replace(vac.plugin, name="other"))
    catalog = arrivals(machine.generation(plugin("beam")), "acme-beam", running=[other])
    assert names(catalog) == ["beam@acme-beam"]
    assert "duplicate-instance" in codes(catalog, "beam@acme-beam")


def test_what_the_child_finds_makes_it_invalid(machine: Machine) -> None:
    catalog = arrivals(
        machine.generation(plugin("beam")),
        "acme-beam",
        prober=Prober(Finding(Level.ERROR, "import-failed", "boom")),
    )
    assert not catalog.candidates[0].valid
    assert codes(catalog, "beam") == ["import-failed"]


def test_the_base_wins_and_is_read_again_only_when_it_changes(machine: Machine, tmp_path: Path) -> None:
    site = machine.generation({"name": "pluggy", "version": "0.1"}, plugin("beam"))
    environment = environment_over(site)
    assert environment.installed["pluggy"].version != "0.1"
    assert environment.installed["acme-beam"].folder == str(site)
    assert environment_over(None) is base_environment()
    assert import_path(site) == [*sys.path, str(site)]
    sys.path.append(str(tmp_path / "base"))
    (tmp_path / "base").mkdir()
    before = base_environment()
    (tmp_path / "base" / "acme_late-1.0.dist-info").mkdir()
    (tmp_path / "base" / "acme_late-1.0.dist-info" / "METADATA").write_text("Name: acme-late\nVersion: 1.0\n")
    assert "acme-late" in base_environment().installed.keys() - before.installed.keys()


def test_looking_at_one_arrival_beside_a_hundred_plugins_takes_milliseconds(machine: Machine) -> None:
    site = machine.generation(*(plugin(f"p{number}") for number in range(100)))
    arrivals(site, "acme-p1")
    environment = environment_over(site)
    prober = Prober()
    start = time.thread_time()
    judge_arrivals(
        Settings(prefix="T", state_dir=site.parent),
        Hooks(),
        environment=environment,
        lock=None,
        prober=prober,
        changed={"acme-p7"},
        running=(),
    )
    spent = time.thread_time() - start
    assert len(prober.asked) == 1
    assert spent < 0.25


HEAVY = "import time\nend = time.thread_time() + {0}\nwhile time.thread_time() < end: pass\n"


def test_the_child_imports_from_the_new_generation_and_tells_what_is_heavy(machine: Machine) -> None:
    pth = {"acme.pth": "aside\nimport sys; sys.acme_ran = 1\n", "aside/acme_aside.py": ""}
    loads = {"name": "acme-loads", "files": {"acme_loads/__init__.py": HEAVY.format(0.04), **pth}}
    code = (
        f"import sys, acme_loads, acme_aside\nsys.acme_ran\n{CODE}    def started(self): return acme_loads\n"
    )
    old = machine.generation(plugin("beam", code="raise ValueError('old code')"))
    machine.begin(old)
    new = machine.generation(plugin("beam", "2.0", code=code), loads)
    with Probe(path=import_path(new), sites=[new]) as probe:
        catalog = arrivals(new, "acme-beam", "acme-loads", prober=probe)
    (candidate,) = catalog.candidates
    assert candidate.valid, candidate.findings
    (text,) = heavy(catalog.candidates)
    assert text.startswith("acme_beam imports acme_loads (4")
    assert text.endswith(" ms)")
    apart = replace(candidate, spec=replace(candidate.spec, isolation=Isolation.PROCESS))
    assert (
        heavy([apart, replace(candidate, imports={"acme_loads": 0.001}), replace(candidate, valid=False)])
        == ()
    )
    assert heavy([replace(candidate, imports={"sys": 1.0})]) == ()
    assert heavy([replace(candidate, imports={"acme_beam": 0.03})]) == ("acme_beam takes 30 ms to import",)


def test_import_times_belong_to_the_package_that_does_the_work(machine: Machine) -> None:
    def package(name: str, code: str, seconds: float) -> Mapping[str, Any]:
        return {"name": name, "files": {f"{name}/__init__.py": code + HEAVY.format(seconds)}}

    machine.begin(
        machine.generation(
            package("acme_inner", "", 0.03),
            package("acme_outer", "import acme_inner\n", 0.01),
            beam(
                "1.0",
                "import acme_outer\nfrom . import more\n",
                files={"acme_beam/more.py": HEAVY.format(0.02)},
            ),
        )
    )
    with ImportTimes("acme_beam.plugin:Beam") as times:
        __import__("importlib").import_module("acme_beam.plugin")
    spent = times.seconds
    assert spent["acme_inner"] >= 0.03
    assert spent["acme_outer"] < spent["acme_inner"]
    assert 0.02 <= spent["acme_beam"] < spent["acme_inner"] + spent["acme_outer"]
