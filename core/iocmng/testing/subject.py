"""What the kit needs to know of a class under test: its config and its description."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from iocmng.base import DeclarativeTask
from iocmng.config import LoadedConfig, load_config, parse_config
from iocmng.errors import BadInput
from iocmng.logic.check import check_logic
from iocmng.runtime.parameters import model_of
from iocmng.spec import InstanceSpec, Isolation, Kind, PluginRef
from iocmng.spec.build import describe
from iocmng.wire import Level

PREFIX = "TEST"


def find_config(cls: type, config: str | Path | Mapping[str, Any]) -> LoadedConfig:
    """Load a config: a mapping, a path, or a file name beside the module of the class.

    Raises:
        FileNotFoundError: Names every place that was looked at.
    """
    if isinstance(config, Mapping):
        return parse_config(json.dumps(config), "config.json")
    given = Path(config)
    folder = Path(inspect.getfile(cls)).parent
    module = cls.__module__.rpartition(".")[2]
    beside = [folder / f"{module}.config.yaml", folder / given]
    places = (
        [given] if given.is_absolute() else [given, *beside] if cls is DeclarativeTask else [*beside, given]
    )
    for place in places:
        if place.is_file():
            return load_config(place)
    raise FileNotFoundError(f"no config for {cls.__name__}; looked at {', '.join(map(str, places))}")


def describe_subject(
    cls: type,
    kind: Kind,
    config: str | Path | Mapping[str, Any],
    parameters: Mapping[str, Any] | None,
    name: str,
) -> InstanceSpec:
    """Describe a class as the only instance of a host with prefix TEST.

    Raises:
        BadInput: The config has errors; the text holds all of them.
    """
    loaded = find_config(cls, config)
    plugin = PluginRef(name=name, target=f"{cls.__module__}:{cls.__qualname__}", config=loaded.document.file)
    findings, spec = list(loaded.findings), None
    if loaded.config is not None:
        model = model_of(cls)
        spec, more = describe(
            loaded.config,
            plugin,
            kind=kind,
            name=name,
            host_prefix=PREFIX,
            requested=parameters,
            declared=tuple(model.model_fields) if model else (),
            class_name="" if cls is DeclarativeTask else cls.__name__,
            locate=loaded.locate,
        )
        findings += [*more, *check_logic(loaded, spec, declared=model.model_fields if model else ())]
    errors = [str(finding) for finding in findings if finding.level is Level.ERROR]
    if spec is None or errors:
        raise BadInput("\n".join(errors) or f"{name} cannot be described")
    # Tests look into the code they test, on a clock that they move.
    return replace(spec, isolation=Isolation.THREAD, memory_limit=None)
