"""Instances, runners, supervision: what runs, behind Protocols that adapters fill."""
