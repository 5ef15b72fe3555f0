"""Validation without a host, for `iocmng validate`: both steps, the second one in a child process."""

from __future__ import annotations

from iocmng.host.probe import Probe
from iocmng.plugins.check import Report, validate_path

__all__ = ["Report", "validate"]


def validate(subject: str, *, prefix: str = "VALIDATE", limit: float = 10.0) -> Report:
    """Validate a plugin directory, a package project, a wheel, a config file, or something installed.

    Args:
        subject: A path, else the name of an installed plugin or distribution.
        prefix: The host's PV prefix, which counts for the length of names.
        limit: Seconds that importing a plugin may take.

    Raises:
        NotFound: There is no such path and nothing of that name is installed.
        BadInput: The path is nothing that could be validated.
    """
    with Probe(limit=limit) as probe:
        return validate_path(subject, prober=probe, prefix=prefix)
