"""How two locks differ."""

from __future__ import annotations

from iocmng.plugins.installing.model import Lock, Locked
from iocmng.wire import DistributionChange


def changes_between(before: Lock | None, after: Lock) -> tuple[DistributionChange, ...]:
    """What is added, removed, or of another version or content; in the order of names."""
    old = {one.name: one for one in before.distributions} if before else {}
    new = {one.name: one for one in after.distributions}
    names = sorted(old.keys() | new.keys())
    return tuple(
        _change(name, old.get(name), new.get(name))
        for name in names
        if _content(old.get(name)) != _content(new.get(name))
    )


def _content(one: Locked | None) -> tuple[str, str] | None:
    return None if one is None else (one.version, one.sha256)


def _change(name: str, old: Locked | None, new: Locked | None) -> DistributionChange:
    shown = new or old
    return DistributionChange(
        name=name,
        before=old.version if old else "",
        after=new.version if new else "",
        origin=str(shown.origin) if shown else "",
    )
