"""The kinds of field that the strict models are made of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from iocmng.config.document import SwitchWord


def _truth(value: Any) -> Any:
    return value.truth if isinstance(value, SwitchWord) else value


def _mapping(value: Any) -> Any:
    return {} if value is None else value


def _list(value: Any) -> Any:
    return () if value is None else value


Flag = Annotated[bool, BeforeValidator(_truth)]
"""A bool; unquoted yes, no, on and off count."""

OrEmptyMapping = BeforeValidator(_mapping)
"""A key with nothing behind it is an empty mapping."""

OrEmptyList = BeforeValidator(_list)
"""A key with nothing behind it is an empty list."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Number = int | Finite
"""A whole number keeps its 64 bits, everything else is a finite float."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]


class Strict(BaseModel):
    """A frozen model that refuses unknown keys and converts nothing."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
