"""The committed JSON Schemas are those of the models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from iocmng.config import schema as config_schema
from iocmng.settings import sample
from iocmng.settings import schema as site_schema

SCHEMAS = Path(__file__).parents[2] / "docs" / "schema"


@pytest.mark.parametrize(
    ("file", "made", "command"),
    [
        ("config.json", config_schema(), "iocmng schema > docs/schema/config.json"),
        ("site.json", site_schema(), "iocmng schema --site > docs/schema/site.json"),
    ],
)
def test_the_committed_schema_is_current(file: str, made: dict[str, Any], command: str) -> None:
    committed = json.loads((SCHEMAS / file).read_text(encoding="utf-8"))
    assert committed == made, f"docs/schema/{file} is out of date: {command}"


@pytest.mark.parametrize("made", [config_schema(), site_schema()])
def test_a_schema_is_a_schema(made: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(made)
    assert made["additionalProperties"] is False


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("arguments: {inputs: {A: {type: float, link: 'X:Y', trigger: true}}}", True),
        ("rules: [{id: a, condition: 'x > 1', for: 3, outputs: {A: 1}}]", True),
        ("parameters: {mode: reactive, own: [1, 2]}\nclass: Pump", True),
        ("arguments: {inputs: {A: {tpye: float}}}", False),
        ("parameters: {mode: sometimes}", False),
        ("prefx: A", False),
    ],
)
def test_editors_accept_what_the_models_know(text: str, valid: bool) -> None:
    validator = jsonschema.Draft202012Validator(config_schema())
    assert validator.is_valid(yaml.safe_load(text)) is valid


def test_the_sample_site_file_passes() -> None:
    jsonschema.Draft202012Validator(site_schema()).validate(yaml.safe_load(sample()))


def test_every_key_is_explained() -> None:
    for name in ("Port", "InputPort", "OutputPort", "SupervisionKeys", "JobKeys"):
        for key, value in config_schema()["$defs"].get(name, {}).get("properties", {}).items():
            assert value.get("description"), f"{name}.{key}"
