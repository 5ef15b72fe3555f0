"""Which wheels stay in the store of a host that runs for long: those of generations, and of the last plan."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.installer_place import Place
from support.wheels import wheel

from iocmng.errors import InstallRefused, NotFound


def stored(place: Place) -> list[str]:
    return sorted(
        path.name.partition("-py3")[0] for path in (place.state / "wheels").rglob("*") if path.is_file()
    )


def test_what_came_to_nothing_does_not_pile_up(tmp_path: Path) -> None:
    place = Place(tmp_path)
    for version in ("1.0", "2.0", "3.0"):
        wheel(place.index, "acme-beam", version, plugin="beam")
    wheel(place.index, "acme-bad", files={"json.py": ""})
    place.put("acme-beam==1.0")
    place.put("acme-beam==2.0")
    standing = ["acme_beam-1.0", "acme_beam-2.0"]
    for _ in range(2):
        planned = place.resolve("acme-bad")
        assert stored(place) == ["acme_bad-1.0", *standing]
        with pytest.raises(InstallRefused, match="both bring json"):
            place.stage(planned)
    planned = place.resolve("acme-beam==3.0")
    assert stored(place) == [*standing, "acme_beam-3.0"]
    place.stage(planned)
    with pytest.raises(NotFound):
        place.resolve("acme-nowhere")
    damaged = wheel(place.home, "acme-evil", requires=["acme-more @ git+https://127.0.0.1:9/more"])
    with pytest.raises(InstallRefused, match="from an address"):
        place.resolve(str(damaged))
    assert stored(place) == [*standing, "acme_beam-3.0"], "a generation that waits needs it"
    place.put("acme-beam", verb="uninstall")
    assert stored(place) == [*standing, "acme_beam-3.0"]
