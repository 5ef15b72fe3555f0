"""Refuse names that would make a package which cannot be imported, before anything is written."""

import keyword
import re
import sys

NAME = "{{ cookiecutter.plugin_name }}"
PREFIX = "{{ cookiecutter.prefix }}"
MODULE = "{{ cookiecutter.__module }}"


def problem() -> "str | None":
    """Say what is wrong with the answers, or None."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", NAME):
        return f"plugin name {NAME!r}: use letters, digits, - and _, beginning with a letter or a digit"
    if keyword.iskeyword(MODULE) or MODULE in sys.stdlib_module_names or MODULE in ("iocmng", "iocmng_cli"):
        return f"plugin name {NAME!r}: a package named {MODULE!r} would hide Python's or the host's own; use a longer name"
    if not re.fullmatch(r"[A-Za-z0-9_+-]+(:[A-Za-z0-9_+-]+)*", PREFIX) or PREFIX == "HOST":
        return f"prefix {PREFIX!r}: use letters, digits and _+- in parts joined by colons; HOST belongs to the host"
    return None


if found := problem():
    sys.exit(found)
