"""Instances that were added while a host ran, beside those of the site file; kept on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from iocmng.settings import Settings
from iocmng.settings.instances import RequestedInstance
from iocmng.statefiles import parse_object, read_state, write_atomic

FORMAT = 1
FILE = "instances.json"


class AddedInstances:
    """Loaded once; `add` and `remove` have the file written before they return.

    Attributes:
        problems: What of the file could not be read, or is dropped.
    """

    def __init__(self, state_dir: Path, now: float) -> None:
        self._path = state_dir / FILE
        self._instances: dict[str, RequestedInstance] = {}
        found = read_state(self._path, _parse, now=now)
        self.problems = [found.problem] if found.problem else []
        for entry in found.value or ():
            try:
                settings = RequestedInstance.model_validate(entry)
            except ValidationError as error:
                self.problems.append(
                    f"{self._path}: an added instance is dropped: {error.errors()[0]['msg']}: {entry}"
                )
            else:
                self._instances[settings.instance] = settings

    def __iter__(self) -> Iterable[RequestedInstance]:
        return iter(tuple(self._instances.values()))

    def __contains__(self, name: str) -> bool:
        return name in self._instances

    def with_added(self, settings: Settings) -> Settings:
        """The settings with these instances; one that the site file names now is the site file's."""
        named = {one.instance for one in settings.instances}
        added = tuple(one for name, one in self._instances.items() if name not in named)
        return replace(settings, instances=(*settings.instances, *added)) if added else settings

    def add(self, instance: RequestedInstance) -> None:
        """Keep one more. Blocks for the disk.

        Raises:
            OSError: It could not be written; nothing is kept.
        """
        self._store({**self._instances, instance.instance: instance})

    def remove(self, names: Iterable[str]) -> None:
        """Forget some. Blocks for the disk.

        Raises:
            OSError: It could not be written; all are kept.
        """
        gone = set(names)
        if gone & self._instances.keys():
            self._store({name: one for name, one in self._instances.items() if name not in gone})

    def _store(self, instances: dict[str, RequestedInstance]) -> None:
        entries = [one.model_dump(mode="json", exclude_unset=True) for one in instances.values()]
        write_atomic(self._path, json.dumps({"format": FORMAT, "instances": entries}, indent=1).encode())
        self._instances = instances


def _parse(content: bytes) -> list[Any]:
    instances = parse_object(content).get("instances")
    if not isinstance(instances, list):
        raise ValueError(f"`instances` is a {type(instances).__name__}, expected a list")
    return instances
