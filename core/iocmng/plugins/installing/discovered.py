"""Plugins of an environment that was installed through the host: as a source advertised them, with its settings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from iocmng.plugins.directory import described
from iocmng.plugins.discovery import Discovered, advertised
from iocmng.plugins.environment import Environment, canonical
from iocmng.plugins.installing.model import LISTED, Lock, OriginKind, Root
from iocmng.settings.directories import instance_settings
from iocmng.settings.instances import InstanceSettings, RequestedInstance
from iocmng.settings.settings import Settings


def advertised_with(
    environment: Environment,
    lock: Lock | None,
    *,
    importable: bool,
    settings: Settings | None = None,
    without: Collection[str] = (),
) -> tuple[Discovered, ...]:
    """Discover the plugins of an environment, those of plugin directories by their lenient rules.

    Args:
        environment: What is installed.
        lock: What was installed through the host, None for nothing: it knows the author's folders, and what a
            request said about its instance.
        importable: The environment is this interpreter's own.
        settings: With them plugins that came from plugins.yaml are as it says now: those that it names no more
            are left out, unless the site file has an instance of them.
        without: Plugins that came from plugins.yaml and are not to be given.
    """
    roots = {root.name: root for root in lock.roots} if lock else {}
    found: list[Discovered] = []
    for one in advertised(environment, importable=importable):
        name = canonical(one.plugin.distribution)
        root = roots.get(name)
        if (distribution := environment.installed.get(name)) is not None:
            one = described(environment, distribution, folder=_author_folder(root)) or one
        if root is not None and root.plugin in ("", one.plugin.name):
            if settings is not None and _left(one.plugin.name, root, settings, without):
                continue
            one = _with_settings(one, root, settings)
        found.append(one)
    return tuple(found)


def _with_settings(one: Discovered, root: Root, settings: Settings | None) -> Discovered:
    entries = settings.plugins if settings and root.instance.get(LISTED) else ()
    entry = next((entry for entry in entries if entry.name == one.plugin.name and not entry.broken), None)
    if entry is not None:
        return replace(one, site=entry.settings, findings=(*entry.findings, *one.findings))
    if not root.instance:
        return one
    form = InstanceSettings if root.instance.get(LISTED) else RequestedInstance
    return replace(one, site=instance_settings(one.plugin.name, root.instance, form))


def _left(plugin: str, root: Root, settings: Settings, without: Collection[str]) -> bool:
    if not root.instance.get(LISTED):
        return False
    known = [*(entry.name for entry in settings.plugins), *(one.plugin for one in settings.instances)]
    return plugin in without or plugin not in known


def _author_folder(root: Root | None) -> str:
    """The author's directory as long as it is there: a source of git has none."""
    if root is None or root.origin.kind is not OriginKind.PLUGIN_DIRECTORY:
        return ""
    folder = Path(root.origin.address, root.origin.path)
    return str(folder) if folder.is_dir() else ""
