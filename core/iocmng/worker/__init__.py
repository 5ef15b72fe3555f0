"""The process that runs the code of one instance apart from the host: `python -m iocmng.worker FD HOST_PID`."""
