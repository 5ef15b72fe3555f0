"""The `handshake` of a config becomes a HandshakeSpec, with what does not go together with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from iocmng.config import PluginConfig
from iocmng.names import Provider
from iocmng.spec.handshake import HandshakeSpec
from iocmng.spec.instance import Isolation, Kind, Mode
from iocmng.wire import Finding, Level, Where


def handshake_spec(config: PluginConfig, provider: Provider) -> HandshakeSpec | None:
    """Describe a config's handshake, None when it has none; `provider` is that of PVs without a scheme."""
    keys = config.handshake
    if keys is None:
        return None
    return HandshakeSpec(
        prefixes=dict(keys.prefixes),
        records=dict(keys.records),
        poll_rate=keys.poll_rate,
        max_stall_limit=keys.max_stall_limit,
        max_stuck_cycles=keys.max_stuck_cycles,
        provider=provider,
    )


def mode_of(config: PluginConfig, stated: str) -> Mode:
    """What makes the code run: a handshake's trigger, else what the parameters say."""
    return Mode.TRIGGERED if config.handshake is not None else Mode(stated)


def handshake_findings(
    config: PluginConfig, kind: Kind, stated: str, isolation: Isolation, locate: Callable[..., Where]
) -> Iterator[Finding]:
    """Yield what does not go together with a handshake.

    Args:
        config: What the plugin bundles.
        kind: Task or job.
        stated: The mode that the parameters ask for.
        isolation: Where the code is to run.
        locate: The config's places.
    """
    if config.handshake is None:
        return
    where = locate("handshake", key=True)
    if kind is Kind.JOB:
        text = "handshake: is for bridge tasks, this is a job"
        yield Finding(Level.ERROR, "does-not-apply", text, where, "derive the class from BridgeTask")
    if stated not in (Mode.TRIGGERED, "continuous"):
        text = f"mode: {stated} does not apply: the trigger of the handshake makes a bridge task run"
        place = locate("parameters", "mode")
        yield Finding(Level.ERROR, "does-not-apply", text, place, "remove mode")
    if isolation is Isolation.PROCESS:
        text = "isolation: process does not apply to a bridge task: its handshake is made in the host"
        yield Finding(Level.ERROR, "does-not-apply", text, where, "remove isolation, or the handshake")
    if config.engine != "thread":
        text = f"engine: {config.engine} does not apply to a bridge task: its handshake waits in a thread"
        yield Finding(Level.ERROR, "does-not-apply", text, locate("engine", key=True), "remove engine")
