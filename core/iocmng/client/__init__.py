"""A Python client of a running host; it imports neither pydantic, numpy nor any EPICS library."""

from iocmng.client.client import Client
from iocmng.client.handles import Job, Run, Task
from iocmng.client.pvs import Pvs
from iocmng.client.token import DEFAULT_URL

__all__ = ["DEFAULT_URL", "Client", "Job", "Pvs", "Run", "Task"]
