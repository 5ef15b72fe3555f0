"""Taking the modules of a distribution out of the running interpreter, and putting them back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from iocmng.plugins.ownership import ChangedDistribution


def append_site(site: Path) -> None:
    """Put a generation's site folder on `sys.path`, after all that is there, with what its records' .pth files say."""
    raise NotImplementedError


def sites() -> tuple[str, ...]:
    """The generations' site folders that are on `sys.path` now."""
    raise NotImplementedError


class ModuleSwap:
    """Exchanges the code of a generation for that of the next, undone as long as it is not kept.

    Args:
        site_before: The site folder of the generation in force, None for none.
        site_after: That of the next, None for none.
        changes: What differs between them; see `iocmng.plugins.hot.with_dependents`.
    """

    def __init__(
        self, site_before: Path | None, site_after: Path | None, changes: Sequence[ChangedDistribution]
    ) -> None:
        raise NotImplementedError

    def take(self, *, timeout: float = 5.0) -> None:
        """Drop the old modules and import from the new generation from now on.

        Blocks while a module concerned is being imported in another thread, so it is no call for the host's loop.

        Raises:
            InstallFailed: Such an import has not ended after `timeout` seconds; nothing has changed.
        """
        raise NotImplementedError

    def put_back(self) -> None:
        """Bring exactly the old module objects, attributes and import path back; modules of the new one go."""
        raise NotImplementedError

    def keep(self) -> None:
        """Forget the old modules; no way back."""
        raise NotImplementedError
