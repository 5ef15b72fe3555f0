"""The PVs of this host by the names that people use: in full, without the host's prefix, or `INSTANCE:PORT`."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator
from typing import Protocol

from iocmng.errors import NotFound
from iocmng.names import HOST_SEGMENT, did_you_mean, nearest, pv_name
from iocmng.spec import InstanceSpec, RecordSpec

NO_SUCH_PORT = "no-such-port"
"""Code of a name that no other IOC can have: it begins like those of one instance, and is no field of its records."""


def record_name(name: str) -> str:
    """A name without what means the record's value all the same: `.VAL`, and `$` for all of a long text."""
    return name.removesuffix("$").removesuffix(".VAL")


class Described(Protocol):
    """An instance, as far as names go."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def spec(self) -> InstanceSpec:
        """Its description."""


class OwnPvs:
    """Names of the records of a host.

    Args:
        instances: Its instances, each time it is walked through.
        host_records: Records of the host itself.
        prefix: Its prefix.
    """

    def __init__(
        self, instances: Iterable[Described], host_records: Iterable[RecordSpec], prefix: str
    ) -> None:
        self._instances = instances
        self._prefix = prefix
        self._specs = {spec.name: spec for spec in host_records}
        for instance in instances:
            self._specs.update((spec.name, spec) for spec in instance.spec.records)

    def changed(self, appeared: Iterable[RecordSpec], gone: Iterable[RecordSpec]) -> None:
        """Records have come or gone."""
        for spec in gone:
            self._specs.pop(spec.name, None)
        self._specs.update((spec.name, spec) for spec in appeared)

    def find(self, name: str) -> RecordSpec | None:
        """The record of a full name."""
        return self._specs.get(name)

    def claims(self, name: str) -> bool:
        """Whether a full name begins like those of an instance, or of the host itself."""
        prefixes = (one.spec.pv_prefix for one in self._instances)
        own = (pv_name(self._prefix, HOST_SEGMENT), *prefixes)
        return any(name.startswith(f"{prefix}:") for prefix in own)

    def get(self, name: str) -> RecordSpec:
        """The record that a name of any form means.

        Raises:
            NotFound: There is none; with the code `no-such-port` when no other IOC can have it.
        """
        name = record_name(name)
        instance, _, port = name.partition(":")
        of_instance = [one.spec.pv_prefix for one in self._instances if one.name == instance]
        for candidate in (name, pv_name(self._prefix, name), *(f"{found}:{port}" for found in of_instance)):
            if candidate in self._specs:
                return self._specs[candidate]
        near = [known for known in self._specs if any(known.startswith(f"{one}:") for one in of_instance)]
        found = nearest(name, self._specs)
        only_here = self.claims(name) and self.find(name.partition(".")[0]) is None
        hint = did_you_mean(name, near) if near else f"did you mean {found!r}?" if found else ""
        raise NotFound(
            f"this host has no PV {name!r}",
            hint=hint or "`iocmng pv list` names them",
            code=NO_SUCH_PORT if only_here or (of_instance and "." not in name) else None,
        )

    def matching(self, pattern: str) -> Iterator[RecordSpec]:
        """Those of an instance by its name, or by a shell pattern of `INSTANCE:PORT` or full names."""
        instance, _, port = pattern.partition(":")
        of_instance = [
            f"{one.spec.pv_prefix}:{port or '*'}" for one in self._instances if one.name == instance
        ]
        patterns = (pattern, *of_instance)
        for name, spec in tuple(self._specs.items()):
            if any(fnmatch.fnmatchcase(name, one) for one in patterns):
                yield spec
