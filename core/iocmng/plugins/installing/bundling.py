"""Making a bundle of requirements, as a host of this environment would install them; no host is asked."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from iocmng.plugins.installing.bundle import create_bundle
from iocmng.plugins.installing.installer import Installer
from iocmng.plugins.installing.model import Lock, Tell
from iocmng.plugins.installing.store import WheelStore
from iocmng.settings.site import InstallSettings
from iocmng.wire import InstallRequest


def bundle_requirements(
    requirements: Sequence[str],
    file: Path,
    *,
    index: str | None = None,
    backend: str = "uv",
    wheels_only: bool = True,
    environ: Mapping[str, str],
    tell: Tell,
) -> Lock:
    """Resolve requirements as a host of this environment would, and write a bundle; needs no host.

    Args:
        requirements: As for `iocmng install`.
        file: Where to write.
        index: As `install.index`; None for what uv or pip are configured for.
        backend: `uv` or `pip`.
        wheels_only: As `install.wheels_only`.
        environ: The environment.
        tell: Called with lines of progress.

    Returns:
        The lock that was bundled.

    Raises:
        BadInput, NotFound, InstallRefused, InstallFailed, Aborted: As `Installer.resolve`.
    """
    settings = InstallSettings.model_validate(
        {"index": index, "backend": backend, "wheels_only": wheels_only}
    )
    with tempfile.TemporaryDirectory() as folder:
        installer = Installer(Path(folder), settings, environ=environ)
        lock = installer.resolve(InstallRequest(requirements=tuple(requirements)), tell).lock
        tell(f"writing {file.name} with {len(lock.distributions)} wheels")
        create_bundle(lock, WheelStore(Path(folder)), file)
        return lock
