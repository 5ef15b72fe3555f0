"""The classes authors subclass, and the context Protocol they see."""

from iocmng.base.author import Author, Pv, make
from iocmng.base.context import Context, JobContext, TaskContext
from iocmng.base.job import JobBase, JobResult
from iocmng.base.script import ScriptJob
from iocmng.base.task import DeclarativeTask, TaskBase

__all__ = [
    "Author",
    "Context",
    "DeclarativeTask",
    "JobBase",
    "JobContext",
    "JobResult",
    "Pv",
    "ScriptJob",
    "TaskBase",
    "TaskContext",
    "make",
]
