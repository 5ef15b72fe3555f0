"""State files that survive crashes, under the name that this layer and those above it know."""

from iocmng.statefiles import Found, backups, parse_object, read_state, write_atomic

__all__ = ["Found", "backups", "parse_object", "read_state", "write_atomic"]
