"""A job that logs when it begins."""

from __future__ import annotations

import time

from iocmng import JobBase


class Job(JobBase):
    def execute(self):
        print("first line at", time.time())
