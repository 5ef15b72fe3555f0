"""From requests to locks with real uv: versions, conflicts, the base, the site's rules, secrets."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from support.closed_index import SECRET, closed_index, through_closed_index
from support.installer_place import Place, changed
from support.wheels import rewrite, simple_index, wheel

from iocmng.errors import BadInput, InstallFailed, InstallRefused, NotFound
from iocmng.plugins.installing.index import Index
from iocmng.plugins.installing.model import Aborted, OriginKind, Pointer
from iocmng.wire import InstallRequest, SourceRequest


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Its path holds what lists of options and paths are split at."""
    home = tmp_path / "a, place"
    home.mkdir()
    return Place(home)


@pytest.fixture
def in_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the import path, as if pip had put into it what a test does."""
    base = tmp_path / "base"
    base.mkdir()
    monkeypatch.syspath_prepend(str(base))
    return base


def unpack(path: Path, into: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(into)


def beams(place: Place) -> None:
    wheel(place.index, "acme-beam", "1.0", requires=["acme-lib>=1"], plugin="beam")
    wheel(place.index, "acme-beam", "2.0", requires=["acme-lib>=1"], plugin="beam")
    wheel(place.index, "acme-lib", "1.0")


def test_from_nothing_over_an_upgrade_to_nothing(place: Place) -> None:
    beams(place)
    resolution = place.resolve("Acme_Beam<2")
    assert changed(resolution) == [("acme-beam", "", "1.0"), ("acme-lib", "", "1.0")]
    assert [root.requirement for root in resolution.lock.roots] == ["Acme_Beam<2"]
    assert resolution.before is None
    assert place.picture() == {}
    place.put("Acme_Beam<2")
    wheel(place.index, "acme-lib", "1.5")
    upgrade = place.resolve("acme-beam>=1", verb="upgrade")
    assert changed(upgrade) == [("acme-beam", "1.0", "2.0")]
    assert [root.requirement for root in upgrade.lock.roots] == ["acme-beam>=1"]
    place.put("acme-beam>=1", verb="upgrade")
    place.said.clear()
    gone = place.resolve("beam", verb="uninstall")
    assert changed(gone) == [("acme-beam", "2.0", ""), ("acme-lib", "1.0", "")]
    assert "acme-beam goes, and with it beam" in place.said
    assert gone.lock.roots == ()


def test_a_conflict_with_the_base_says_why(place: Place, in_base: Path) -> None:
    unpack(wheel(place.home, "acme-engine", "3.1"), in_base)
    wheel(place.index, "acme-engine", "2.0")
    wheel(place.index, "acme-old", requires=["acme-engine<3"])
    with pytest.raises(InstallRefused, match=r"acme-engine") as refused:
        place.resolve("acme-old")
    assert "acme-old" in refused.value.detail
    assert "3.1" in refused.value.detail or "<3" in refused.value.detail
    assert place.picture() == {}


def test_a_wheel_of_the_admin_that_contradicts_the_base_says_why(place: Place, in_base: Path) -> None:
    unpack(wheel(place.home, "acme-engine", "3.1"), in_base)
    given = wheel(place.home, "acme-old", "1.5", requires=["acme-engine<3", "acme-nothing; extra == 'more'"])
    with pytest.raises(InstallRefused, match=r"acme-engine<3, and acme-engine 3\.1 is there") as refused:
        place.resolve(str(given))
    assert "acme-old==1.5" in refused.value.detail
    assert refused.value.error_code == "conflict"
    assert place.picture() == {}


def test_another_host_is_refused(place: Place) -> None:
    wheel(place.index, "acme-old", requires=["iocmng<3"])
    with pytest.raises(InstallRefused, match="iocmng") as refused:
        place.resolve("acme-old")
    assert refused.value.error_code == "conflict"


def test_a_name_that_the_index_does_not_know(place: Place) -> None:
    beams(place)
    wheel(place.index, "acme-poor", requires=["acme-nowhere"])
    for asked in (["acme-nowhere>=2"], ["acme-beam", "acme-nowhere", "acme-lib"]):
        with pytest.raises(NotFound, match="acme-nowhere is not on the index"):
            place.resolve(*asked)
    with pytest.raises(InstallRefused, match="acme-nowhere") as refused:
        place.resolve("acme-poor")
    assert refused.value.error_code == "conflict"
    assert (place.generations.listed(), place.picture()) == ((), {})


def test_all_of_a_request_or_none(place: Place) -> None:
    beams(place)
    damaged = wheel(place.home, "acme-torn")
    damaged.write_bytes(damaged.read_bytes()[:-40])
    wheel(place.index, "acme-odd", requires=["acme-lib>7"])
    before = place.put("acme-lib").lock
    for bad in (str(damaged), "acme-odd", "iocmng", "/nowhere/at/all"):
        with pytest.raises((InstallRefused, NotFound), match=Path(bad).name):
            place.resolve("acme-beam", bad)
    assert place.resolve("acme-lib").lock == before


def test_the_request_moves_nothing_that_it_does_not_name(place: Place) -> None:
    beams(place)
    place.put("acme-beam")
    wheel(place.index, "acme-lib", "2.0")
    wheel(place.index, "acme-new", requires=["acme-lib>=2"])
    with pytest.raises(InstallRefused, match="acme-lib") as refused:
        place.resolve("acme-new")
    assert "name those that may change too" in refused.value.hint
    both = place.resolve("acme-new", "acme-lib>=2")
    assert changed(both) == [("acme-lib", "1.0", "2.0"), ("acme-new", "", "1.0")]


def test_a_hash_that_is_not_the_index_s_is_refused(place: Place) -> None:
    path = wheel(place.home, "acme-beam")
    index = simple_index(place.index, [path])
    rewrite(index / "acme-beam" / path.name, {"acme_beam/__init__.py": "VERSION = 'evil'\n"})
    with pytest.raises((InstallRefused, InstallFailed), match=r"(?i)hash|sha256"):
        place.resolve("acme-beam")


def test_a_wheel_with_a_wrong_record_is_refused(place: Place) -> None:
    path = wheel(place.index, "acme-beam")
    rewrite(path, {}, wrong="acme_beam/__init__.py")
    with pytest.raises(InstallRefused, match="not what RECORD says"):
        place.resolve("acme-beam")
    assert place.generations.listed() == ()


BACKEND = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from support.wheels import wheel

def build_wheel(directory, config_settings=None, metadata_directory=None):
    Path({mark!r}).write_text("it was run")
    return wheel(Path(directory), "acme-source", plugin="source").name
"""


def test_what_is_no_wheel_is_run_only_where_the_site_says_so(place: Place) -> None:
    place.index.mkdir()
    mark = place.home / "mark"
    files = {
        "backend.py": BACKEND.format(tests=str(Path(__file__).resolve().parents[1]), mark=str(mark)),
        "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
        "[project]\nname = 'acme-source'\nversion = '1.0'\n",
        "PKG-INFO": "Metadata-Version: 2.1\nName: acme-source\nVersion: 1.0\n\n",
    }
    with tarfile.open(place.index / "acme_source-1.0.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"acme_source-1.0/{name}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    with pytest.raises(InstallRefused, match="acme-source"):
        place.resolve("acme-source")
    assert not mark.exists()
    resolution = place.resolve("acme-source", wheels_only=False)
    assert mark.exists()
    assert resolution.lock.distributions[0].wheel.endswith("acme_source-1.0-py3-none-any.whl")


def test_the_index_away(place: Place) -> None:
    with pytest.raises(InstallFailed, match=r"127\.0\.0\.1") as failed:
        place.resolve("acme-beam", index=f"http://me:{SECRET}@127.0.0.1:9/simple/")
    assert not isinstance(failed.value, InstallRefused)
    assert SECRET not in str(failed.value)
    assert SECRET not in "".join(place.said)


def test_a_token_of_the_index_is_seen_by_nobody(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with closed_index(place.home / "simple", wheel(place.home, "acme-beam")) as address:
        seen = through_closed_index(place, address, monkeypatch)
        with pytest.raises(InstallFailed) as failed:
            place.resolve("acme-beam", "acme-none", index=address.replace("me:", "other:"))
    assert SECRET not in seen + str(failed.value)


def test_what_pip_put_into_the_base_stays_pip_s(place: Place, in_base: Path) -> None:
    unpack(wheel(place.home, "acme-engine", "3.1", plugin="engine"), in_base)
    wheel(place.index, "acme-engine", "4.0")
    for verb, name in (("upgrade", "acme-engine"), ("uninstall", "acme.engine"), ("uninstall", "engine")):
        with pytest.raises(InstallRefused, match=r"acme-engine 3\.1 is installed by pip in the base"):
            place.resolve(name, verb=verb)
    with pytest.raises(InstallRefused, match="installed by pip in the base"):
        place.resolve("acme-engine>=4")
    with pytest.raises(InstallRefused, match="installed by pip in the base"):
        place.resolve(str(place.index / "acme_engine-4.0-py3-none-any.whl"))
    same = place.resolve("acme-engine>=3")
    assert (same.changes, same.lock.roots) == ((), ())
    assert same.remark == "already installed: acme-engine 3.1 (installed by pip in the base)"
    assert "acme-engine 3.1 is in the base already" in place.said


def test_what_pip_adds_later_wins(place: Place, in_base: Path) -> None:
    beams(place)
    place.put("acme-beam")
    unpack(wheel(place.home, "acme-lib", "1.0"), in_base)
    wheel(place.index, "acme-other")
    assert changed(place.resolve("acme-other")) == [("acme-lib", "1.0", ""), ("acme-other", "", "1.0")]


@pytest.mark.parametrize("verb", ["install", "upgrade"])
def test_the_host_is_not_its_own_plugin(place: Place, verb: str) -> None:
    for text in ("iocmng", "IOCMNG>=3", "iocmng==2.7.9"):
        with pytest.raises(InstallRefused, match="the host itself"):
            place.resolve(text, verb=verb)


def test_extras_of_the_host_bring_what_it_lacks(place: Place, in_base: Path) -> None:
    unpack(wheel(place.home, "acme-engine", "3.1", extras={"turbo": ["acme-turbo"]}), in_base)
    wheel(place.index, "acme-turbo")
    wheel(place.index, "acme-beam", requires=["acme-engine[turbo]", 'acme-none ; python_version < "3"'])
    assert changed(place.resolve("acme-beam")) == [("acme-beam", "", "1.0"), ("acme-turbo", "", "1.0")]


def test_install_keeps_what_fits_and_upgrade_looks_for_newer(place: Place) -> None:
    beams(place)
    place.put("acme-beam==1.0")
    assert changed(place.resolve("acme-beam")) == []
    assert changed(place.resolve("acme-beam", verb="upgrade")) == [("acme-beam", "1.0", "2.0")]
    assert changed(place.resolve("beam", verb="upgrade")) == [("acme-beam", "1.0", "2.0")]
    wheel(place.index, "acme-lib", "1.1")
    inner = place.resolve("acme-lib", verb="upgrade")
    assert changed(inner) == [("acme-lib", "1.0", "1.1")]
    assert [root.name for root in inner.lock.roots] == ["acme-beam"]
    with pytest.raises(NotFound, match="acme-none is not installed"):
        place.resolve("acme-none", verb="upgrade")


def test_why_nothing_newer_comes_is_told(place: Place) -> None:
    beams(place)
    place.put("acme-beam==1.0")
    assert place.resolve("acme-beam").remark == "already installed: acme-beam 1.0"
    assert place.resolve("acme-beam", verb="upgrade").remark == ""
    place.put("beam", verb="upgrade")
    assert place.resolve("beam", verb="upgrade").remark == "already the newest: acme-beam 2.0"
    wheel(place.index, "acme-beam", "3.0", requires=["acme-lib>=2"])
    wheel(place.index, "acme-lib", "2.0")
    stays = place.resolve("beam", verb="upgrade")
    assert stays.remark == (
        "acme-beam 2.0 stays: 3.0 needs acme-lib 2.0 in place of 1.0, which the request does not name;"
        " iocmng upgrade acme-beam acme-lib"
    )
    both = place.resolve("acme-beam", "acme-lib", verb="upgrade")
    assert changed(both) == [("acme-beam", "2.0", "3.0"), ("acme-lib", "1.0", "2.0")]


def test_what_else_holds_a_newer_version_back(place: Place) -> None:
    wheel(place.index, "acme-beam", "1.0", plugin="beam")
    wheel(place.index, "acme-beam", "2.0", plugin="beam")
    wheel(place.index, "acme-tight", requires=["acme-beam<2"])
    place.put("acme-beam<2")
    assert place.resolve("beam", verb="upgrade").remark == (
        "acme-beam 1.0 stays: there is 2.0, but acme-beam<2 is what was asked for;"
        " iocmng upgrade acme-beam==2.0 takes it"
    )
    assert changed(place.resolve("acme-beam==2.0", verb="upgrade")) == [("acme-beam", "1.0", "2.0")]
    assert place.resolve("acme-beam<2", verb="upgrade").remark == "already the newest: acme-beam 1.0"
    place.put("acme-tight")
    said = place.resolve("beam", verb="upgrade").remark
    assert said.startswith("acme-beam 1.0 stays: there is 2.0, but uv finds no way")
    assert "acme-tight" in said


def test_what_others_need_stays(place: Place) -> None:
    beams(place)
    place.put("acme-beam", "acme-lib")
    with pytest.raises(InstallRefused, match="acme-lib is needed by acme-beam"):
        place.resolve("acme-lib", verb="uninstall")
    assert changed(place.resolve("acme-beam", verb="uninstall")) == [("acme-beam", "2.0", "")]
    with pytest.raises(NotFound, match="acme-none"):
        place.resolve("acme-none", verb="uninstall")


def test_a_plugin_takes_its_whole_distribution_along(place: Place) -> None:
    points = {"north": "acme_two.plugin:Plugin", "south": "acme_two.plugin:Plugin"}
    wheel(place.index, "acme-two", plugin=points, files={"acme_two/plugin.py": "class Plugin: pass\n"})
    lock = place.put("acme-two").lock
    assert place.installer().plugins_of(lock) == {"acme-two": ("north", "south")}
    assert changed(place.resolve("south", verb="uninstall")) == [("acme-two", "1.0", "")]
    assert "acme-two goes, and with it north, south" in place.said


def test_a_plugin_is_called_as_it_is_written(place: Place) -> None:
    for version in ("1.0", "2.0", "3.0"):
        wheel(place.index, "acme-pumps", version, plugin="my_pump")
    place.put("acme-pumps==1.0")
    assert changed(place.resolve("my_pump", verb="upgrade")) == [("acme-pumps", "1.0", "3.0")]
    assert changed(place.resolve("my_pump<3", verb="upgrade")) == [("acme-pumps", "1.0", "2.0")]
    assert changed(place.resolve("Acme_Pumps", verb="upgrade")) == [("acme-pumps", "1.0", "3.0")]
    assert changed(place.resolve("my_pump", verb="uninstall")) == [("acme-pumps", "1.0", "")]
    with pytest.raises(NotFound, match="my-pump is not installed"):
        place.resolve("my-pump", verb="upgrade")


def test_two_ways_to_understand_a_name_are_told(place: Place) -> None:
    wheel(place.index, "acme-beam", plugin="acme-lib")
    wheel(place.index, "acme-lib")
    place.put("acme-beam", "acme-lib")
    with pytest.raises(BadInput, match="acme-lib is a distribution, and a plugin of acme-beam"):
        place.resolve("acme-lib", verb="uninstall")


def test_the_same_twice_in_a_request_is_refused(place: Place) -> None:
    beams(place)
    with pytest.raises(BadInput, match="asked for twice"):
        place.resolve("acme-beam", "Acme.Beam>=2")


def test_rules_of_the_site(place: Place) -> None:
    beams(place)
    with pytest.raises(InstallRefused, match="does not name acme-lib"):
        place.resolve("acme-beam", allow=["acme-b*"])
    assert changed(place.resolve("acme-beam", allow=["acme-b*", "acme-lib"])) != []
    with pytest.raises(InstallRefused, match="switched off"):
        place.resolve("acme-beam", enabled=False)
    with pytest.raises(BadInput, match="neither a URL nor an absolute path"):
        place.resolve("acme-beam", index="wheels")


def test_a_wheel_file_and_the_same_version_with_other_content(place: Place) -> None:
    path = wheel(place.home / "mine", "acme-beam", "1.0", plugin="beam")
    first = place.put(str(path))
    (locked,) = first.lock.distributions
    assert (locked.origin.kind, locked.origin.address) == (OriginKind.WHEEL, str(path))
    assert first.lock.roots[0].requirement == "acme-beam==1.0"
    rewrite(path, {"acme_beam/__init__.py": "VERSION = 'other'\n"})
    second = place.put(str(path))
    assert [(change.before, change.after) for change in place.resolve(str(path)).changes] == []
    assert first.lock.distributions[0].sha256 != second.lock.distributions[0].sha256
    assert (first.site / "acme_beam" / "__init__.py").read_text() != (
        second.site / "acme_beam" / "__init__.py"
    ).read_text()
    with pytest.raises(InstallRefused, match="no source to look at again"):
        place.resolve("beam", verb="fetch")


def test_a_requirement_that_is_an_address_is_not_followed(place: Place) -> None:
    path = wheel(place.home, "acme-beam", requires=["acme-evil @ git+https://127.0.0.1:9/evil"])
    with pytest.raises(InstallRefused, match="requires acme-evil from an address"):
        place.resolve(str(path))
    wheel(place.index, "acme-beam", requires=[f"acme-evil @ {(place.home / 'evil').as_uri()}"])
    wheel(place.index, "acme-more", requires=["acme-beam"])
    for name in ("acme-beam", "acme-more"):
        with pytest.raises(InstallRefused, match="acme-beam requires acme-evil from an address"):
            place.resolve(name)


def test_conditions_that_exclude_everything_are_told(place: Place) -> None:
    beams(place)
    with pytest.raises(InstallRefused, match="nothing to install"):
        place.resolve('acme-beam ; python_version < "3"')


def test_somebody_who_asks_to_end_is_heard(place: Place) -> None:
    beams(place)

    def tell(line: str) -> None:
        if "fetching" in line:
            raise Aborted

    with pytest.raises(Aborted):
        place.installer().resolve(InstallRequest(requirements=("acme-beam",)), tell)
    assert list((place.state / "scratch").iterdir()) == []
    assert changed(place.resolve("acme-beam")) != []


def directory(place: Place, body: str = "pass") -> Path:
    folder = place.home / "source"
    folder.mkdir(exist_ok=True)
    code = f"from iocmng import TaskBase\n\nclass Beam(TaskBase):\n    def execute(self):\n        {body}\n"
    (folder / "my_plugin.py").write_text(code)
    (folder / "config.yaml").write_text("arguments: {outputs: {COUNT: {type: int}}}\n")
    (folder / "requirements.txt").write_text("acme-lib>=1\n")
    return folder


def test_a_directory_is_built_and_looked_at_again(place: Place) -> None:
    wheel(place.index, "acme-lib")
    source = SourceRequest(name="beam", local_path=str(directory(place)), auto_start=False)
    installer = place.installer()
    first = installer.stage(
        installer.resolve(InstallRequest(source=source), place.said.append), place.said.append
    )
    place.generations.point(Pointer(current=first.number))
    (root,) = first.lock.roots
    assert (root.name, root.plugin, root.instance["auto_start"]) == ("iocmng-dir-beam", "beam", False)
    assert sorted(place.versions()) == ["acme-lib", "iocmng-dir-beam"]
    assert changed(place.resolve("beam", verb="fetch")) == []
    directory(place, "self.set_pv('COUNT', 1)")
    (change,) = changed(place.resolve(verb="fetch"))
    assert change[0] == "iocmng-dir-beam"
    assert change[1] != change[2]
    second = place.put("beam", verb="upgrade")
    assert second.lock.roots[0].instance == root.instance
    shutil.rmtree(place.state / "wheels")
    again = place.resolve(verb="from-lock").lock
    assert [one.version for one in again.distributions] == [one.version for one in second.lock.distributions]
    shutil.rmtree(source.local_path)
    assert [name for name, _, _ in changed(place.resolve("beam", verb="uninstall"))] == [
        "acme-lib",
        "iocmng-dir-beam",
    ]


def test_what_a_tool_is_told_by_the_environment() -> None:
    environ = {
        "PATH": "/bin",
        "PIP_TARGET": "/elsewhere",
        "UV_SYSTEM_PYTHON": "1",
        "UV_INDEX_ACME_PASSWORD": "p4ssw0rd",
        "UV_INDEX": "acme=https://me:other@index.example/",
        "HTTPS_PROXY": "http://me:third@proxy:3128",
        "IOCMNG_TOKEN": "secret",
        "PYTHONPATH": "/x",
    }
    own = Index.of(None, environ)
    kept = {"PATH", "UV_INDEX_ACME_PASSWORD", "UV_INDEX", "HTTPS_PROXY"}
    assert own.variables("UV").keys() == kept
    assert own.login("https://index.example/a.whl") == ("me", "other")
    assert own.login("https://elsewhere.example/a.whl") is None
    assert own.redacted("p4ssw0rd at https://me:other@x and other") == "*** at https://***@x and ***"
    site = Index.of("https://me:word@index.example/simple/", environ)
    assert site.variables("UV")["UV_DEFAULT_INDEX"] == "https://me:word@index.example/simple/"
    assert "UV_INDEX" not in site.variables("UV")
    assert site.arguments == ()
