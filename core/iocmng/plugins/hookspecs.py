"""What other packages can add to the host: the hook specifications, and the two markers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

from iocmng.wire import Event, Finding, RunView

if TYPE_CHECKING:
    from iocmng.plugins.candidate import Candidate
    from iocmng.plugins.discovery import Discovered
    from iocmng.settings.settings import Settings

PROJECT = "iocmng"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class HookSpecs:
    """The hooks. An implementation names only the arguments it needs, may return None, and must not block.

    Every package has a hook thread of its own, in which its implementations are called one after the other,
    with a deadline. One that raises or takes too long is logged with the package's name and counted, `iocmng
    status` shows it, and the others do not notice. While a call that takes too long still runs, its hook is
    passed over, and the package's other hooks are called in a new thread. Built-in ones run on the caller's
    thread.
    """

    @hookspec
    def iocmng_discover(self, settings: Settings) -> Iterable[Discovered] | None:
        """Add plugins from another source than installed distributions and plugin directories.

        Args:
            settings: The settings in force.

        Returns:
            The plugins found, broken ones with their findings; a name that another source has too is an error
            on both.

        Called in the hook thread, at boot and at each rescan, before validation.
        """

    @hookspec
    def iocmng_configure(self, candidate: Candidate) -> Mapping[str, Any] | None:
        """Let site policy change an instance's config before it is frozen.

        Args:
            candidate: The instance as described by its config and the site file.

        Returns:
            Keys of config.yaml with their new values, merged into the config and validated like it; None
            changes nothing. Of two implementations that set the same key the one called later wins.

        Called in the hook thread, once per instance, before the plugin's code is looked at: `kind` is what
        its config lets one think, unless an earlier boot found out.
        """

    @hookspec
    def iocmng_validate(self, candidate: Candidate) -> list[Finding] | None:
        """Judge an instance; a finding of level ERROR makes it INVALID.

        Args:
            candidate: The instance with its records, as it would run.

        Returns:
            Findings, or None.

        Called in the hook thread, once per instance, after all built-in checks.
        """

    @hookspec
    def iocmng_functions(self) -> Mapping[str, Callable[..., Any]] | None:
        """Add functions to the expressions of rules and transforms.

        Returns:
            Functions by name, an identifier that is neither a built-in function nor another package's. They
            take and return values, and may be called from any thread.

        Called in the hook thread, once, before validation.
        """

    @hookspec
    def iocmng_host_started(self, host: Any) -> None:
        """The records are served and the instances are being started.

        Args:
            host: An `iocmng.runtime.control.HostControl` that may be kept, and called from any thread: there
                each method waits for the host's loop, a coroutine's result included.

        Called in the hook thread; the host does not wait for it.
        """

    @hookspec
    def iocmng_host_stopping(self, host: Any) -> None:
        """The host is about to stop its instances, which still run.

        Args:
            host: As in `iocmng_host_started`.

        Called in the hook thread; the host waits for it, 0.9 s at most.
        """

    @hookspec
    def iocmng_event(self, event: Event) -> None:
        """Something happened: a change of state, a message, a put, a run, an audit entry.

        Args:
            event: The event; `id` rises by one, a gap means that events were dropped because this package is
                slow: at most 10,000 wait.

        Called in the hook thread, in order; nobody waits for it.
        """

    @hookspec
    def iocmng_run_finished(self, run: RunView) -> None:
        """A run of a job is over.

        Args:
            run: The run with its outcome.

        Called in the hook thread; nobody waits for it.
        """

    @hookspec
    def iocmng_metrics(self) -> Mapping[str, float] | None:
        """Add numbers to /metrics.

        Returns:
            Values by metric name: letters, digits and underscores, not beginning with `iocmng_`. The label
            `package` is added; a name that ends with `_total` is a counter, every other one a gauge.

        Called in the hook thread, at each request of /metrics, which waits 2 s at most.
        """

    @hookspec
    def iocmng_admin_routes(self) -> Iterable[Any] | None:
        """Add routes to the admin endpoint, behind the same access rules.

        Returns:
            `fastapi.APIRouter` objects, mounted under /api/v1. GET needs a viewer, everything else an
            operator, unless all routes of a router are of the classes of `iocmng.api.guard`, which say
            themselves what they need. A path of the host, or of an earlier package, is never taken.

        Called in the hook thread, once, before the endpoint opens, which waits 3 s at most. Routes are served
        on the host's loop: `async def` must not block, `def` runs in a thread of the endpoint.
        """
