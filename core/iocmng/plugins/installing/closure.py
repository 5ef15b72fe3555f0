"""What of a set of distributions the roots need, read from their metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from packaging.requirements import InvalidRequirement, Requirement

from iocmng.errors import InstallRefused
from iocmng.plugins.environment import canonical
from iocmng.plugins.installing.layout import Layout
from iocmng.plugins.installing.model import Root


def needed_by(roots: Iterable[Root], requires: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The distributions that the roots need, themselves included: name → who needs it ("": a root).

    Extras and environment markers are followed as a resolver does.

    Args:
        roots: Where to begin.
        requires: Requirements of every distribution there is, those of the base too (it may have extras).
    """
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    queue: list[tuple[str, str, str]] = []
    for root in roots:
        queue += [(root.name, extra, "") for extra in ("", *_extras(root.requirement))]
    while queue:
        name, extra, who = queue.pop(0)
        if (name, extra) in seen or name not in requires:
            continue
        seen.add((name, extra))
        found.setdefault(name, who)
        for requirement in _requirements(requires[name], extra):
            target = canonical(requirement.name)
            queue += [(target, more, name) for more in ("", *map(canonical, requirement.extras))]
    return found


def refuse_addresses(title: str, requires: Iterable[str]) -> None:
    """Look at the requirements of a wheel before a resolver does.

    Args:
        title: What to call it.
        requires: Its requirements, as they are written.

    Raises:
        InstallRefused: One names an address: a resolver would fetch it, and may run what is there.
    """
    for text in requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as problem:
            raise InstallRefused(f"{title} has a requirement that is none: {problem}") from None
        if requirement.url:
            raise InstallRefused(
                f"{title} requires {requirement.name} from an address of its own",
                hint=f"install {requirement.name} by itself, and let the plugin require it by name",
            )


def refuse_other_versions(title: str, layout: Layout, versions: Mapping[str, str]) -> None:
    """Look whether a wheel goes with what is there and stays.

    Args:
        title: What to call it, with its version.
        layout: The wheel.
        versions: What stays, by canonical name.

    Raises:
        InstallRefused: It requires another version of something; names both sides.
    """
    lacking = [
        f"{requirement}, and {name} {versions[name]} is there"
        for requirement in _requirements(layout.requires, "")
        if (name := canonical(requirement.name)) in versions
        and not requirement.specifier.contains(versions[name], prereleases=True)
    ]
    if lacking:
        raise InstallRefused(
            f"{title} does not go with the host's environment: it requires {'; '.join(lacking)}",
            hint="let the plugin take that version, or change the environment with pip, then: iocmng restart-host",
            code="conflict",
        )


def _extras(requirement: str) -> tuple[str, ...]:
    try:
        return tuple(map(canonical, Requirement(requirement).extras))
    except InvalidRequirement:
        return ()


def _requirements(texts: Sequence[str], extra: str) -> Iterable[Requirement]:
    for text in texts:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        if marker is None:
            if not extra:
                yield requirement
        elif marker.evaluate({"extra": extra}) and (not extra or not marker.evaluate({"extra": ""})):
            yield requirement
