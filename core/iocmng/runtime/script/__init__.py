"""Scripts as processes of their own: what is run, how it is followed and ended, and what a crash leaves."""

from iocmng.runtime.script.command import path_problem
from iocmng.runtime.script.orphans import Orphans, find_orphans
from iocmng.runtime.script.scriptrun import ScriptRun

__all__ = ["Orphans", "ScriptRun", "find_orphans", "path_problem"]
