"""What a worker is told first: the messages' version, the instance's description, and how to import its code."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from iocmng.plugins.isolation import PACKAGE, finder
from iocmng.runtime.isolation.channel import VERSION
from iocmng.spec import InstanceSpec, LogicSpec
from iocmng.wire import from_plain

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """Everything that a worker needs to run one instance's code once.

    Attributes:
        spec: The description in force, without its logic: that stays in the host.
        values: Parameters by name.
        wired: Whether the host keeps links or logic for this run.
        path: The import path.
        roots: The folders in which packages of plugin directories lie.
        log_level: Of the host's root logger; `own_level` of the instance's, 0 for none of its own.
        beat: Seconds between signs of life.
        counters: Counters that go on from earlier runs.
        run: Of a job: id, arguments and start of the run.
        version: Of the messages.
    """

    spec: InstanceSpec
    values: Mapping[str, Any]
    wired: bool
    path: tuple[str, ...]
    roots: Mapping[str, str]
    log_level: int
    own_level: int
    beat: float
    counters: Mapping[str, int] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    version: int = VERSION

    def item(self) -> Any:
        """The greeting as an item of a message."""
        return _plain(self)

    @staticmethod
    def of(item: Any) -> Greeting:
        """The greeting that `item` made an item of."""
        return from_plain(Greeting, item)


def greeting(spec: InstanceSpec, values: Mapping[str, Any], beat: float, **more: Any) -> Greeting:
    """What the worker of an instance is told; `more` are further attributes."""
    package = spec.plugin.target.partition(":")[0].partition(".")[0]
    root = finder.roots.get(package) if package.startswith(PACKAGE) else None
    own = logging.getLogger(f"iocmng.task.{spec.name}")
    return Greeting(
        spec=dataclasses.replace(spec, logic=LogicSpec()),
        values=values,
        wired=bool(spec.logic) or spec.linked,
        path=tuple(entry for entry in sys.path if isinstance(entry, str)),
        roots={package: root} if root else {},
        log_level=logging.getLogger().level,
        own_level=own.level,
        beat=beat,
        **more,
    )


def _plain(thing: Any) -> Any:
    """What the wire's codec makes of dataclasses, but numbers and arrays as they are: messages can hold them."""
    if dataclasses.is_dataclass(thing):
        return {one.name: _plain(getattr(thing, one.name)) for one in dataclasses.fields(thing)}
    if isinstance(thing, Enum):
        return thing.name if isinstance(thing, int) else thing.value
    if isinstance(thing, Mapping):
        return {key: _plain(value) for key, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [_plain(item) for item in thing]
    return thing
