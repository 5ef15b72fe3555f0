"""Whether every advertised plugin, hook and command can be found, without importing any."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points

from iocmng.names import plugin_name_problem
from iocmng.wire import Finding, Level

GROUPS = ("iocmng.plugins", "iocmng.hooks", "iocmng.cli")


def check_entry_points() -> Iterator[Finding]:
    """Look at the entry points of all installed distributions."""
    for group in GROUPS:
        points = sorted(entry_points(group=group), key=lambda point: (point.name, point.value))
        wrong = 0
        by_name: dict[str, set[str]] = defaultdict(set)
        for point in points:
            by_name[point.name].add(_origin(point))
            problem = _problem(point, group)
            if problem:
                wrong += 1
                yield Finding(
                    Level.ERROR,
                    "entry-points",
                    f"{group}: {point.name} = {point.value} of {_origin(point)}: {problem}",
                    hint="upgrade or uninstall that package",
                )
        for name, origins in by_name.items():
            if len(origins) > 1:
                wrong += 1
                yield Finding(
                    Level.ERROR,
                    "entry-points",
                    f"{group}: {name} is offered by {' and by '.join(sorted(origins))}",
                    hint="uninstall one of them; until then neither is used",
                )
        if points and not wrong:
            yield Finding(Level.NOTE, "entry-points", f"{group}: {', '.join(sorted(by_name))}")


def _problem(point: EntryPoint, group: str) -> str | None:
    if group == "iocmng.plugins" and (problem := plugin_name_problem(point.name)):
        return problem
    try:
        top = point.module.partition(".")[0]
    except AttributeError:
        return "is not of the form module:attribute"
    return None if PathFinder.find_spec(top) else f"there is no module {top!r}"


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unnamed distribution"
