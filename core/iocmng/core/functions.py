"""Import path of iocmng 2.x."""

from iocmng.logic.functions import get_registry, register

__all__ = ["get_registry", "register"]
