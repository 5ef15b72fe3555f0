"""The access-security rules of a host: the site's or the default ones, and the group of what is read-only."""

from __future__ import annotations

import re
from pathlib import Path

from iocmng.errors import RecordError
from iocmng.ioc.dbtext import READ_ONLY_GROUP

_DEFAULT = """\
ASG(DEFAULT) {
    RULE(1, READ)
    RULE(0, WRITE, TRAPWRITE)
}
"""
_READ_ONLY = f"""\
ASG({READ_ONLY_GROUP}) {{
    RULE(1, READ)
}}
"""
_COMMENT = re.compile(r"#[^\n]*")
_SILENT_RULE = re.compile(r"\bRULE\s*\(\s*\d+\s*,\s*WRITE\s*(,\s*NOTRAPWRITE\s*)?\)")
_GROUP = re.compile(r'\bASG\s*\(\s*(?:"([^"]+)"|([^)\s"]+))\s*\)')


def access_text(site_file: Path | None) -> str:
    """Return the rules to load.

    Raises:
        RecordError: The site's file cannot be read, or defines the host's own group.
    """
    if site_file is None:
        return _DEFAULT + _READ_ONLY
    try:
        text = site_file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"access-security file {site_file} cannot be read: {error}",
                          hint="correct `access_security` in the site file") from error  # fmt: skip
    if READ_ONLY_GROUP in access_groups(text):
        raise RecordError(
            f"access-security file {site_file} defines {READ_ONLY_GROUP}, which is the host's own group",
            hint="name the site's group otherwise",
        )
    return text + ("" if text.endswith("\n") else "\n") + _READ_ONLY


def unaudited(text: str) -> bool:
    """Whether a rule lets clients write without telling who did."""
    return bool(_SILENT_RULE.search(_COMMENT.sub("", text)))


def access_groups(text: str) -> frozenset[str]:
    """Return the access security groups that rules define; EPICS lets anyone write what is in any other."""
    return frozenset(quoted or bare for quoted, bare in _GROUP.findall(_COMMENT.sub("", text)))
