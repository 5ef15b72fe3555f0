"""What a worker tells the host of the class it has imported."""

from __future__ import annotations

import sys
from typing import Any

from iocmng.plugins.load import file_state
from iocmng.runtime.parameters import live_names, model_of
from iocmng.spec import PluginRef


def description_of(cls: type, plugin: PluginRef) -> dict[str, Any]:
    """Its name, its parameters, and the state of the plugin's files: what `StandIns.made` takes."""
    model = model_of(cls)
    schema: dict[str, Any] | None = None
    fields: dict[str, Any] = {}
    if model is not None:
        schema, live = model.model_json_schema(), live_names(cls)
        properties = schema.get("properties", {})
        for name, field in model.model_fields.items():
            fields[name] = {
                "default": properties.get(name, {}).get("default"),
                "description": field.description or "",
                "live": name in live,
            }
    return {
        "name": cls.__name__,
        "module": cls.__module__,
        "schema": schema,
        "fields": fields,
        "code": _state(plugin),
    }


def _state(plugin: PluginRef) -> list[Any]:
    """What tells one state of the plugin's imported files from another."""
    modules = list(sys.modules.values())
    files = {file for one in modules if isinstance(file := getattr(one, "__file__", None), str)}
    return [[file, *file_state(file)] for file in sorted(files) if plugin.owns(file)]
