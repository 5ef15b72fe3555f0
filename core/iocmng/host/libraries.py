"""EPICS' Python packages, imported without the build tools that they ask for and do not use."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

_TOOLS = "setuptools_dso"
_RUNTIME = f"{_TOOLS}.runtime"


def import_host() -> None:
    """Import what serves records: EPICS' libraries, numpy, and the host on top of them."""
    with without_build_tools():
        import_module("iocmng.host.host")


@contextmanager
def without_build_tools() -> Iterator[None]:
    """Give `setuptools_dso` to whoever imports it with nothing in it but its part that finds libraries.

    Its package imports setuptools and pkg_resources, which takes a quarter of a second and puts their own copies of
    libraries on the import path. Afterwards it can be imported as it is.
    """
    light = None if _TOOLS in sys.modules else _light()
    if light is None:
        yield
        return
    sys.modules[_TOOLS] = light
    try:
        runtime = import_module(_RUNTIME)
        for name in ("dylink_prepare_dso", "find_dso"):
            setattr(light, name, getattr(runtime, name))
        yield
    finally:
        if sys.modules.get(_TOOLS) is light:
            for name in [name for name in sys.modules if name == _TOOLS or name.startswith(f"{_TOOLS}.")]:
                del sys.modules[name]


def _light() -> ModuleType | None:
    """The package without its own code, None when it is not of the kind that is known here."""
    spec = importlib.util.find_spec(_TOOLS)
    if spec is None or not spec.submodule_search_locations:
        return None
    light = ModuleType(_TOOLS)
    light.__path__ = list(spec.submodule_search_locations)
    light.__spec__ = spec
    found = importlib.machinery.PathFinder.find_spec(_RUNTIME, light.__path__)
    return None if found is None else light
