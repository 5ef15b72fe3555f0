"""Takes instances out of a running host and others in, with their records, so that nobody else notices."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

from iocmng.lifecycle import State, Trigger
from iocmng.runtime.autosave import Autosave
from iocmng.runtime.instance import Instance
from iocmng.runtime.job import JobInstance
from iocmng.runtime.supervisor import Supervisor
from iocmng.runtime.task import TaskInstance
from iocmng.spec import InstanceSpec, RecordSpec
from iocmng.spec.convert import convert
from iocmng.values import Reading, Value
from iocmng.wire import Actor

_log = logging.getLogger("iocmng.rollout")
SLACK = 1.0
LOOK_EVERY = 0.005


class Arriving(Protocol):
    """An instance that is to come."""

    @property
    def spec(self) -> InstanceSpec:
        """Its description."""


A = TypeVar("A", bound=Arriving)


def hanging(instances: Iterable[Instance]) -> list[str]:
    """Threads of these instances that have not ended, each with the line in which it stands."""
    return [
        f"{one.name}: {where}"
        for one in instances
        if isinstance(one, (TaskInstance, JobInstance))
        for where in one.abandoned.where()
    ]


class Exchange(Generic[A]):
    """On the supervising thread's loop.

    Args:
        supervisor: The host's instances.
        make: Makes an instance, with these values of its inputs by PV name, when its records are served.
        told: Called with records that have appeared, and with those that have gone.
        autosave: Saved inputs, None when nothing is saved.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        make: Callable[[A], Instance],
        told: Callable[[Sequence[RecordSpec], Sequence[RecordSpec]], None],
        autosave: Autosave | None = None,
    ) -> None:
        self._supervisor = supervisor
        self._records = supervisor.env.records
        self._clock = supervisor.env.clock
        self._make = make
        self._told = told
        self._autosave = autosave

    async def stop(self, instances: Sequence[Instance], actor: Actor) -> list[str]:
        """Stop instances, dependents first as at a shutdown; what operators want of them stays.

        Nobody can start them until `Supervisor.leaving` is emptied.

        Returns:
            Threads that have not ended, with the line in which each stands.
        """
        leaving = self._supervisor.leaving = frozenset(one.name for one in instances)
        for wave in self._supervisor.stop_waves():
            wave = [one for one in wave if one.name in leaving]
            for one in wave:
                if not (isinstance(one, TaskInstance) and one.state is State.INVALID):
                    one.apply(Trigger.STOP, actor)
            limit = max((one.spec.supervision.stop_timeout for one in wave), default=0.0)
            end = self._clock.monotonic() + limit + SLACK
            while not all(one.shutdown_done() for one in wave) and self._clock.monotonic() < end:
                await asyncio.sleep(LOOK_EVERY)
        if self._autosave is not None:
            await asyncio.to_thread(self._autosave.save)
        return hanging(instances)

    def exchange(self, leaving: Sequence[Instance], arriving: Sequence[A]) -> list[Instance]:
        """Take stopped instances out and others in; nothing is started.

        Inputs that both have keep their present value, others get the saved one.

        Returns:
            The new instances, in the order of `arriving`.

        Raises:
            SparesShort: There are not enough spare records.
            RecordError: A record cannot be taken. After either the instances of `leaving` are to be made anew by
                an exchange for themselves.
        """
        before = {record.name: record for one in leaving for record in one.spec.records}
        specs = [self._with_kept_values(one.spec, before) for one in arriving]
        after = {record.name: record for spec in specs for record in spec.records}
        gone = [record for name, record in before.items() if name not in after]
        owners = {record.name: one.name for one in leaving for record in one.spec.records}
        moved = [name for spec in specs for name in _names(spec) if owners.get(name, spec.name) != spec.name]
        taken: list[str] = []
        self._records.depart(moved)
        try:
            for spec in specs:
                self._records.arrive(spec.records, source=spec.name)
                taken.extend(record.name for record in spec.records if record.name not in before)
        except BaseException:
            self._records.depart(taken)
            raise
        for one in leaving:
            self._supervisor.remove(one)
            if self._autosave is not None:
                self._autosave.forget(one.name)
        self._records.depart(record.name for record in gone)
        self._supervisor.listen(after.values())
        followed = {one.name: one for one in leaving}
        made = [self._take_in(one, followed.get(one.spec.name)) for one in arriving]
        self._told(list(after.values()), gone)
        self._records.announce()
        return made

    def _take_in(self, arriving: A, before: Instance | None) -> Instance:
        instance = self._make(arriving)
        if before is not None:
            instance.follow(before)
        self._supervisor.add(instance)
        if self._autosave is not None:
            self._autosave.watch(instance.name, instance.spec.records, self._read)
        return instance

    def _read(self, name: str) -> Reading:
        return self._records.record(name).read()

    def _with_kept_values(self, spec: InstanceSpec, before: dict[str, RecordSpec]) -> InstanceSpec:
        values: dict[str, Value] = {}
        if self._autosave is not None:
            restored = self._autosave.restore(spec.name, spec.records)
            values.update(restored.values)
            for problem in restored.problems:
                _log.error("%s", problem)
        for port in spec.ports:
            record = port.record
            if not record.writable or record.name not in before or not before[record.name].writable:
                continue
            try:
                values[record.name] = convert(record, self._read(record.name).value)
            except (TypeError, ValueError) as error:
                _log.warning("%s does not keep its value: %s", record.name, error)
        return with_values(spec, values)


def _names(spec: InstanceSpec) -> list[str]:
    return [record.name for record in spec.records]


def with_values(spec: InstanceSpec, values: Mapping[str, Value]) -> InstanceSpec:
    """The description with kept values of inputs, by PV name, so that records start with them."""
    if not values:
        return spec
    ports = tuple(
        replace(port, record=replace(port.record, value=values[port.record.name]))
        if port.record.name in values
        else port
        for port in spec.ports
    )
    return replace(spec, ports=ports)
