"""Installing through a host: requests that begin operations, and waiting for their end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any
from urllib.parse import quote

from iocmng.client.transport import Transport
from iocmng.errors import IocmngError, NoHost
from iocmng.wire import (
    GenerationView,
    InstallRequest,
    InstallVerb,
    OperationView,
    SourceRequest,
    from_plain,
    to_plain,
)

LONGEST_POLL = 60.0
POLL = 0.2


class InstallRequests:
    """The part of a client that lets plugins come and go.

    Every method that begins an operation takes `wait`: it returns the operation when it is over, or as it is after
    that many seconds (None: when it is over, however long that takes). An operation that failed is returned like
    any other: its `state`, `message` and `hint` say what happened.
    """

    _transport: Transport

    def install(
        self,
        *requirements: str,
        source: SourceRequest | None = None,
        restart_host: bool = False,
        accept_reconnect: bool = False,
        wait: float | None = None,
    ) -> OperationView:
        """Install distributions, or one plugin directory.

        Args:
            requirements: Requirements, paths of wheels and folders on the host's machine, or `git+…` addresses.
            source: A plugin directory instead.
            restart_host: Restart the host when that is needed.
            accept_reconnect: Go on although clients of some PVs must connect anew.
            wait: Seconds to wait for the end.
        """
        request = InstallRequest(
            requirements=requirements,
            source=source,
            restart_host=restart_host,
            accept_reconnect=accept_reconnect,
        )
        return self.begin(request, wait=wait)

    def upgrade(
        self,
        *requirements: str,
        restart_host: bool = False,
        accept_reconnect: bool = False,
        wait: float | None = None,
    ) -> OperationView:
        """Bring distributions to their newest version that fits, or the one that a requirement names."""
        request = InstallRequest(
            verb=InstallVerb.UPGRADE,
            requirements=requirements,
            restart_host=restart_host,
            accept_reconnect=accept_reconnect,
        )
        return self.begin(request, wait=wait)

    def uninstall(self, *names: str, restart_host: bool = False, wait: float | None = None) -> OperationView:
        """Remove the distributions of plugins, or those of these names."""
        request = InstallRequest(verb=InstallVerb.UNINSTALL, requirements=names, restart_host=restart_host)
        return self.begin(request, wait=wait)

    def rollback(
        self,
        generation: int | None = None,
        *,
        restart_host: bool = False,
        accept_reconnect: bool = False,
        wait: float | None = None,
    ) -> OperationView:
        """Go back to a generation; to the one before when none is given."""
        request = InstallRequest(
            verb=InstallVerb.ROLLBACK,
            generation=generation,
            restart_host=restart_host,
            accept_reconnect=accept_reconnect,
        )
        return self.begin(request, wait=wait)

    def fetch(self, *names: str, restart_host: bool = False, wait: float | None = None) -> OperationView:
        """Fetch git and directory sources of plugins again, and change over where they differ."""
        request = InstallRequest(verb=InstallVerb.FETCH, requirements=names, restart_host=restart_host)
        return self.begin(request, wait=wait)

    def from_lock(self, *, restart_host: bool = False, wait: float | None = None) -> OperationView:
        """Install again what is recorded, for the Python and the base as they are now."""
        request = InstallRequest(verb=InstallVerb.FROM_LOCK, restart_host=restart_host)
        return self.begin(request, wait=wait)

    def plan(
        self,
        request: InstallRequest | str,
        *more: str,
        wait: float | None = None,
    ) -> OperationView:
        """Say what a request, or an installation of requirements, would change; nothing happens."""
        wanted = InstallRequest(requirements=(request, *more)) if isinstance(request, str) else request
        return self._begin("/install/plan", wanted, wait)

    def begin(self, request: InstallRequest, *, wait: float | None = 0.0) -> OperationView:
        """Begin whatever a request says.

        Raises:
            Refused: Installing is switched off, or another operation is under way.
            BadInput: The request is refused.
        """
        return self._begin("/install", request, wait)

    def add_instance(
        self,
        plugin: str,
        name: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        prefix: str | None = None,
        wait: float | None = None,
    ) -> OperationView:
        """Make another instance of a plugin that is there; it is kept over restarts of the host.

        Raises:
            NotFound: There is no such plugin.
            Refused: There is an instance of that name.
        """
        body: dict[str, Any] = {"plugin": plugin, "name": name, "parameters": dict(parameters or {})}
        if prefix is not None:
            body["prefix"] = prefix
        answer = self._transport.request("POST", "/plugins", params={"wait": 0}, body=body, ended=True)
        return self._waited(from_plain(OperationView, answer["operation"]), wait)

    def remove(self, name: str, *, wait: float | None = None) -> OperationView:
        """Remove an instance, and its distribution when nothing else uses it; what cannot go is disabled."""
        path = f"/plugins/{quote(name, safe='')}"
        answer = self._transport.request("DELETE", path, params={"wait": 0}, ended=True)
        return self._waited(from_plain(OperationView, answer["operation"]), wait)

    def operation(self, operation: str, *, wait: float | None = 0.0) -> OperationView:
        """One operation; waits until it is over, at most `wait` seconds."""
        deadline = None if wait is None else time.monotonic() + wait
        while True:
            left = LONGEST_POLL if deadline is None else deadline - time.monotonic()
            seconds = max(0.0, min(left, LONGEST_POLL))
            path = f"/operations/{quote(operation, safe='')}"
            answer = self._transport.request("GET", path, params={"wait": seconds}, wait=seconds)
            view = from_plain(OperationView, answer)
            if view.over or (deadline is not None and time.monotonic() >= deadline):
                return view

    def operations(self) -> Sequence[OperationView]:
        """Operations of the host's process, newest first."""
        answer = self._transport.request("GET", "/operations")
        return [from_plain(OperationView, entry) for entry in answer["operations"]]

    def abort_operation(self, operation: str) -> OperationView:
        """Ask an operation to end; what it has changed is taken back. Idempotent."""
        path = f"/operations/{quote(operation, safe='')}/abort"
        return from_plain(OperationView, self._transport.request("POST", path))

    def generations(self) -> Sequence[GenerationView]:
        """What is kept, newest first; broken ones with their problem."""
        answer = self._transport.request("GET", "/install/generations")
        return [from_plain(GenerationView, entry) for entry in answer["generations"]]

    def restart_host(self, *, wait: float | None = 60.0) -> None:
        """Replace the host's process by a new one, and wait until that is ready; with 0 return at once.

        Raises:
            NoHost: It did not come back in time (code `not-back`).
        """
        before = self._boot()
        self._transport.request("POST", "/host/restart")
        if wait != 0:
            self.returned(before, wait)

    def returned(self, boot_id: str, wait: float | None = 60.0) -> None:
        """Wait until the host is ready in another boot than that.

        Raises:
            NoHost: It did not come back within `wait` seconds (code `not-back`).
        """
        deadline = None if wait is None else time.monotonic() + wait
        said = "it has not gone yet"
        while True:
            try:
                if self._boot() != boot_id:
                    said = str(self._transport.request("GET", "/readyz")).strip()
                    if said == "ready":
                        return
            except IocmngError as error:
                if not isinstance(error, NoHost) and error.error_code != "timeout":
                    raise
                said = error.detail
                # A connection of the old process would only fail once more.
                self._transport.close()
            if deadline is not None and time.monotonic() >= deadline:
                raise NoHost(
                    f"the host is not back after {wait:g} s: {said}",
                    hint="its log says why: the terminal, the journal, or `iocmng logs --offline HOST`",
                    code="not-back",
                )
            time.sleep(POLL)

    def _boot(self) -> str:
        return str(self._transport.request("GET", "/host")["boot_id"])

    def _begin(self, path: str, request: InstallRequest, wait: float | None) -> OperationView:
        view = from_plain(OperationView, self._transport.request("POST", path, body=_body(request)))
        return self._waited(view, wait)

    def _waited(self, view: OperationView, wait: float | None) -> OperationView:
        if wait == 0 or view.over:
            return view
        return self.operation(view.id, wait=wait)


def _body(request: InstallRequest) -> Mapping[str, Any]:
    """What differs from the defaults: an older host knows fewer keys."""
    body = _given(request)
    if request.source is not None:
        body["source"] = _source(request.source)
    if request.sources:
        body["sources"] = [_source(one) for one in request.sources]
    return body


def _source(source: SourceRequest) -> dict[str, Any]:
    body = _given(source)
    if "token" in body:
        body["pat"] = body.pop("token")
    return body


def _given(thing: InstallRequest | SourceRequest) -> dict[str, Any]:
    return {
        field.name: to_plain(value)
        for field in fields(thing)
        if (value := getattr(thing, field.name)) != field.default and value not in ((), {})
    }
