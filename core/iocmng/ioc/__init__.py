"""EPICS records through softioc: the only place that knows EPICS' C library."""
