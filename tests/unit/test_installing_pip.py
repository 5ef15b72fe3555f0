"""The same requests with pip, for hosts without uv: it is slow, so each kind of answer once."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.closed_index import SECRET, closed_index, through_closed_index
from support.installer_place import Place, changed
from support.wheels import wheel

from iocmng.errors import InstallFailed, InstallRefused, NotFound
from iocmng.plugins.installing import backend
from iocmng.plugins.installing.index import Index
from iocmng.plugins.installing.resolver_pip import Pip


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Its path holds what lists of options and paths are split at."""
    home = tmp_path / "a, place"
    home.mkdir()
    return Place(home, "pip")


def test_an_upgrade_leaves_alone_what_is_not_named(place: Place) -> None:
    for version in ("1.0", "2.0"):
        wheel(place.index, "acme-beam", version, requires=["acme-lib>=1"], plugin="beam")
    wheel(place.index, "acme-lib", "1.0")
    generation = place.put("acme-beam<2")
    assert sorted(path.name for path in generation.site.glob("acme_*")) == [
        "acme_beam",
        "acme_beam-1.0.dist-info",
        "acme_lib",
        "acme_lib-1.0.dist-info",
    ]
    wheel(place.index, "acme-lib", "1.5")
    assert changed(place.resolve("acme-beam>=1", verb="upgrade")) == [("acme-beam", "1.0", "2.0")]
    assert changed(place.resolve("beam", verb="uninstall")) == [
        ("acme-beam", "1.0", ""),
        ("acme-lib", "1.0", ""),
    ]


def test_a_conflict_with_the_base_says_why(place: Place) -> None:
    wheel(place.index, "acme-old", requires=["softioc<4"])
    with pytest.raises(InstallRefused, match=r"softioc<4") as refused:
        place.resolve("acme-old")
    assert refused.value.error_code == "conflict"
    assert place.picture() == {}


def test_a_name_that_the_index_does_not_know(place: Place) -> None:
    wheel(place.index, "acme-beam")
    with pytest.raises(NotFound, match="acme-nowhere is not on the index"):
        place.resolve("acme-beam", "acme-nowhere>=2")


def test_an_address_is_refused_before_pip_follows_it(place: Place) -> None:
    ran, evil = place.home / "ran", place.home / "evil"
    evil.mkdir()
    (evil / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbuild-backend = 'run'\nbackend-path = ['.']\n"
    )
    (evil / "run.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    wheel(place.index, "acme-bad", requires=[f"acme-evil @ {evil.as_uri()}"])
    wheel(place.index, "acme-beam", requires=["acme-bad"])
    with pytest.raises(InstallRefused, match=r"acme-bad 1\.0 requires acme-evil from an address"):
        place.resolve("acme-beam")
    assert not ran.exists()


def test_the_index_away(place: Place) -> None:
    with pytest.raises(InstallFailed, match="Connection refused") as failed:
        place.resolve("acme-beam", index=f"http://me:{SECRET}@127.0.0.1:9/simple/")
    assert not isinstance(failed.value, InstallRefused)
    assert SECRET not in str(failed.value) + "".join(place.said)


def test_a_token_of_the_index_is_seen_by_nobody(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with closed_index(place.home / "simple", wheel(place.home, "acme-beam")) as address:
        assert SECRET not in through_closed_index(place, address, monkeypatch, stage=False)


def test_pip_takes_the_place_of_a_uv_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(backend, "uv_program", lambda: None)
    assert isinstance(backend.resolver_of("uv", Index("", {}), said.append), Pip)
    assert said == ["uv is not there, pip is used in its place"]
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InstallFailed, match="nor is pip"):
        backend.resolver_of("uv", Index("", {}), said.append)
