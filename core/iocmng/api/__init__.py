"""The admin endpoint: HTTP in front of HostControl."""
