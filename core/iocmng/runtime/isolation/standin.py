"""What stands in the host for a class that only its worker has imported: the name and the parameters of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from iocmng.errors import BadInput

Check = Callable[[Mapping[str, Any]], str]
"""Has the worker look at parameters; returns its complaint, or ""."""


class StandIns:
    """Makes stand-ins for the classes of one instance: the same one again for the same code."""

    def __init__(self) -> None:
        self._made: tuple[Any, type] | None = None
        self.check: Check = _unchecked

    def made(self, description: Mapping[str, Any]) -> type:
        """The stand-in for what a worker says of its class."""
        if self._made is not None and self._made[0] == description:
            return self._made[1]
        inside: dict[str, Any] = {"__module__": description["module"]}
        if description["schema"] is not None:
            inside["Parameters"] = self._model(description)
        cls = type(description["name"], (), inside)
        self._made = (dict(description), cls)
        return cls

    def _model(self, description: Mapping[str, Any]) -> type[BaseModel]:
        schema: dict[str, Any] = description["schema"]
        stand_ins = self

        class Parameters(BaseModel):
            """Takes what the worker takes."""

            model_config = ConfigDict(extra="forbid")

            @model_validator(mode="before")
            @classmethod
            def _ask(cls, given: Any) -> Any:
                if complaint := stand_ins.check(given):
                    raise BadInput(complaint, code="parameters")
                return given

            @classmethod
            def model_json_schema(cls, *given: Any, **others: Any) -> dict[str, Any]:
                return schema

        fields: dict[str, Any] = {
            name: (
                Any,
                Field(
                    default=field["default"],
                    description=field["description"],
                    json_schema_extra={"live": True} if field["live"] else None,
                ),
            )
            for name, field in description["fields"].items()
        }
        return create_model("Parameters", __base__=Parameters, **fields)


def _unchecked(given: Mapping[str, Any]) -> str:
    """No worker is there: the next one looks at them when it starts."""
    return ""
