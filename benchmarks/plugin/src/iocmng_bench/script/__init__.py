"""A script that says when it prints its first line."""
