"""What reading the site file again has changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from iocmng.wire.finding import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedSetting:
    """A setting by its dotted key, `before` and `after` without secrets; `applied`, or why it is not."""

    key: str
    before: Any = None
    after: Any = None
    applied: bool = False
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadView:
    """What a reload of the settings did.

    Attributes:
        file: The site file, "" without one.
        changes: Every setting that differs from the one in force.
        restart_required: Whether one of them waits for a restart of the host.
        findings: Warnings about the file.
    """

    file: str = ""
    changes: tuple[ChangedSetting, ...] = ()
    restart_required: bool = False
    findings: tuple[Finding, ...] = field(default_factory=tuple)
