"""The built-in sources of plugins, as hook implementations like anyone else's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from iocmng.errors import InstallFailed, NotFound
from iocmng.plugins.discovery import Discovered
from iocmng.plugins.environment import Environment
from iocmng.plugins.hooks import Hooks, hookimpl
from iocmng.plugins.installing.discovered import advertised_with
from iocmng.plugins.installing.generations import Generations
from iocmng.plugins.installing.model import Lock
from iocmng.plugins.sitepath import sites
from iocmng.settings.settings import Settings


class InstalledPlugins:
    """Plugins that installed distributions advertise, those that came through the host with their settings.

    Args:
        broken: Entries of plugins.yaml that could not be installed.
    """

    def __init__(self, broken: Sequence[Discovered] = ()) -> None:
        self._broken = tuple(broken)

    @hookimpl
    def iocmng_discover(self, settings: Settings) -> Iterable[Discovered]:
        """Read the entry points of this interpreter's environment, generation included."""
        without = frozenset(one.plugin.name for one in self._broken)
        lock = _lock_of(settings.state_dir)
        found = advertised_with(Environment.read(), lock, importable=True, settings=settings, without=without)
        return (*found, *self._broken)


def _lock_of(state_dir: Path) -> Lock | None:
    """What was installed through the host into the generation that is on the import path now."""
    store = Generations(state_dir)
    for site in sites():
        if site.is_relative_to(home := store.folder.resolve()):
            try:
                return store.get(int(site.relative_to(home).parts[0])).lock
            except (NotFound, InstallFailed, ValueError):
                # Its plugins are found all the same; only what requests said about them is not known.
                return None
    return None


def register_sources(hooks: Hooks, broken: Sequence[Discovered] = ()) -> None:
    """Register the built-in sources; see `InstalledPlugins`."""
    hooks.register(InstalledPlugins(broken), "installed", builtin=True)
