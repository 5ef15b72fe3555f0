"""Plugins of an environment that was installed through the host: as a source advertised them, with its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from iocmng.plugins.directory import described
from iocmng.plugins.discovery import Discovered, advertised
from iocmng.plugins.environment import Environment, canonical
from iocmng.plugins.installing.model import Lock, OriginKind, Root
from iocmng.settings.directories import instance_settings


def advertised_with(
    environment: Environment, lock: Lock | None, *, importable: bool
) -> tuple[Discovered, ...]:
    """Discover the plugins of an environment, those of plugin directories by their lenient rules.

    Args:
        environment: What is installed.
        lock: What was installed through the host, None for nothing: it knows the author's folders, and what a
            request said about its instance.
        importable: The environment is this interpreter's own.
    """
    roots = {root.name: root for root in lock.roots} if lock else {}
    return tuple(
        _with_root(one, environment, roots) for one in advertised(environment, importable=importable)
    )


def _with_root(one: Discovered, environment: Environment, roots: Mapping[str, Root]) -> Discovered:
    name = canonical(one.plugin.distribution)
    root = roots.get(name)
    distribution = environment.installed.get(name)
    if distribution is not None:
        one = described(environment, distribution, folder=_author_folder(root)) or one
    if root is None or not root.instance or root.plugin not in ("", one.plugin.name):
        return one
    return replace(one, site=instance_settings(one.plugin.name, root.instance))


def _author_folder(root: Root | None) -> str:
    """The author's directory as long as it is there: a source of git has none."""
    if root is None or root.origin.kind is not OriginKind.PLUGIN_DIRECTORY:
        return ""
    folder = Path(root.origin.address, root.origin.path)
    return str(folder) if folder.is_dir() else ""
