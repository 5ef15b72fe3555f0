"""EPICS' packages are imported without setuptools, and who wants to build something still has all of it."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from iocmng.ioc import SoftIoc
from iocmng.links import ca_library, pva
import setuptools_dso
assert "setuptools" not in sys.modules
try:
    print(setuptools_dso.nothing)
except AttributeError as error:
    assert "'nothing'" in str(error), error
from setuptools_dso import DSO, find_dso, runtime
assert (DSO.__module__, find_dso) == ("setuptools_dso.dsocmd", runtime.find_dso)
assert "setuptools" in sys.modules
"""


def test_setuptools_is_imported_when_it_is_asked_for_and_not_before() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
