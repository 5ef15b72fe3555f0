"""Import path of iocmng 2.x: `iocmng-run -m iocmng.declarative -c DeclarativeTask`."""

from iocmng.base.task import DeclarativeTask

__all__ = ["DeclarativeTask"]
