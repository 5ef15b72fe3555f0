"""Errors on standard error: what happened, and the next step."""

from __future__ import annotations

import sys

from iocmng.errors import IocmngError


def report(error: IocmngError) -> None:
    """Write an error and its next step to standard error."""
    print(f"error: {error.detail}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
