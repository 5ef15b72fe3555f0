"""Strict models of config.yaml."""
