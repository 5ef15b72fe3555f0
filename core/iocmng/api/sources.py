"""What requests may name as source: names, folders, addresses and requirements, refused before anything happens."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from iocmng.api.lookup import shown
from iocmng.errors import BadInput
from iocmng.names import plugin_name_problem

LONGEST = 2048
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://[^/\s@]*@")
_SCP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:(?!//)\S+\Z")
_SECRET_HINT = "give a token as `pat` beside `git_url`; addresses are shown, logged and stored"


def plugin_name(key: str, name: str) -> str:
    """Pass what can name a plugin or an instance.

    Raises:
        BadInput: It cannot.
    """
    if problem := plugin_name_problem(name):
        raise BadInput(f"{key}: {problem}", hint="letters, digits, - and _, with a letter or digit first")
    return name


def inner_path(key: str, path: str) -> str:
    """Pass a folder inside of a source: relative, and never out of it.

    Raises:
        BadInput: It is absolute, leads out, or hides where it leads.
    """
    _no_tricks(key, path)
    if path.startswith(("/", "\\", "~")) or re.match(r"[A-Za-z]:", path):
        raise BadInput(
            f"{key} {shown(path)} is absolute", hint="it is a folder inside of the source, like plugins/pump"
        )
    return path


def local_path(key: str, path: str) -> str:
    """Pass a folder of the host's machine.

    Raises:
        BadInput: It is relative, leads through `..`, or hides where it leads.
    """
    _no_tricks(key, path)
    if not path.startswith("/"):
        raise BadInput(
            f"{key} {shown(path)} is relative",
            hint="give the whole path of the folder on the host's machine: it would count from nowhere",
        )
    return path


def git_url(key: str, address: str) -> str:
    """Pass the address of a git repository over https or ssh, without secrets.

    Raises:
        BadInput: It is none.
    """
    _printable(key, address)
    no_secret(key, address)
    if _SCP.match(address):
        return address
    try:
        parts = urlsplit(address)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, usable = urlsplit(""), False
    if parts.scheme not in ("https", "ssh") or not usable:
        raise BadInput(
            f"{key} {shown(address)} is no https or ssh address",
            hint="https://HOST/REPOSITORY.git or ssh://git@HOST/REPOSITORY.git; `local_path` for a folder",
        )
    if parts.query or parts.fragment:
        raise BadInput(
            f"{key}: an address with ? or # is not accepted",
            hint="`branch` and `path` say what to take of it",
        )
    if ".." in unquote(unquote(parts.path)).split("/"):
        raise BadInput(f"{key} {shown(address)} leads through ..", hint="give the repository's own address")
    return address


def branch(key: str, name: str) -> str:
    """Pass the name of a branch, tag or commit.

    Raises:
        BadInput: It cannot be one, or would be read as an option.
    """
    _printable(key, name)
    if name.startswith("-") or re.search(r"[\s~^:?*\[\\]|\.\.|@\{", name):
        raise BadInput(f"{key} {shown(name)} cannot name a branch", hint="a branch, a tag or a commit")
    return name


def requirement(text: str) -> str:
    """Pass what may be a requirement, the path of a wheel or folder, or a `git+` address.

    Raises:
        BadInput: It would be read as an option, holds a secret, or hides where it leads.
    """
    text = text.strip()
    _printable("requirement", text)
    no_secret("requirement", text)
    if not text or text.startswith("-"):
        raise BadInput(
            f"requirement {shown(text)} is none",
            hint="NAME, NAME==VERSION, the path of a wheel or folder, or git+https://…; options are settings"
            " under `install`",
        )
    if text.startswith("/"):
        _no_tricks("requirement", text)
    elif ".." in re.split(r"[\\/]", unquote(unquote(text.partition("#")[0]))):
        raise BadInput(f"requirement {shown(text)} leads through ..", hint="give the whole path")
    return text


def installed_name(text: str) -> str:
    """Pass what may name a plugin or a distribution that is here.

    Raises:
        BadInput: It cannot.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", text):
        raise BadInput(
            f"{shown(text)} names no plugin and no distribution", hint="`iocmng list` shows what is installed"
        )
    return text


def no_secret(key: str, text: str) -> None:
    """Refuse an address with a user or password in it, without repeating it.

    Raises:
        BadInput: It has one; only `ssh` may name its user.
    """
    for found in _USERINFO.finditer(text):
        user_only = ":" not in found.group(0).partition("://")[2]
        if not (found["scheme"].rpartition("+")[2] == "ssh" and user_only):
            raise BadInput(
                f"{key}: an address with a user, password or token in it is refused", hint=_SECRET_HINT
            )


def _no_tricks(key: str, path: str) -> None:
    _printable(key, path)
    decoded = unquote(path)
    if decoded != path:
        raise BadInput(
            f"{key} {shown(path)} is URL-encoded",
            hint="a path is written as it is; it is no part of an address",
        )
    if ".." in re.split(r"[\\/]", path):
        raise BadInput(f"{key} {shown(path)} leads through ..", hint="give the folder itself")


def _printable(key: str, text: str) -> None:
    if len(text) > LONGEST:
        raise BadInput(f"{key} has {len(text)} characters, at most {LONGEST} are taken")
    if not text.isprintable():
        raise BadInput(f"{key} {shown(text)} has characters that cannot be printed")
