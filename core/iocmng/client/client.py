"""The client: every request a host answers, as one method each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from iocmng.client.handles import PATIENCE, Handles, Job, Task
from iocmng.client.installs import InstallRequests
from iocmng.client.pvs import Pvs, pv_view
from iocmng.client.stream import follow
from iocmng.client.transport import Params, Transport
from iocmng.errors import NotFound
from iocmng.lifecycle import Trigger
from iocmng.version import VERSION
from iocmng.wire import (
    Event,
    HostView,
    InstanceDetail,
    InstanceView,
    LogLine,
    NewToken,
    PvView,
    ReloadView,
    Role,
    RunView,
    TokenView,
    from_plain,
    to_plain,
)


class Client(InstallRequests):
    """A running host.

    Args:
        url: Its address; when not given IOCMNG_URL, else http://127.0.0.1:8080, with IOCMNG_PORT as port.
        token: The bearer token; looked for (see `find_token`) when not given.
        token_file: A file that holds the token, instead of `token`.
        timeout: Seconds one answer may take, besides what the host was asked to wait.
        user_agent: What the host's audit sees; one that starts with "iocmng-cli/" counts as the command line.

    Attributes:
        tasks: Handles on the tasks, by name.
        jobs: Handles on the jobs, by name.
        pvs: PVs of the host and elsewhere.

    Every method raises NoHost when no host answers, NotAllowed when the token does not do, NotFound for an
    unknown name, Refused when the present state does not allow it, BadInput when the host refuses a value.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        token_file: Path | None = None,
        timeout: float = 30.0,
        user_agent: str = f"iocmng-client/{VERSION}",
    ) -> None:
        self._transport = Transport(url, token, token_file, timeout, user_agent)
        self.tasks = Handles(self, "task", Task)
        self.jobs = Handles(self, "job", Job)
        self.pvs = Pvs(self._transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    @property
    def url(self) -> str:
        """Address of the host."""
        return self._transport.url

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    # The method `list` hides the built-in in annotations of this class: hence Sequence below it.

    def list(self, *, kind: str | None = None, state: str | None = None) -> Sequence[InstanceView]:
        """Instances and broken plugins in start order; `kind`: `task` or `job`, `state`: a word of STATUS."""
        params: dict[str, str | bool] = {"brief": True}
        if kind:
            params["type"] = kind
        if state:
            params["state"] = state
        return _each(InstanceView, self._get("/plugins", params)["plugins"])

    def show(self, name: str) -> InstanceDetail:
        """Everything of one instance."""
        return _detail(self._get(f"/plugins/{_segment(name)}"))

    def act(self, name: str, verb: Trigger, *, wait: float = PATIENCE) -> InstanceView:
        """Apply start, stop, pause, resume, restart or reset; wait at most `wait` seconds for the new state.

        A restart never fetches the source of the code again: that is `fetch`.

        Raises:
            IocmngError: It was applied, and failed (code `not-started`).
        """
        fetching: dict[str, bool] = {"fetch": False} if verb is Trigger.RESTART else {}
        return self._acted(f"/plugins/{_segment(name)}/{verb.value}", wait, fetching)

    def enable(self, name: str, enabled: bool) -> InstanceView:
        """Let it start at boot or not; disabling also stops it now."""
        return self._acted(f"/plugins/{_segment(name)}/{'enable' if enabled else 'disable'}", 0.0)

    def trigger(self, name: str) -> InstanceView:
        """Run a triggered task once."""
        return self._acted(f"/tasks/{_segment(name)}/run", 0.0)

    def set_parameters(self, name: str, changes: Mapping[str, Any]) -> InstanceDetail:
        """Set parameters, all or none; None drops one."""
        body = {"parameters": to_plain(changes)}
        return _detail(self._transport.request("PATCH", f"/plugins/{_segment(name)}/parameters", body=body))

    def schema(self, name: str) -> Mapping[str, Any]:
        """JSON Schema of an instance's parameters, of a job's arguments under `arguments`."""
        return _mapping(self._get(f"/plugins/{_segment(name)}/schema"))

    def startup(self, name: str) -> Mapping[str, Any]:
        """How an instance starts, in the words of the previous system."""
        return _mapping(self._get(f"/plugins/{_segment(name)}/startup"))

    def log(
        self, name: str, *, since: float = 0.0, level: str = "DEBUG", limit: int = 1000
    ) -> Sequence[LogLine]:
        """Lines of an instance's log, oldest first; `HOST` is the host's own. `since` in Unix seconds."""
        params: Params = {"since": since, "level": level, "limit": limit}
        return _each(LogLine, self._get(f"/plugins/{_segment(name)}/log", params)["lines"])

    def follow_log(
        self, name: str, *, level: str = "DEBUG", since: float | None = None, patience: float | None = None
    ) -> Iterator[LogLine]:
        """New lines of a log for ever; with `since` the kept ones from that time on come first."""
        params: dict[str, str | float | bool] = {"follow": True, "level": level}
        if since is not None:
            params["since"] = since
        path = f"/plugins/{_segment(name)}/log"
        for message in follow(self._transport, path, params, patience=patience):
            yield from_plain(LogLine, message.data)

    def runs(self, job: str) -> Sequence[RunView]:
        """Runs of a job, newest first."""
        return _each(RunView, self._get(f"/jobs/{_segment(job)}/runs")["runs"])

    def start_run(self, job: str, arguments: Mapping[str, Any]) -> RunView:
        """Start a run and return at once."""
        body = {"arguments": to_plain(arguments)}
        return from_plain(RunView, self._transport.request("POST", f"/jobs/{_segment(job)}/runs", body=body))

    def run(self, run_id: str, *, wait: float = 0.0) -> RunView:
        """One run; waits until it is over, at most `wait` seconds."""
        answer = self._transport.request("GET", f"/runs/{_segment(run_id)}", params={"wait": wait}, wait=wait)
        return from_plain(RunView, answer)

    def abort(self, run_id: str) -> RunView:
        """Ask a run to end; idempotent."""
        return from_plain(RunView, self._transport.request("POST", f"/runs/{_segment(run_id)}/abort"))

    def run_log(self, run_id: str) -> Sequence[LogLine]:
        """The log of one run, oldest line first."""
        return _each(LogLine, self._get(f"/runs/{_segment(run_id)}/log")["lines"])

    def host(self) -> HostView:
        """The host itself."""
        return from_plain(HostView, self._get("/host"))

    def health(self) -> Mapping[str, Any]:
        """`status`, `version`, `tasks_count`, `jobs_count`; needs no token."""
        return _mapping(self._get("/health"))

    def ready(self) -> str | None:
        """None when the host is ready, else what it waits for; needs no token."""
        said = str(self._get("/readyz")).strip()
        return None if said == "ready" else said

    def config(self) -> Mapping[str, Any]:
        """The settings in force with the origin of each, without secrets."""
        return _mapping(self._get("/config"))

    def metrics(self) -> str:
        """What Prometheus reads."""
        return str(self._get("/metrics"))

    def rescan(self) -> Mapping[str, Any]:
        """Look for plugins again; what changed."""
        return _mapping(self._transport.request("POST", "/rescan"))

    def pv(self, name: str) -> PvView:
        """One PV of the host, by full name or `INSTANCE:PORT`."""
        return pv_view(self._get(f"/host/pvs/{_segment(name)}"))

    def put_pv(self, name: str, value: Any) -> PvView:
        """Write one of the host's writable PVs."""
        body = {"value": to_plain(value)}
        return pv_view(self._transport.request("PUT", f"/host/pvs/{_segment(name)}", body=body))

    def monitor_pvs(
        self, names: Iterable[str], *, period: float = 0.1, patience: float | None = None
    ) -> Iterator[PvView]:
        """Each PV now, and again whenever it differs, looked at every `period` seconds."""
        params: Params = {"pv": [*names], "period": period}
        for message in follow(self._transport, "/host/monitor", params, patience=patience):
            yield pv_view(message.data)

    def follow(
        self,
        *,
        after: str = "",
        kinds: Iterable[str] = (),
        instance: str = "",
        patience: float | None = None,
    ) -> Iterator[Event]:
        """Events for ever; after an interruption it goes on where it stopped.

        Args:
            after: Begin after the message of this id, `<boot id>:<event id>`, or `0` for all that are kept;
                else now.
            kinds: Only these kinds, all when empty.
            instance: Only of this instance.
            patience: Seconds without the host after which to give up, None for never.
        """
        params: dict[str, str | Sequence[str]] = {}
        if wanted := [str(kind) for kind in kinds]:
            params["kind"] = wanted
        if instance:
            params["instance"] = instance
        for message in follow(self._transport, "/events", params, patience=patience, last_id=after):
            if message.kind != "gap":
                yield from_plain(Event, message.data)

    def reload_config(self) -> ReloadView:
        """Have the settings read again; what needs no restart takes effect, all else is named.

        Raises:
            BadInput: They cannot be used; nothing changed.
        """
        return from_plain(ReloadView, self._transport.request("POST", "/config/reload"))

    def tokens(self) -> Sequence[TokenView]:
        """Names and roles of the tokens that the host knows."""
        return _each(TokenView, self._get("/tokens")["tokens"])

    def create_token(self, name: str, role: Role) -> NewToken:
        """Make a token; the secret is shown this once."""
        body = {"name": name, "role": role}
        return from_plain(NewToken, self._transport.request("POST", "/tokens", body=body))

    def revoke_token(self, name: str) -> None:
        """Forget a token that was created; it no longer opens anything."""
        self._transport.request("DELETE", f"/tokens/{_segment(name)}")

    def _get(self, path: str, params: Params | None = None) -> Any:
        return self._transport.request("GET", path, params=params)

    def _acted(self, path: str, wait: float, more: Mapping[str, bool] | None = None) -> InstanceView:
        params: Params = {**({"wait": wait} if wait else {}), **(more or {})}
        answer = self._transport.request("POST", path, params=params, wait=wait)
        return from_plain(InstanceView, answer["instance"])


def _segment(name: str) -> str:
    """A name as one path segment; "." and ".." would otherwise be taken for directories on the way.

    Raises:
        NotFound: It could not be sent as one segment, so nothing has that name.
    """
    if not name or "/" in name:
        raise NotFound(f"nothing is named {name!r}", hint="`iocmng list` names what there is")
    return "%2E" * len(name) if name and not name.strip(".") else quote(name, safe="")


def _each(cls: type[Any], entries: Iterable[Any]) -> Sequence[Any]:
    return [from_plain(cls, entry) for entry in entries]


def _mapping(answer: Any) -> Mapping[str, Any]:
    return dict(answer)


def _detail(entry: Mapping[str, Any]) -> InstanceDetail:
    return from_plain(InstanceDetail, entry["detail"])
