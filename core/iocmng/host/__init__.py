"""Composes everything into one IOC process: phases, signals, exit codes."""
