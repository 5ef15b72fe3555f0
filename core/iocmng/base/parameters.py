"""ParameterModel: parameters with types, limits and words, checked before the plugin sees them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class ParameterModel(BaseModel):
    """Base of the `Parameters` class inside a task or job; unknown parameters are refused.

    A field with `json_schema_extra={"live": True}` takes effect as soon as it is set, others at the next start.
    Values are reached as attributes and, as in iocmng 2.x, with `["name"]` and `get("name")`.
    """

    model_config = ConfigDict(extra="forbid", validate_default=True)

    def __getitem__(self, name: str) -> Any:
        """The value of a parameter.

        Raises:
            KeyError: No such parameter.
        """
        if name not in type(self).model_fields:
            raise KeyError(f"no parameter {name!r}; known: {', '.join(type(self).model_fields)}")
        return getattr(self, name)

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a parameter, or `default` when there is none of that name."""
        return getattr(self, name) if name in type(self).model_fields else default

    @classmethod
    def live(cls, name: str) -> bool:
        """Whether a parameter takes effect as soon as it is set."""
        extra = cls.model_fields[name].json_schema_extra
        return isinstance(extra, dict) and bool(extra.get("live"))
