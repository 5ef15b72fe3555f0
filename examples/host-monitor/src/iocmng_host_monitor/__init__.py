"""EPICS PVs of the machine that the host runs on: two plugins, `host-monitor` and `disk-probe`."""
