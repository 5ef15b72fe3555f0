"""What `iocmng doctor` looks at: each check yields findings, none needs a host."""

from iocmng_cli.checks.clock import check_clock
from iocmng_cli.checks.distributions import check_distributions, check_python
from iocmng_cli.checks.entry_points import check_entry_points
from iocmng_cli.checks.epics import check_epics
from iocmng_cli.checks.imports import check_imports
from iocmng_cli.checks.installed import check_installed, site_folders
from iocmng_cli.checks.ports import check_ports
from iocmng_cli.checks.state_dir import check_state_dir

__all__ = [
    "check_clock",
    "check_distributions",
    "check_entry_points",
    "check_epics",
    "check_imports",
    "check_installed",
    "check_ports",
    "check_python",
    "check_state_dir",
    "site_folders",
]
