"""Import path of iocmng 2.x."""

from iocmng.links.pv_client import (
    active_monitors,
    close,
    get,
    get_provider,
    init,
    monitor,
    put,
    unmonitor,
    unmonitor_all,
)

__all__ = [
    "active_monitors",
    "close",
    "get",
    "get_provider",
    "init",
    "monitor",
    "put",
    "unmonitor",
    "unmonitor_all",
]
