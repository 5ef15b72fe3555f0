"""Handles on one task, one job, one run: names bound to a client, so that programs read like sentences."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from iocmng.lifecycle import Trigger
from iocmng.wire import InstanceDetail, InstanceView, LogLine, RunView

if TYPE_CHECKING:
    from iocmng.client.client import Client

PATIENCE = 30.0


class Handle:
    """What tasks and jobs have in common."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self.name = name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r} at {self._client.url})"

    def show(self) -> InstanceDetail:
        """Everything of it."""
        return self._client.show(self.name)

    @property
    def view(self) -> InstanceView:
        """Its line of the list, as it is now."""
        return self.show().view

    @property
    def state(self) -> str:
        """The word of its STATUS PV, as it is now."""
        return self.view.state

    def enable(self) -> InstanceView:
        """Let it start at boot."""
        return self._client.enable(self.name, True)

    def disable(self) -> InstanceView:
        """Stop it, and do not start it at boot."""
        return self._client.enable(self.name, False)

    def set(self, **parameters: Any) -> InstanceDetail:
        """Set parameters, all or none; None drops one."""
        return self._client.set_parameters(self.name, parameters)

    def schema(self) -> Mapping[str, Any]:
        """JSON Schema of its parameters, and of a job's arguments."""
        return self._client.schema(self.name)

    def log(self, *, since: float = 0.0, level: str = "DEBUG", limit: int = 1000) -> Sequence[LogLine]:
        """Lines of its log, oldest first."""
        return self._client.log(self.name, since=since, level=level, limit=limit)

    def follow_log(self, *, level: str = "DEBUG") -> Iterator[LogLine]:
        """New lines of its log as they come."""
        return self._client.follow_log(self.name, level=level)


class Task(Handle):
    """A task of the host. Each verb waits for the new state, `wait` seconds at most, not at all with 0."""

    def start(self, *, wait: float = PATIENCE) -> InstanceView:
        """Start it."""
        return self._client.act(self.name, Trigger.START, wait=wait)

    def stop(self, *, wait: float = PATIENCE) -> InstanceView:
        """Stop it."""
        return self._client.act(self.name, Trigger.STOP, wait=wait)

    def pause(self, *, wait: float = PATIENCE) -> InstanceView:
        """Pause it."""
        return self._client.act(self.name, Trigger.PAUSE, wait=wait)

    def resume(self, *, wait: float = PATIENCE) -> InstanceView:
        """Let a paused one run."""
        return self._client.act(self.name, Trigger.RESUME, wait=wait)

    def restart(self, *, wait: float = PATIENCE) -> InstanceView:
        """Stop and start it."""
        return self._client.act(self.name, Trigger.RESTART, wait=wait)

    def reset(self, *, wait: float = PATIENCE) -> InstanceView:
        """Acknowledge: leave ERROR, zero the counters, release latches whose cause is gone."""
        return self._client.act(self.name, Trigger.RESET, wait=wait)

    def trigger(self) -> InstanceView:
        """Run a triggered task once, as its RUN PV does."""
        return self._client.trigger(self.name)


class Job(Handle):
    """A job of the host."""

    def start(self, **arguments: Any) -> Run:
        """Start a run and return at once."""
        return Run(self._client, self._client.start_run(self.name, arguments))

    def runs(self) -> list[Run]:
        """Its runs, newest first."""
        return [Run(self._client, view) for view in self._client.runs(self.name)]


class Run:
    """One run of a job."""

    def __init__(self, client: Client, view: RunView) -> None:
        self._client = client
        self.view = view

    def __repr__(self) -> str:
        return f"Run({self.id!r} of {self.view.job!r}, {self.view.state.name})"

    @property
    def id(self) -> str:
        """What names it."""
        return self.view.id

    @property
    def status(self) -> str:
        """RUNNING or the outcome, as it is now."""
        return self.refresh().state.name

    def refresh(self) -> RunView:
        """Ask the host how it stands."""
        if not self.view.over:
            self.view = self._client.run(self.id)
        return self.view

    def wait(self, timeout: float | None = None) -> RunView:
        """Wait until it is over and return it with its outcome.

        Args:
            timeout: Seconds, None for as long as it takes.

        Raises:
            TimeoutError: It is not over yet; it goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.view.over:
            left = PATIENCE if deadline is None else deadline - time.monotonic()
            self.view = self._client.run(self.id, wait=max(0.0, min(left, PATIENCE)))
            if not self.view.over and left <= PATIENCE and deadline is not None:
                raise TimeoutError(f"run {self.id} of {self.view.job} is not over after {timeout:g} s")
        return self.view

    def follow(self, period: float = 0.5) -> Iterator[RunView]:
        """Yield it whenever it changed, at most once in `period` seconds, last with its outcome."""
        yield self.view
        while not self.view.over:
            seen, self.view = self.view, self._client.run(self.id, wait=period)
            if self.view != seen:
                yield self.view

    def abort(self) -> RunView:
        """Ask it to end; asking again changes nothing."""
        self.view = self._client.abort(self.id)
        return self.view

    def log(self) -> Sequence[LogLine]:
        """Its log, oldest line first."""
        return self._client.run_log(self.id)


H = TypeVar("H", bound=Handle)


class Handles(Generic[H]):
    """The tasks, or the jobs, of a host by name."""

    def __init__(self, client: Client, kind: str, make: type[H]) -> None:
        self._client = client
        self._kind = kind
        self._make = make

    def __getitem__(self, name: str) -> H:
        return self._make(self._client, name)

    def __iter__(self) -> Iterator[H]:
        return (self[view.name] for view in self._client.list(kind=self._kind))

    def __contains__(self, name: object) -> bool:
        return any(view.name == name for view in self._client.list(kind=self._kind))

    def __len__(self) -> int:
        return len(self._client.list(kind=self._kind))
