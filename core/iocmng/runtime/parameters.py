"""What a plugin gets as its parameters: its ParameterModel filled and checked, or a plain dict."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from iocmng.errors import BadInput

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

# pydantic takes a tenth of a second and ten MB to import, which a worker whose code has no model does without.

RESERVED = frozenset(
    {
        "mode",
        "interval",
        "timeout",
        "retry_interval",
        "pva",
        "version",
        "channelfinder_url",
        "channelfinder_timeout",
    }
)


def model_of(cls: type) -> type[BaseModel] | None:
    """The `Parameters` model of an author's class, or None."""
    model = getattr(cls, "Parameters", None)
    if model is None:
        return None
    from pydantic import BaseModel

    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def build(cls: type, values: Mapping[str, Any], *, owner: str) -> Any:
    """The parameters object of a run.

    Reserved parameters (interval, mode, …) reach a model only when it declares them.

    Raises:
        BadInput: The model refuses; the text names each parameter with its value and what is wrong.
    """
    model = model_of(cls)
    # A copy of their own: instances of one config share its values, and a plugin may change a list in place.
    own = copy.deepcopy(dict(values))
    if model is None:
        return own
    from pydantic import ValidationError

    given = {key: value for key, value in own.items() if key in model.model_fields or key not in RESERVED}
    try:
        return model(**given)
    except ValidationError as error:
        raise BadInput(f"{owner}: {explain(error)}", code="parameters") from error


def explain(error: ValidationError) -> str:
    """Every complaint of pydantic as `name: what is wrong (got value)`."""
    parts = []
    for item in error.errors():
        name = ".".join(str(part) for part in item["loc"]) or "parameters"
        parts.append(f"{name}: {item['msg'].removeprefix('Value error, ')} (got {item['input']!r})")
    return "; ".join(parts)


def live_names(cls: type) -> frozenset[str]:
    """Parameters that take effect as soon as they are set."""
    model = model_of(cls)
    if model is None:
        return frozenset()
    return frozenset(
        name
        for name, field in model.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("live")
    )
