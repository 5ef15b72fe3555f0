"""Import path of iocmng 2.x."""

from iocmng.host.single import main, run_ioc

__all__ = ["main", "run_ioc"]
