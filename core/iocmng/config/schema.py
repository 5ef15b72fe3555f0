"""The JSON Schema of config.yaml, made from the models."""

from __future__ import annotations

from typing import Any

from iocmng.config.models import PluginConfig


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of config.yaml, without `pvs`, so that editors offer `arguments`."""
    made = PluginConfig.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "iocmng config.yaml"}
