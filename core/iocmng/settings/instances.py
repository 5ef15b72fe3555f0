"""What the site says about one instance."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from iocmng.config import SupervisionKeys
from iocmng.config.fields import Finite, Flag, OrEmptyMapping, Strict, Text


class InstanceSettings(Strict):
    """One entry of `instances`; what is not stated stays as the plugin's config says."""

    plugin: Text = Field(description="Name of the plugin (its entry point).")
    name: Text | None = Field(default=None, description="Name of the instance; default: the plugin's.")
    prefix: Text | None = Field(default=None, description="Middle segment of its PV names.")
    parameters: Annotated[dict[str, Any], OrEmptyMapping] = Field(
        default_factory=dict, description="Override those of config.yaml and of the environment."
    )
    enabled: Flag = Field(default=True, description="Whether it starts at boot.")
    isolation: Literal["thread", "process"] | None = Field(default=None, description="Where its code runs.")
    memory_limit: Annotated[Finite, Field(gt=0)] | None = Field(
        default=None, description="MiB that its code may take, with isolation: process."
    )
    supervision: Annotated[SupervisionKeys, OrEmptyMapping] = Field(
        default=SupervisionKeys(), description="Keys that override those of config.yaml."
    )

    @property
    def instance(self) -> str:
        """The instance's name."""
        return self.name or self.plugin

    @property
    def origin(self) -> str:
        """Where its parameters come from, as `show` names it."""
        return "site"


class RequestedInstance(InstanceSettings):
    """The same, asked for over HTTP while the host ran."""

    @property
    def origin(self) -> str:
        """Where its parameters come from, as `show` names it."""
        return "request"
