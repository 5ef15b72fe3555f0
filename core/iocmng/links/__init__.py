"""Clients of PVs elsewhere over CA and PVA."""
