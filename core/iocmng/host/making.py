"""Makes the instances of a host from what validation said about them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from iocmng.base import ScriptJob
from iocmng.host.intents import Intents
from iocmng.host.looking import LookingAgain
from iocmng.host.plan import HostPlan
from iocmng.plugins.candidate import Candidate
from iocmng.runtime.environment import Environment
from iocmng.runtime.instance import Instance
from iocmng.runtime.job import JobInstance
from iocmng.runtime.jobyard import JobYard
from iocmng.runtime.task import TaskInstance
from iocmng.spec import Kind
from iocmng.wire import Actor


class Maker:
    """Gives each instance its code, its findings and what operators want of it.

    Args:
        plan: The host's.
        environment: What instances share.
        yard: What jobs share.
        intents: What operators want.
        looking: Validates instances again, None in a host that cannot.

    Attributes:
        replace: Begins to exchange an instance for one with other records, or says why it cannot; the host fills it.
    """

    def __init__(
        self,
        plan: HostPlan,
        environment: Environment,
        yard: JobYard,
        intents: Intents,
        looking: LookingAgain | None,
    ) -> None:
        self._plan = plan
        self._environment = environment
        self._yard = yard
        self._intents = intents
        self._looking = looking
        self.replace: Callable[[Instance, Actor], str] = lambda instance, actor: ""

    def make(self, candidate: Candidate) -> Instance:
        """Make an instance whose records are loaded, or served."""
        spec = candidate.spec
        instance: Instance
        if spec.kind is Kind.JOB and candidate.valid:
            instance = JobInstance(
                spec, self._environment, self._yard, load=self._loader(candidate), findings=candidate.findings
            )
        else:
            instance = TaskInstance(
                spec,
                self._environment,
                load=self._loader(candidate),
                findings=candidate.findings,
                valid=candidate.valid,
            )
            if self._looking is not None:
                instance.renewal.look = partial(self._looking.ask, spec.name)
                instance.renewal.changed = partial(self._plan.changed, spec.name)
                instance.renewal.wanted = partial(self._intents.starts, instance)
                instance.renewal.replace = lambda actor: self.replace(instance, actor)
        instance.generation, instance.origin = self._plan.provenance(spec.plugin)
        return instance

    def _loader(self, candidate: Candidate) -> Callable[[], type]:
        spec = candidate.spec

        def load() -> type:
            if spec.script is not None and ":" not in spec.plugin.target:
                return ScriptJob
            return self._plan.load(spec.plugin, spec.name)

        return load
