"""The built-in sources of plugins, as hook implementations like anyone else's."""

from __future__ import annotations

from collections.abc import Iterable

from iocmng.plugins.directory import prune, stage
from iocmng.plugins.discovery import Discovered, discover
from iocmng.plugins.environment import Environment
from iocmng.plugins.hooks import Hooks, hookimpl
from iocmng.plugins.isolation import finder
from iocmng.settings.settings import Settings


class InstalledPlugins:
    """Plugins that installed distributions advertise."""

    @hookimpl
    def iocmng_discover(self, settings: Settings) -> Iterable[Discovered]:
        """Read the entry points of this interpreter's environment."""
        return discover()


class PluginDirectories:
    """Plugin directories that plugins.yaml names."""

    @hookimpl
    def iocmng_discover(self, settings: Settings) -> Iterable[Discovered]:
        """Stage each directory in the state directory, and drop what nothing imports from any more."""
        base = Environment.read() if settings.plugins else Environment({})
        found = [stage(entry, settings.state_dir, base) for entry in settings.plugins]
        staged = (root for one in found for root in one.roots)
        prune(settings.state_dir, frozenset([*staged, *finder.roots.values()]))
        return found


def register_sources(hooks: Hooks) -> None:
    """Register the built-in sources."""
    hooks.register(InstalledPlugins(), "installed", builtin=True)
    hooks.register(PluginDirectories(), "directories", builtin=True)
