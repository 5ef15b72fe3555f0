"""The strict, frozen models of config.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from iocmng.config.fields import (
    Count,
    Finite,
    Flag,
    OrEmptyList,
    OrEmptyMapping,
    Positive,
    Seconds,
    Strict,
    Text,
)
from iocmng.config.ports import InputPort, OutputPort

Names = Annotated[tuple[Text, ...], Field(strict=False), OrEmptyList]


class Parameters(Strict):
    """Parameters of a plugin: the reserved ones are typed, all others are the plugin's own."""

    model_config = ConfigDict(extra="allow")

    mode: Literal["continuous", "triggered", "reactive"] = Field(
        default="continuous", description="What makes the code run."
    )
    interval: Positive = Field(
        default=1.0, description="Period of a continuous task, seconds; a fixed rate without drift."
    )
    timeout: Positive = Field(default=5.0, description="Bound of PV access, seconds.")
    retry_interval: Positive | None = Field(
        default=None, description="Seconds between attempts to reach a PV again."
    )
    pva: Flag | None = Field(
        default=None, description="Provider of links without a scheme; default: the host's."
    )
    version: str | int | float | None = Field(
        default=None, description="What VERSION shows instead of the distribution's version."
    )
    channelfinder_url: str | None = Field(default=None, description="Address of a ChannelFinder service.")
    channelfinder_timeout: Positive | None = Field(
        default=None, description="Bound of a ChannelFinder query, seconds."
    )

    @property
    def given(self) -> Mapping[str, Any]:
        """What the config itself states, own and reserved, by name."""
        reserved = {
            name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set
        }
        return MappingProxyType({**reserved, **(self.model_extra or {})})


RESERVED_PARAMETERS = frozenset(Parameters.model_fields)


class Arguments(Strict):
    """The declared ports."""

    inputs: Annotated[dict[str, Annotated[InputPort, OrEmptyMapping]], OrEmptyMapping] = Field(
        default_factory=dict
    )
    outputs: Annotated[dict[str, Annotated[OutputPort, OrEmptyMapping]], OrEmptyMapping] = Field(
        default_factory=dict
    )


def _word(value: Any) -> Any:
    return str(value) if isinstance(value, (bool, int, float)) else value


Word = Annotated[Text, BeforeValidator(_word)]
"""Text that may look like a number: `id: 1`, `expression: 0`."""


class Transform(Strict):
    """An expression whose result is written to an output."""

    output: Text = Field(description="Name of an output that nothing else writes.")
    expression: Word = Field(description="Expression.")


class Rule(Strict):
    """A condition and what it sets."""

    id: Word = Field(description="Unique name.")
    condition: Word = Field(description="Expression.")
    message: str = Field(default="", description="Shown in MESSAGE and the log when the rule becomes active.")
    message_pv: Text | None = Field(default=None, description="String output that gets time and message.")
    outputs: Annotated[dict[str, Any], OrEmptyMapping] = Field(
        default_factory=dict, description="Output → value that it has while the rule is active."
    )
    actuators: Annotated[dict[str, Any], OrEmptyMapping] = Field(
        default_factory=dict,
        description="Linked port → value that is written to its PV when the rule becomes active.",
    )
    for_: Seconds = Field(default=0.0, alias="for", description="Seconds the condition must hold.")
    clear_for: Seconds = Field(default=0.0, description="Seconds the condition must be gone.")
    clear_when: Word | None = Field(
        default=None, description="Expression that ends the rule; default: when the condition does not hold."
    )
    on_invalid: Literal["hold", "trip", "ignore"] = Field(
        default="hold",
        description="While inputs are unknown: keep the last decision, act as if true, or use the last values.",
    )
    settle: Seconds = Field(
        default=5.0, description="Seconds after a start in which a rule may stay undecided."
    )
    severity: Literal["MINOR", "MAJOR"] | None = Field(
        default=None, description="Severity given to the outputs it sets."
    )
    group: Text | None = Field(
        default=None, description="First-out group: <group>_FIRST names its first rule that fired."
    )
    repeat: Positive | None = Field(
        default=None, description="Seconds after which actuators are written again."
    )


class SupervisionKeys(Strict):
    """How a task is supervised; times in seconds."""

    restart: Literal["no", "on-failure", "on-abnormal", "always"] = Field(
        default="on-failure", description="Which ends are followed by a new start."
    )
    restart_sec: Seconds = Field(default=1.0, description="First delay; doubles up to restart_max_sec.")
    restart_max_sec: Seconds = Field(default=60.0, description="Ceiling of the delay.")
    restart_reset: Seconds = Field(
        default=600.0, description="Running this long brings the delay back to the first."
    )
    restart_max: Count = Field(
        default=0, description="More restarts than this in restart_window lead to ERROR; 0 for no limit."
    )
    restart_window: Positive = Field(default=60.0, description="Window of restart_max.")
    cycle_errors: int = Field(default=1, ge=1, description="This many failing cycles in a row are a failure.")
    stall_after: Positive | None = Field(
        default=None, description="No progress for this long is a stall; default max(10, 4 * interval)."
    )
    on_stall: Literal["alarm", "restart", "exit"] = Field(
        default="alarm", description="What follows a stall."
    )
    start_timeout: Positive = Field(default=30.0, description="Bound of initialize().")
    stop_timeout: Positive = Field(default=10.0, description="Bound of the end of the task's code.")
    heartbeat_link: Text | None = Field(
        default=None,
        description="PV of another IOC that is toggled each second while the task makes progress.",
    )
    start_order: int = Field(default=100, description="Ascending, then by name.")
    depends_on: Names = Field(default=(), description="Instances that must run first.")
    run_queue: Count = Field(default=1, description="Runs of a triggered task that may wait.")


class JobKeys(Strict):
    """How runs of a job are handled."""

    run_timeout: Positive | None = Field(default=None, description="Seconds a run may take.")
    on_busy: Literal["refuse", "queue"] = Field(default="refuse", description="A request while a run is on.")
    lock: Text | None = Field(default=None, description="Name of a lock shared by jobs.")
    keep_runs: int | None = Field(
        default=None, ge=1, description="Run records kept; default: the site's runs.keep (50)."
    )


class ScriptArgument(Strict):
    """One argument of a script: `--name value`, a flag when it is a bool."""

    name: Text = Field(description="Name of the option; an input of the same name gives its value.")
    type: Literal["str", "int", "float", "bool", "str_list", "int_list", "float_list"] = Field(
        default="str", description="Type of the value, or of the elements of a list."
    )
    default: Any = Field(default=None, description="Value where the request gives none.")
    description: str = Field(default="", description="Shown where the job is started.")
    positional: Flag = Field(default=False, description="The bare value, after all options.")
    required: Flag = Field(default=False, description="A request without it is refused.")


class Script(Strict):
    """A script job."""

    path: Text | None = Field(
        default=None, description="In the plugin's folder, or absolute under one of scripts.roots."
    )
    path_parameter: Flag = Field(
        default=False, description="The request names the script as `path`, under one of scripts.roots."
    )
    interpreter: Text = Field(
        default="python", description="What runs it; `python` is the one that runs the host, unbuffered."
    )
    argv: Names = Field(
        default=(), description="Words in place of the interpreter; `{path}` stands for the script."
    )
    cwd: Text | None = Field(default=None, description="Where it runs; default: a directory of the run.")
    extra_args: Flag = Field(default=False, description="The request may add `args`, handed on untouched.")
    args: Annotated[tuple[ScriptArgument, ...], Field(strict=False), OrEmptyList] = Field(
        default=(), description="Arguments, checked before the run starts."
    )
    env: Annotated[dict[str, str], OrEmptyMapping] = Field(
        default_factory=dict, description="Variables besides the host's own, which come without secrets."
    )
    log: Flag | str = Field(
        default=True,
        description="true: log of the run and of the job; a path: log of the run and that file; false: only the run's.",
    )
    stop_grace: Seconds = Field(default=5.0, description="Seconds between TERM and KILL.")
    status_udp: int | None = Field(
        default=None, ge=1, le=65535, description="Port on 127.0.0.1 that takes a publisher's datagrams."
    )


class Handshake(Strict):
    """A bridge task's records in another IOC."""

    prefixes: Annotated[dict[str, str], OrEmptyMapping] = Field(
        default_factory=dict, description="Text for each `{name}` in the PV names of the interface."
    )
    records: Annotated[dict[str, Text], OrEmptyMapping] = Field(
        default_factory=dict,
        description="Attribute of the interface (trigger, busy, …, or one of your own) → PV name.",
    )
    poll_rate: Positive | None = Field(
        default=None,
        description="Seconds between two calls of a `trigger()` of your own; default: `get_poll_rate()`, 1.",
    )
    max_stall_limit: Positive = Field(
        default=10.0,
        description="Seconds of a cycle without progress after which the heartbeat stops, at least 4 * poll_rate.",
    )
    max_stuck_cycles: int = Field(
        default=15, ge=1, description="Heartbeats failed or withheld in a row before on_stall acts."
    )


class PluginConfig(Strict):
    """A whole config.yaml."""

    prefix: Text | None = Field(
        default=None,
        description="Middle segment of the PV names; default: the instance's name in upper case.",
    )
    description: str = Field(default="", description="Shown everywhere.")
    class_: Text | None = Field(
        default=None, alias="class", description="Which class of a plugin directory is the plugin."
    )
    parameters: Annotated[Parameters, OrEmptyMapping] = Field(
        default=Parameters(), description="Handed to the plugin."
    )
    arguments: Annotated[Arguments, OrEmptyMapping] = Field(
        default=Arguments(), description="Inputs and outputs."
    )
    transforms: Annotated[tuple[Transform, ...], Field(strict=False), OrEmptyList] = Field(
        default=(), description="Expressions written to outputs, in order; later ones see earlier results."
    )
    rule_defaults: Annotated[dict[str, Any], OrEmptyMapping] = Field(
        default_factory=dict, description="Value of an output when no rule sets it."
    )
    rules: Annotated[tuple[Rule, ...], Field(strict=False), OrEmptyList] = Field(
        default=(), description="Conditions, in order; the last active rule that sets an output wins."
    )
    supervision: Annotated[SupervisionKeys, OrEmptyMapping] = Field(
        default=SupervisionKeys(), description="How a task is supervised."
    )
    job: Annotated[JobKeys, OrEmptyMapping] = Field(
        default=JobKeys(), description="How runs of a job are handled."
    )
    isolation: Literal["thread", "process"] = Field(default="thread", description="Where the code runs.")
    memory_limit: Annotated[Finite, Field(gt=0)] | None = Field(
        default=None, description="MiB, for isolation: process."
    )
    engine: Literal["thread", "cothread"] = Field(
        default="thread", description="`cothread` for code that calls cothread."
    )
    script: Script | None = Field(default=None, description="A script job.")
    handshake: Handshake | None = Field(default=None, description="A bridge task.")
