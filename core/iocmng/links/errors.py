"""What can go wrong with a link."""

from __future__ import annotations

from iocmng.errors import BadInput, ExitCode, IocmngError


class LinkError(IocmngError):
    """A PV elsewhere could not be read or written."""

    code = "link"
    http_status = 502


class LinkTimeout(LinkError, TimeoutError):
    """Nobody answered in time."""

    code = "link-timeout"
    http_status = 504


class LinkRefused(LinkError):
    """The server of the PV answered and refused."""

    code = "link-refused"
    exit_code = ExitCode.REFUSED
    http_status = 409


class LinkValueError(BadInput, ValueError):
    """The PV cannot take that value."""

    code = "link-value"
