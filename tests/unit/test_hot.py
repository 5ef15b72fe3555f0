from __future__ import annotations

import functools
import sys
import threading
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.swapping import USER, Machine, as_before, beam, few_modules, imported, reasons, running, user

from iocmng.plugins import holders
from iocmng.plugins.environment import Environment
from iocmng.plugins.hot import not_hot, notes, still_running, users, with_dependents
from iocmng.spec import InstanceSpec, Isolation, Kind, PluginRef
from iocmng.wire import NotHot

PLUGIN = """
import dataclasses, enum, logging, re
from typing import Optional
from iocmng import ParameterModel, TaskBase

log = logging.getLogger(__name__)
log.addHandler(logging.NullHandler())
PATTERN = re.compile("beam.*")
TABLE = {"a": [1, 2]}

class Mode(enum.Enum):
    FAST = 1

@dataclasses.dataclass
class Shot:
    mode: Mode = Mode.FAST

class Parameters(ParameterModel):
    gain: float = 1.0
    names: dict[str, int] = {}

class Beam(TaskBase):
    Parameters = Parameters
    last: Optional[Shot] = None

    def execute(self):
        return Shot()
"""


@pytest.fixture
def machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Machine]:
    """Half a second of walking through the modules of pytest is spent in one test only."""
    if "everything" not in request.node.name:
        monkeypatch.setattr(holders, "loaded_modules", few_modules())
    with as_before():
        yield Machine(tmp_path)


def outside(**content: Any) -> types.ModuleType:
    """A module of nobody, which holds something."""
    module = types.ModuleType("acme_outside")
    vars(module).update(content)
    sys.modules["acme_outside"] = module
    return module


def test_pure_python_that_nobody_holds_of_everything_loaded_is_hot(machine: Machine) -> None:
    running(machine, PLUGIN)
    changes = machine.changes(machine.generation(beam("2.0", PLUGIN)))
    assert not_hot(changes, [USER]) == ()
    assert still_running(changes, [USER]) == ()
    assert not_hot(machine.changes(None), [USER]) == ()


def test_what_is_added_is_hot_and_its_hooks_are_told_to_act_later(machine: Machine) -> None:
    changes = machine.changes(machine.generation(beam("1.0", hooks={"acme": "acme_beam.plugin"})))
    assert not_hot(changes, []) == ()
    (note,) = notes(changes)
    assert "acme-beam" in note.message
    assert "restart" in note.message
    assert notes(machine.changes(machine.generation(beam("1.0")))) == ()


def test_what_is_not_loaded_is_hot_whatever_it_is(machine: Machine) -> None:
    site = machine.generation(
        beam("1.0", files={"acme_beam/_core.abi3.so": b""}, hooks={"acme": "acme_beam.plugin"})
    )
    machine.begin(site)
    assert not_hot(machine.changes(None), [user("acme-beam", stopped=False)]) == ()


@pytest.mark.parametrize(
    "file", ["acme_beam/_core.cpython-311-x86_64-linux-gnu.so", "acme_beam.libs/libacme.so.3"]
)
@pytest.mark.parametrize("where", ["before", "after"])
def test_compiled_code_is_not_exchanged(machine: Machine, file: str, where: str) -> None:
    machine.begin(machine.generation(beam("1.0", files={file: b""} if where == "before" else {})))
    imported("acme_beam")
    changes = machine.changes(machine.generation(beam("2.0", files={file: b""} if where == "after" else {})))
    (found,) = not_hot(changes, [USER])
    assert found.package == "acme-beam"
    assert file in found.reason


@pytest.mark.parametrize("where", ["before", "after"])
def test_hooks_are_not_exchanged(machine: Machine, where: str) -> None:
    hooks = {"acme": "acme_beam.plugin"}
    machine.begin(machine.generation(beam("1.0", hooks=hooks if where == "before" else None)))
    imported("acme_beam.plugin")
    changes = machine.changes(machine.generation(beam("2.0", hooks=hooks if where == "after" else None)))
    assert "hooks" in reasons(not_hot(changes, [USER]))


def test_processes_of_their_own_are_hot_whatever_the_host_has_loaded(machine: Machine) -> None:
    running(machine, PLUGIN, files={"acme_beam/_core.abi3.so": b""})
    apart = user("acme-beam", isolated=True)
    assert not_hot(machine.changes(None), [apart]) == ()
    assert "pure Python" in reasons(not_hot(machine.changes(None), [apart, user("acme-beam", name="inside")]))


def test_without_file_records_nothing_is_known(machine: Machine) -> None:
    site = machine.generation(beam("1.0"))
    next(site.glob("*.dist-info/RECORD")).unlink()
    machine.begin(site)
    imported("acme_beam")
    assert "file records" in reasons(not_hot(machine.changes(None), [USER]))


def test_code_of_pth_files_is_not_taken_back(machine: Machine) -> None:
    running(machine, PLUGIN, files={"acme.pth": "import sys\n"})
    assert "acme.pth" in reasons(not_hot(machine.changes(None), [USER]))


def test_a_dependency_that_an_unaffected_plugin_shares_names_that_plugin(machine: Machine) -> None:
    common = {"name": "acme-common", "version": "1.0"}
    machine.begin(machine.generation(common, beam("1.0")))
    imported("acme_common")
    changes = machine.changes(machine.generation({**common, "version": "2.0"}, beam("1.0")))
    vac = user("acme-vac", "acme-common", name="vac", stopped=False)
    (found,) = not_hot(changes, [user("acme-beam", "acme-common"), vac])
    assert found.package == "acme-common"
    assert "vac of acme-vac uses it too" in found.reason
    assert (
        not_hot(changes, [user("acme-beam", "acme-common"), user("acme-vac", "acme-common", isolated=True)])
        == ()
    )


def subclass(plugin: Any) -> dict[str, Any]:
    return {"Sub": type("Sub", (plugin.Beam,), {"__module__": "acme_outside"})}


class _Registry:
    def __init__(self, *things: object) -> None:
        self.things = dict.fromkeys(things, 1)


HOLDING: dict[str, tuple[str, Callable[[Any], dict[str, Any]], str]] = {
    "a class that inherits": (
        "class Beam: pass",
        subclass,
        "acme_outside.Sub inherits from acme_beam.plugin.Beam",
    ),
    "the module": ("", lambda plugin: {"m": plugin}, "acme_outside.m holds the module itself"),
    "a class": ("class Beam: pass", lambda plugin: {"c": plugin.Beam}, "acme_outside.c holds Beam"),
    "a function": ("def f(): pass", lambda plugin: {"f": plugin.f}, "acme_outside.f holds f"),
    "an object": ("class Beam: pass", lambda plugin: {"o": plugin.Beam()}, "acme_outside.o holds a Beam"),
    "a list of objects": ("class B: pass", lambda plugin: {"o": [plugin.B()]}, "acme_outside.o holds a B"),
    "a method": (
        "class B:\n    def m(self): pass",
        lambda plugin: {"callbacks": {"x": (plugin.B().m,)}},
        "acme_outside.callbacks holds",
    ),
    "a closure": (
        "def f(): pass",
        lambda plugin: {"wrapped": (lambda inner: lambda: inner())(plugin.f)},
        "acme_outside.wrapped holds f",
    ),
    "a registry of a class": (
        "def f(): pass",
        lambda plugin: {"Known": type("Known", (), {"__module__": "acme_outside", "all": {"f": plugin.f}})},
        "acme_outside.Known holds f",
    ),
    "an inherited method": (
        "import threading\nclass T(threading.Event): pass",
        lambda plugin: {"callbacks": [plugin.T().set]},
        "acme_outside.callbacks holds",
    ),
    "the append of its list": (
        "RESULTS = []",
        lambda plugin: {"callbacks": [plugin.RESULTS.append]},
        "acme_outside.callbacks holds RESULTS",
    ),
    "a partial": (
        "def f(): pass",
        lambda plugin: {"callbacks": [functools.partial(print, plugin.f)]},
        "acme_outside.callbacks holds f",
    ),
    "an object that it made of a foreign class": (
        "import threading\nCOUNTER = threading.Event()",
        lambda plugin: {"REGISTRY": _Registry(plugin.COUNTER)},
        "acme_outside.REGISTRY holds COUNTER of acme_beam.plugin",
    ),
    "an object that its class made": (
        "import threading\nclass Beam:\n    total = threading.Event()",
        lambda plugin: {"REGISTRY": _Registry(plugin.Beam.total)},
        "acme_outside.REGISTRY holds Beam.total",
    ),
}


@pytest.mark.parametrize("case", HOLDING)
def test_what_others_hold_is_not_hot(machine: Machine, case: str) -> None:
    code, content, expected = HOLDING[case]
    plugin = running(machine, code)
    outside(**content(plugin))
    for found in (not_hot(machine.changes(None), [USER]), still_running(machine.changes(None), [USER])):
        assert expected in reasons(found)
        assert {one.package for one in found} == {"acme-beam"}


class _Proxy:
    """Like those of web frameworks: whoever asks it for anything runs its code."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("no request")

    @property
    def __dict__(self) -> Any:
        raise RuntimeError("no request")


class _Meta(type):
    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(name)


def test_nothing_of_others_is_run_on_the_way(machine: Machine) -> None:
    outside(proxy=_Proxy(), held=[_Proxy()], Odd=_Meta("Odd", (), {}))
    running(machine, "class Beam: pass\nfrom acme_outside import proxy, Odd\nclass Sub(Beam): odd = proxy\n")
    assert not_hot(machine.changes(None), [USER]) == ()


def test_what_was_made_elsewhere_may_be_held_there(machine: Machine) -> None:
    outside(shared=threading.Event(), others=[])
    plugin = running(machine, "from acme_outside import shared, others\n")
    imported("acme_outside").registry = [plugin.shared]
    assert not_hot(machine.changes(None), [USER]) == ()


def test_what_a_running_instance_registered_counts_only_when_it_has_stopped(machine: Machine) -> None:
    plugin = running(machine, "class B:\n    def m(self): pass\n    def make(self): return lambda: self")
    outside(callbacks=[plugin.B().m, plugin.B().make()])
    live = user("acme-beam", live=True)
    assert not_hot(machine.changes(None), [live]) == ()
    assert "acme_outside.callbacks" in reasons(still_running(machine.changes(None), [live]))


REGISTERING = "from iocmng.core.functions import register\n"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            f"{REGISTERING}def twice(x): return 2 * x\nregister('twice', twice)",
            "registered the function 'twice'",
        ),
        (
            f"{REGISTERING}import functools\nregister('p', functools.partial(lambda x, y: x, y=1))",
            "function 'p'",
        ),
        (
            "import logging\nlogging.getLogger(__name__).addHandler(logging.StreamHandler())",
            "keeps its handlers",
        ),
        ("import logging\nH = logging.StreamHandler()\nlogging.getLogger('acme').addHandler(H)", "logging"),
        ("import atexit\natexit.register(print)", "uses atexit"),
        ("def f():\n    import atexit", "uses atexit"),
        ("from atexit import unregister", "uses atexit"),
    ],
)
def test_what_it_left_in_the_interpreter_is_not_hot(machine: Machine, code: str, expected: str) -> None:
    plugin = running(machine, code)
    try:
        assert expected in reasons(not_hot(machine.changes(None), [USER]))
    finally:
        logger = imported("logging").getLogger("acme")
        logger.handlers = [one for one in logger.handlers if one is not getattr(plugin, "H", None)]


def test_a_module_of_others_inside_of_its_package_is_not_hot(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "guest.py").write_text("")
    package = running(machine, PLUGIN) and imported("acme_beam")
    package.__path__.append(str(tmp_path / "more"))
    imported("acme_beam.guest")
    assert "acme_beam.guest of another distribution" in reasons(not_hot(machine.changes(None), [USER]))


def test_who_uses_what_is_told_by_requirements_but_not_by_those_of_the_base(machine: Machine) -> None:
    chain = [{"name": "acme-common", "requires": ["acme-inner", "pluggy"]}, {"name": "acme-inner"}]
    machine.begin(machine.generation(beam("1.0", requires=["Acme_Common", "pytest"]), *chain))
    assert machine.site is not None
    environment = Environment.read([*sys.path])
    plugin = PluginRef(name="beam", target="acme_beam.plugin:Beam", distribution="Acme.Beam")
    spec = InstanceSpec(name="beam", kind=Kind.TASK, plugin=plugin, prefix="BEAM", pv_prefix="T:BEAM")
    (one, apart) = users(
        [spec, replace(spec, name="apart", isolation=Isolation.PROCESS)], environment, {"apart"}
    )
    assert one.needs == {"acme-beam", "acme-common", "acme-inner", "pluggy", "pytest"}
    assert (one.distribution, one.isolated, one.stopped) == ("acme-beam", False, False)
    assert (apart.isolated, apart.stopped) == (True, True)


def test_dependents_of_a_changed_distribution_are_loaded_anew_too(machine: Machine) -> None:
    common = {
        "name": "acme-common",
        "version": "1.0",
        "files": {"acme_common/__init__.py": "class Base: pass\n"},
    }
    dependent = beam(
        "1.0", "from acme_common import Base\nclass Beam(Base): pass\n", requires=["acme-common"]
    )
    apart = {"name": "acme-vac"}
    machine.begin(machine.generation(common, dependent, apart))
    imported("acme_beam.plugin")
    after = machine.generation({**common, "version": "2.0"}, dependent, apart)
    before, new = (Environment.read([str(site)]) for site in (machine.site, after))
    changes = with_dependents(machine.changes(after), before, new)
    assert [change.name for change in changes] == ["acme-common", "acme-beam"]
    assert "inherits" in reasons(not_hot(machine.changes(after), [user("acme-beam", "acme-common")]))
    assert not_hot(changes, [user("acme-beam", "acme-common")]) == ()
    going_on = user("acme-beam", "acme-common", name="beam", stopped=False)
    (found,) = not_hot(changes, [going_on])
    assert found == NotHot("acme-common", "beam of acme-beam uses it too, and is not part of this operation")
