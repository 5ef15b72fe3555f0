"""What `iocmng dev` is made of: a package staged without installing it, its files watched, a host."""

from iocmng_cli.development.changes import Watched
from iocmng_cli.development.hostprocess import HostProcess, free_port
from iocmng_cli.development.staging import Staged, stage, stage_directory

__all__ = ["HostProcess", "Staged", "Watched", "free_port", "stage", "stage_directory"]
