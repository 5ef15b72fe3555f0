"""Logs as they lie in the state directory, without a host."""

from __future__ import annotations
