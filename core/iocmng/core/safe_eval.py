"""Import path of iocmng 2.x."""

from iocmng.logic.safe_eval import safe_eval

__all__ = ["safe_eval"]
