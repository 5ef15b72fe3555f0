from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from iocmng.plugins.clashes import dependency_faults, pv_clashes
from iocmng.spec import InstanceSpec, Kind, PluginRef, Supervision
from iocmng.spec.defaults import task_defaults
from iocmng.spec.instance import Mode


def spec(name: str, prefix: str = "", depends_on: tuple[str, ...] = ()) -> InstanceSpec:
    prefix = prefix or name.upper()
    return InstanceSpec(
        name=name,
        kind=Kind.TASK,
        plugin=PluginRef(name=name, target="x:Y"),
        prefix=prefix,
        pv_prefix=f"P:{prefix}",
        defaults=task_defaults(f"P:{prefix}", Mode.CONTINUOUS),
        supervision=Supervision(depends_on=depends_on),
    )


def test_both_are_named_once() -> None:
    faults = list(pv_clashes([spec("a", "X"), spec("b", "X"), spec("c")], {}))
    assert [(name, finding.code) for name, finding in faults] == [("a", "pv-clash"), ("b", "pv-clash")]
    assert "b" in faults[0][1].message
    assert "a" in faults[1][1].message


def test_the_hosts_own_pvs_are_taken() -> None:
    ((name, finding),) = pv_clashes([spec("a", "HOST")], {"P:HOST:STATUS": "the host itself"})
    assert name == "a"
    assert "the host itself" in finding.message


def test_unknown_and_invalid_dependencies() -> None:
    specs = [spec("pump", depends_on=("vacum", "broken")), spec("vacuum")]
    faults = {finding.code: finding for _, finding in dependency_faults(specs, ["pump", "vacuum", "broken"])}
    assert set(faults) == {"depends-unknown", "depends-invalid"}
    assert "vacuum" in faults["depends-unknown"].hint
    assert not faults["depends-invalid"].hint


def test_a_circle_is_a_fault_of_all_in_it_and_of_nobody_else() -> None:
    specs = [
        spec("a", depends_on=("b",)),
        spec("b", depends_on=("c",)),
        spec("c", depends_on=("a",)),
        spec("waiting", depends_on=("a",)),
        spec("selfish", depends_on=("selfish",)),
    ]
    faults = dict(dependency_faults(specs, [one.name for one in specs]))
    assert set(faults) == {"a", "b", "c", "selfish"}
    assert "a → b → c → a" in faults["a"].message


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20))
def test_circles_are_found_exactly(edges: list[tuple[int, int]]) -> None:
    needs = {n: {b for a, b in edges if a == n} for n in range(8)}
    reach = {n: set(needs[n]) for n in needs}
    for _ in range(8):
        for n in reach:
            reach[n] |= {far for near in reach[n] for far in reach[near]}
    specs = [spec(f"i{n}", depends_on=tuple(f"i{m}" for m in sorted(needs[n]))) for n in range(8)]
    found = {name for name, _ in dependency_faults(specs, [one.name for one in specs])}
    assert found == {f"i{n}" for n in range(8) if n in reach[n]}
