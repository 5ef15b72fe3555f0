"""Expressions: pure, without clock, thread or socket."""
