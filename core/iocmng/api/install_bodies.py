"""Forms of requests to install, and the frozen requests that they make."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import Field

from iocmng.api.lookup import shown
from iocmng.api.models import Request
from iocmng.errors import BadInput
from iocmng.names import plugin_name_problem
from iocmng.plugins.installing.sources import of_source, parse
from iocmng.wire import InstallRequest, InstallVerb, SourceRequest

MOST = 100
_INSTALLED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
_NAMING = frozenset({InstallVerb.UNINSTALL, InstallVerb.FETCH})
_WITHOUT = frozenset({InstallVerb.ROLLBACK, InstallVerb.FROM_LOCK})
_FORMS: dict[str, frozenset[str]] = {
    "git_url": frozenset(
        {"name", "path", "branch", "pat", "auto_start", "auto_start_on_boot", "autostart_order", "parameters"}
    ),
    # Clients of the previous system send `branch` and `pat` of a folder too, where they mean nothing.
    "local_path": frozenset(
        {"name", "path", "branch", "pat", "auto_start", "auto_start_on_boot", "autostart_order", "parameters"}
    ),
    "requirement": frozenset(),
    "plugin": frozenset({"name", "parameters", "prefix"}),
}


class SourceBody(Request):
    """A plugin directory: from git, or a folder of the host's machine."""

    name: str = ""
    git_url: str | None = None
    local_path: str | None = None
    path: str | None = None
    branch: str | None = None
    pat: Annotated[str | None, Field(repr=False, description="Password of an https address")] = None
    auto_start: bool = True
    auto_start_on_boot: bool = True
    autostart_order: int | None = None
    parameters: dict[str, Any] | None = None

    def source(self) -> SourceRequest:
        """The checked request.

        Raises:
            BadInput: A name, path or address is refused.
        """
        if bool(self.git_url) == bool(self.local_path):
            given = "git_url and local_path are both given" if self.git_url else "no source is given"
            raise BadInput(given, hint="one of `git_url` and `local_path`")
        if self.local_path and unquote(self.local_path) != self.local_path:
            raise BadInput("local_path is URL-encoded", hint="write it as the folder is named")
        source = SourceRequest(
            name=plugin_name("name", self.name),
            git_url=self.git_url or "",
            local_path=self.local_path or "",
            path=self.path or "",
            branch=self.branch or "" if self.git_url else "",
            token=_token(self.pat) if self.git_url else "",
            auto_start=self.auto_start,
            auto_start_on_boot=self.auto_start_on_boot,
            autostart_order=self.autostart_order,
            parameters=self.parameters or {},
        )
        of_source(source)
        return source


class PluginBody(SourceBody):
    """A plugin: a directory (`name` with `git_url` or `local_path`), a `requirement`, or one more of a `plugin`."""

    requirement: str | None = None
    plugin: str | None = None
    prefix: str | None = None

    def form(self) -> str:
        """Which of the forms it is: `git_url`, `local_path`, `requirement` or `plugin`.

        Raises:
            BadInput: None or several of them, or keys of another.
        """
        given = {name for name in self.model_fields_set if getattr(self, name) not in (None, "")}
        forms = [name for name in _FORMS if name in given]
        if len(forms) != 1:
            said = " and ".join(forms) + " are given together" if forms else "nothing to install is given"
            raise BadInput(said, hint="exactly one of `git_url`, `local_path`, `requirement` and `plugin`")
        if foreign := sorted(given - _FORMS[forms[0]] - {forms[0]}):
            takes = ", ".join(sorted(_FORMS[forms[0]])) or "nothing else"
            raise BadInput(f"{', '.join(foreign)} cannot be given with {forms[0]}", hint=f"it takes {takes}")
        return forms[0]


class InstallBody(Request):
    """What to change. `requirements` of uninstall and fetch are names of plugins or distributions."""

    verb: InstallVerb = InstallVerb.INSTALL
    requirements: Annotated[list[str], Field(max_length=MOST)] = []
    source: SourceBody | None = None
    sources: Annotated[list[SourceBody], Field(max_length=MOST)] = []
    generation: Annotated[int | None, Field(ge=0)] = None
    restart_host: bool = False
    accept_reconnect: bool = False

    def request(self) -> InstallRequest:
        """The checked request.

        Raises:
            BadInput: Something of it is refused, or it does not fit together.
        """
        self._fits_together()
        check = installed_name if self.verb in _NAMING else requirement
        return InstallRequest(
            verb=self.verb,
            requirements=_once(map(check, self.requirements)),
            source=self.source.source() if self.source else None,
            sources=tuple(one.source() for one in self.sources),
            generation=self.generation,
            restart_host=self.restart_host,
            accept_reconnect=self.accept_reconnect,
        )

    def _fits_together(self) -> None:
        verb, from_source = self.verb, bool(self.source or self.sources)
        wanted = bool(self.requirements) + from_source
        if from_source and verb is not InstallVerb.INSTALL:
            raise BadInput(f"source cannot be given with {verb}", hint="only with install")
        if self.generation is not None and verb is not InstallVerb.ROLLBACK:
            raise BadInput(f"generation cannot be given with {verb}", hint="only with rollback")
        if verb in _WITHOUT and wanted:
            raise BadInput(f"requirements cannot be given with {verb}", hint="it takes what is recorded")
        if verb not in _WITHOUT and wanted != 1:
            said = "requirements and source are both given" if wanted else f"nothing to {verb} is given"
            raise BadInput(said, hint="`requirements`, or `source` or `sources` for plugin directories")


class RollbackBody(Request):
    """The generation to go back to; null for the one before."""

    generation: Annotated[int | None, Field(ge=0)] = None
    restart_host: bool = False
    accept_reconnect: bool = False

    def request(self) -> InstallRequest:
        """The request."""
        return InstallRequest(
            verb=InstallVerb.ROLLBACK,
            generation=self.generation,
            restart_host=self.restart_host,
            accept_reconnect=self.accept_reconnect,
        )


def plugin_name(key: str, name: str) -> str:
    """Pass what can name a plugin or an instance.

    Raises:
        BadInput: It cannot.
    """
    if plugin_name_problem(name):
        raise BadInput(
            f"{key} {shown(name)} can name no plugin",
            hint="letters, digits, - and _, with a letter or digit first, at most 128 of them",
        )
    return name


def installed_name(text: str) -> str:
    """Pass what may name a plugin or a distribution that is here.

    Raises:
        BadInput: It cannot.
    """
    if not _INSTALLED.match(text):
        raise BadInput(
            f"{shown(text)} names no plugin and no distribution", hint="`iocmng list` shows what is installed"
        )
    return text


def requirement(text: str) -> str:
    """Pass a requirement, the path of a wheel or folder, or a `git+` address.

    Raises:
        BadInput: It is none, or holds a secret, which is not repeated.
    """
    parse(text)
    return text.strip()


def _token(given: str | None) -> str:
    if given and (not given.isascii() or not given.isprintable() or " " in given):
        raise BadInput(
            "pat has characters that no token has", hint="paste the token alone, without a newline"
        )
    return given or ""


def _once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
