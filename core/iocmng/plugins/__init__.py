"""Hooks, discovery, validation and the catalog of plugins; needs no running host."""
