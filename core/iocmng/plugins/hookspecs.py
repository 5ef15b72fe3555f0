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

    Every implementation is called by itself, in the hook thread, with a deadline; one that raises or takes
    too long is logged with its name and counted, and costs the others nothing. While such a call still runs,
    its implementation is passed over. Built-in ones run on the caller's thread.
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
            Functions by name. They take and return values, and may be called from any thread.

        Called in the hook thread, once, before validation.
        """

    @hookspec
    def iocmng_host_started(self, host: Any) -> None:
        """The records are served and the instances are being started.

        Args:
            host: An `iocmng.runtime.control.HostControl`; its methods belong on the host's loop.

        Called in the hook thread; the host does not wait for it.
        """

    @hookspec
    def iocmng_host_stopping(self, host: Any) -> None:
        """The host is about to stop its instances.

        Args:
            host: An `iocmng.runtime.control.HostControl`.

        Called in the hook thread; the host waits for it, at most the deadline.
        """

    @hookspec
    def iocmng_event(self, event: Event) -> None:
        """Something happened: a change of state, a message, a put, a run, an audit entry.

        Args:
            event: The event; `id` rises by one, a gap means that events were dropped because hooks are slow.

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
            Values by metric name (letters, digits and underscores).

        Called in the hook thread, at each request of /metrics.
        """

    @hookspec
    def iocmng_admin_routes(self) -> Iterable[Any] | None:
        """Add routes to the admin endpoint, behind the same access rules.

        Returns:
            `fastapi.APIRouter` objects, mounted under /api/v1.

        Called in the hook thread, once, before the endpoint opens.
        """
