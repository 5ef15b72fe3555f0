"""The JSON Schema of the site file, made from the models."""

from __future__ import annotations

from typing import Any

from iocmng.settings.site import SiteFile


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of iocmng.yaml."""
    made = SiteFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "iocmng site file"}
