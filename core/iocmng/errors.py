"""The errors that people and programs meet: each has a code, says both sides of the mismatch, and a next step."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Exit codes of every command (`RESTART` only of `iocmng run`)."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO_HOST = 3
    REFUSED = 4
    NOT_ALLOWED = 5
    NOT_FOUND = 6
    RESTART = 75


class IocmngError(Exception):
    """Base of all errors this package raises on purpose.

    Args:
        detail: What happened, naming the thing and both sides of the mismatch.
        hint: The next step of the person who reads it, or "".
        code: A stable machine-readable word; the class's own when not given.
    """

    code: ClassVar[str] = "failed"
    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    http_status: ClassVar[int] = 500

    def __init__(self, detail: str, *, hint: str = "", code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.error_code = code or type(self).code

    def __str__(self) -> str:
        return f"{self.detail} ({self.hint})" if self.hint else self.detail


class NotFound(IocmngError):
    """Nothing has that name."""

    code = "not-found"
    exit_code = ExitCode.NOT_FOUND
    http_status = 404


class Refused(IocmngError):
    """The thing exists and its present state does not allow this."""

    code = "refused"
    exit_code = ExitCode.REFUSED
    http_status = 409


class NotAllowed(IocmngError):
    """The caller has no token, a wrong one, or a role that is too low."""

    code = "not-allowed"
    exit_code = ExitCode.NOT_ALLOWED
    http_status = 403


class NotAuthenticated(NotAllowed):
    """The caller is unknown: no token, or one that the host does not know."""

    code = "not-authenticated"
    http_status = 401


class BadInput(IocmngError):
    """A value, argument, config or settings file that cannot be accepted."""

    code = "bad-input"
    exit_code = ExitCode.USAGE
    http_status = 422


class NoHost(IocmngError):
    """No host answers at that address."""

    code = "no-host"
    exit_code = ExitCode.NO_HOST
    http_status = 503


class BootFailed(IocmngError):
    """The host could not come up."""

    code = "boot-failed"


class RecordError(IocmngError):
    """EPICS refused a record, a field or a value."""

    code = "record"


class SparesShort(RecordError):
    """The spare records do not suffice for what is to arrive; nothing has changed.

    Args:
        lacking: Needed and free records of each kind that does not suffice.
    """

    code = "spares-short"
    exit_code = ExitCode.REFUSED
    http_status = 409

    def __init__(self, detail: str, *, lacking: Mapping[str, tuple[int, int]], hint: str = "") -> None:
        super().__init__(detail, hint=hint)
        self.lacking = dict(lacking)


class InstallFailed(IocmngError):
    """A step of an installation went wrong; environment, state and running instances are as before."""

    code = "install-failed"


class InstallRefused(InstallFailed):
    """What is asked for cannot be installed here: a conflict, the base, a rule of the site, a path, a name."""

    code = "install-refused"
    exit_code = ExitCode.REFUSED
    http_status = 409


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
