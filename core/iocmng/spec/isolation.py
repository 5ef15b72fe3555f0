"""Where the code of an instance runs, by its config and the site file, and what of that has no effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from iocmng.config import PluginConfig
from iocmng.settings.instances import InstanceSettings
from iocmng.spec.instance import Isolation
from iocmng.spec.script import ScriptSpec
from iocmng.wire import Finding, Level, Where

CODE = "does-not-apply"


def isolation_of(
    config: PluginConfig,
    site: InstanceSettings | None,
    *,
    script: ScriptSpec | None,
    target: str,
    locate: Callable[..., Where],
) -> tuple[Isolation, float | None, list[Finding]]:
    """Where the code runs, how much memory it may take (MiB, None for any), and findings.

    Args:
        config: What the plugin bundles.
        site: What the site file says about the instance.
        script: What a script job runs: that is a process already.
        target: The plugin's entry point; one that names no class has no code.
        locate: The config's places.
    """
    by_site = site.isolation if site is not None else None
    asked: Literal["thread", "process"] = by_site or config.isolation
    limit = site.memory_limit if site is not None and site.memory_limit is not None else config.memory_limit
    findings: list[Finding] = []

    def ineffective(text: str, key: str, hint: str, *, from_site: bool) -> None:
        where = Where(key=f"instances.{key}") if from_site else locate(key, key=True)
        findings.append(Finding(Level.WARNING, CODE, text, where, hint))

    if asked == "process" and (script is not None or ":" not in target):
        text = (
            "isolation: process has no effect: the script has a process of its own"
            if script is not None
            else "isolation: process has no effect: there is no code, links and rules run in the host"
        )
        ineffective(text, "isolation", "remove it", from_site=by_site is not None)
        return Isolation.THREAD, None, findings
    if asked == "thread" and limit is not None:
        if config.isolation == "thread":
            from_site = site is not None and site.memory_limit is not None
            text = "memory_limit has no effect: a thread of the host cannot be limited"
            ineffective(text, "memory_limit", "add isolation: process", from_site=from_site)
        limit = None
    return Isolation(asked), limit, findings
