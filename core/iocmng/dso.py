"""Lets the EPICS libraries be found without setuptools: imported for its effect before anything of EPICS.

Their packages ask `setuptools_dso` where their files lie. Its `__init__` imports all of setuptools, which only a build
needs: a fifth of a second and 15 MiB of every process, and another distutils in place of Python's.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType

_NAME = "setuptools_dso"


class _Deferred(ModuleType):
    """The package, of which nothing but its part for running programs is loaded until more is asked for."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(name)
        runtime = import_module(f"{_NAME}.runtime")
        if name in runtime.__all__:
            return getattr(runtime, name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        assert self.__spec__ is not None
        assert self.__spec__.loader is not None
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def _defer() -> None:
    found = None if _NAME in sys.modules else find_spec(_NAME)
    if found is not None:
        module = module_from_spec(found)
        module.__class__ = _Deferred
        sys.modules[_NAME] = module


_defer()
