"""A configured instance on its way into the host, valid or not; what hooks look at and the catalog lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from iocmng.config import PluginConfig
from iocmng.plugins.discovery import Discovered
from iocmng.spec import InstanceSpec
from iocmng.wire import Finding, Level


@dataclass(frozen=True, slots=True)
class Candidate:
    """An instance and what validation says about it.

    Attributes:
        spec: The description. Of an invalid one it holds only the records that show that it is INVALID,
            or none when its prefix is no PV prefix.
        valid: Whether it may run.
        findings: Everything that was found, errors first.
        config: The plugin's config.yaml, None where that could not be read.
        discovered: Where the plugin comes from, None for one that is configured and not installed.
        imports: Seconds of work that its import took in the probing child, by first part of module names.
    """

    spec: InstanceSpec
    valid: bool
    findings: tuple[Finding, ...] = ()
    config: PluginConfig | None = None
    discovered: Discovered | None = None
    imports: Mapping[str, float] = field(default_factory=dict)


def has_error(findings: Iterable[Finding]) -> bool:
    """Whether one of the findings makes a plugin INVALID."""
    return any(finding.level is Level.ERROR for finding in findings)


def shown(findings: Iterable[Finding], folders: tuple[str, str] | None) -> Iterator[Finding]:
    """Move findings from the first folder, where a copy was judged, to the second, the author's own."""
    for finding in findings:
        file = finding.where.file
        if folders and file.startswith(f"{folders[0]}/"):
            place = replace(finding.where, file=folders[1] + file.removeprefix(folders[0]))
            finding = replace(finding, where=place)
        yield finding


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings without repetitions, errors before warnings before notes, otherwise in order."""
    order = list(Level)
    return tuple(sorted(dict.fromkeys(findings), key=lambda finding: order.index(finding.level)))
