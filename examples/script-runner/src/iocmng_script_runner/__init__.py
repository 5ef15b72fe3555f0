"""Scripts that run as jobs."""
