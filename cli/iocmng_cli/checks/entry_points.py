"""Whether every advertised plugin, hook and command can be found, without importing any."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, distributions

from iocmng.names import plugin_name_problem
from iocmng.wire import Finding, Level

GROUPS = ("iocmng.plugins", "iocmng.hooks", "iocmng.cli")


def check_entry_points(folders: Sequence[str] = ()) -> Iterator[Finding]:
    """Look at the entry points of all installed distributions.

    Args:
        folders: Folders that a host imports from besides this environment, after it.
    """
    path = [*sys.path, *folders]
    everything = list(_points(path))
    for group in GROUPS:
        points = sorted(
            (point for point in everything if point.group == group),
            key=lambda point: (point.name, point.value),
        )
        wrong = 0
        by_name: dict[str, set[str]] = defaultdict(set)
        for point in points:
            by_name[point.name].add(_origin(point))
            problem = _problem(point, group, path)
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


def _points(path: list[str]) -> Iterator[EntryPoint]:
    """Entry points of each distribution; of two with one name the first counts, as it does for import."""
    seen: set[str] = set()
    for distribution in distributions(path=path):
        # Broken metadata have no name, whatever the annotation says.
        name = re.sub(r"[-_.]+", "-", str(distribution.metadata["Name"] or "")).lower()
        if name and name not in seen:
            seen.add(name)
            yield from distribution.entry_points


def _problem(point: EntryPoint, group: str, path: list[str]) -> str | None:
    if group == "iocmng.plugins" and (problem := plugin_name_problem(point.name)):
        return problem
    try:
        top = point.module.partition(".")[0]
    except AttributeError:
        return "is not of the form module:attribute"
    return None if PathFinder.find_spec(top, path) else f"there is no module {top!r}"


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unnamed distribution"
