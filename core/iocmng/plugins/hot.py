"""Whether plugins can be changed while the host runs: every doubt is answered with a restart of the host."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from iocmng.plugins.candidate import Candidate
from iocmng.plugins.environment import Environment
from iocmng.plugins.ownership import ChangedDistribution
from iocmng.spec import InstanceSpec
from iocmng.wire import Finding, NotHot

__all__ = [
    "ChangedDistribution",
    "User",
    "heavy",
    "not_hot",
    "notes",
    "still_running",
    "users",
    "with_dependents",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An instance of the running host.

    Attributes:
        name: The instance.
        distribution: Canonical name of its plugin's distribution.
        needs: Canonical names of all distributions it stands on, its own included.
        isolated: Its code runs in a process of its own.
        stopped: It is stopped in this operation (and removed, or started again with the new code).
        live: Its code is loaded and may run now.
    """

    name: str
    distribution: str
    needs: frozenset[str]
    isolated: bool = False
    stopped: bool = False
    live: bool = True


def users(
    running: Iterable[InstanceSpec], environment: Environment, stopped: Collection[str]
) -> tuple[User, ...]:
    """The instances of the running host as users of distributions.

    Args:
        running: All valid instances.
        environment: What they run on (not what is to come).
        stopped: Names of those that this operation stops.
    """
    raise NotImplementedError


def with_dependents(
    changes: Sequence[ChangedDistribution], before: Environment, after: Environment
) -> tuple[ChangedDistribution, ...]:
    """The changes, and unchanged distributions that stand on a changed one: their modules hold its objects.

    Give the result to `not_hot`, `still_running` and `ModuleSwap`.
    """
    raise NotImplementedError


def not_hot(changes: Sequence[ChangedDistribution], users: Sequence[User]) -> tuple[NotHot, ...]:
    """Why a plan needs a restart of the host; nothing when it is hot. Asked before anything is stopped.

    Takes some milliseconds on any thread, and lets other threads run meanwhile.
    """
    raise NotImplementedError


def still_running(changes: Sequence[ChangedDistribution], users: Sequence[User]) -> tuple[NotHot, ...]:
    """What still runs or is held of the old code when its instances have stopped; nothing: the swap may go on."""
    raise NotImplementedError


def heavy(candidates: Iterable[Candidate]) -> tuple[str, ...]:
    """Imports of more than 20 ms that the host does not have yet, like "acme_beam imports numpy (62 ms)"."""
    raise NotImplementedError


def notes(changes: Sequence[ChangedDistribution]) -> tuple[Finding, ...]:
    """What is worth knowing of a hot change: hooks of an added distribution act after the next restart."""
    raise NotImplementedError
