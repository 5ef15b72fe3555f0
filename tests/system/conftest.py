"""Fixtures that several modules of system tests share."""

from __future__ import annotations

from support.shell import endpoint, served, shell

__all__ = ["endpoint", "served", "shell"]
