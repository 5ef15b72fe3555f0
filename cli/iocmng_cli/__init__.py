"""The command line of iocmng: speaks HTTP to a host, never imports plugin code."""
