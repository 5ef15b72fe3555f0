"""The version, where every layer can read it."""

VERSION = "3.0.0"
