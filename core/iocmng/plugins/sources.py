"""The built-in sources of plugins, as hook implementations like anyone else's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from iocmng.plugins.discovery import Discovered
from iocmng.plugins.environment import Environment
from iocmng.plugins.hooks import Hooks, hookimpl
from iocmng.plugins.installing.discovered import advertised_with
from iocmng.plugins.installing.model import Lock
from iocmng.settings.settings import Settings


class InstalledPlugins:
    """Plugins that installed distributions advertise, those that came through the host with their settings.

    Args:
        lock: What was installed through the host, None for nothing.
        broken: Entries of plugins.yaml that could not be installed.
    """

    def __init__(self, lock: Lock | None = None, broken: Sequence[Discovered] = ()) -> None:
        self._lock = lock
        self._broken = tuple(broken)

    @hookimpl
    def iocmng_discover(self, settings: Settings) -> Iterable[Discovered]:
        """Read the entry points of this interpreter's environment."""
        without = frozenset(one.plugin.name for one in self._broken)
        found = advertised_with(
            Environment.read(), self._lock, importable=True, settings=settings, without=without
        )
        return (*found, *self._broken)


def register_sources(hooks: Hooks, lock: Lock | None = None, broken: Sequence[Discovered] = ()) -> None:
    """Register the built-in sources; see `InstalledPlugins`."""
    hooks.register(InstalledPlugins(lock, broken), "installed", builtin=True)
