"""`/metrics`: the host and its instances in Prometheus' text format."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from numbers import Real

from iocmng.api.replies import SLICE
from iocmng.wire import HostView, InstanceView, MetricsView, SiteMetrics

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_Of = Callable[[InstanceView], float]
_PER_INSTANCE: Sequence[tuple[str, str, str, _Of]] = (
    ("cycles_total", "counter", "Cycles, or runs of a job", lambda view: view.cycles),
    ("cycle_errors_total", "counter", "Cycles that failed", lambda view: view.cycle_errors),
    ("overruns_total", "counter", "Cycles that took longer than the interval", lambda view: view.overruns),
    ("restarts_total", "counter", "Restarts by the supervisor", lambda view: view.restarts),
    ("uptime_seconds", "gauge", "Seconds in the present run of the task", lambda view: view.uptime),
    ("degraded", "gauge", "1 when a link or health() reports a problem", lambda view: view.degraded),
    ("busy", "gauge", "1 while code runs", lambda view: view.busy),
    ("enabled", "gauge", "1 when it starts at boot", lambda view: view.enabled),
)
_OF_HOST: Sequence[tuple[str, str, str, Callable[[HostView], float]]] = (
    ("uptime_seconds", "gauge", "Seconds since the host started", lambda host: host.uptime),
    ("cpu_ratio", "gauge", "Share of one core that the host uses", lambda host: host.cpu / 100),
    ("memory_bytes", "gauge", "Resident memory of the host", lambda host: host.memory * 2**20),
    ("records", "gauge", "EPICS records served", lambda host: host.records),
    ("instances", "gauge", "Instances, broken ones too", lambda host: host.instances),
    ("instances_running", "gauge", "Instances that run", lambda host: host.running),
    ("instances_failed", "gauge", "Instances that have failed", lambda host: host.failed),
    ("instances_degraded", "gauge", "Instances that are degraded", lambda host: host.degraded),
)
_OF_LOGIC: Sequence[tuple[str, str, Callable[[MetricsView], int]]] = (
    ("evaluations_total", "Evaluations of the rules in the present run", lambda found: found.evaluations),
    ("unknown_total", "Results of expressions that could not be computed", lambda found: found.unknown),
)


async def text(
    host: HostView,
    views: Sequence[InstanceView],
    measured: Sequence[MetricsView],
    site: SiteMetrics,
    streams: int,
) -> str:
    """All metrics; gives way to the loop between families."""
    families: list[str] = []
    clock = asyncio.get_running_loop().time
    given_way = clock()
    for family in chain(_families(host, views, measured, streams), _site_families(site)):
        families.append(family)
        if clock() - given_way > SLICE:
            await asyncio.sleep(0)
            given_way = clock()
    return "".join(families)


def _families(
    host: HostView, views: Sequence[InstanceView], measured: Sequence[MetricsView], streams: int
) -> Iterator[str]:
    facts = {"prefix": host.prefix, "version": host.version, "hostname": host.hostname, "boot": host.boot_id}
    yield _family("host_info", "gauge", "The host", [(_labels(**facts), 1)])
    yield _family("host_state", "gauge", "1 for the state the host is in", [(_labels(state=host.state), 1)])
    for name, kind, help_text, value in _OF_HOST:
        yield _family(f"host_{name}", kind, help_text, [("", value(host))])
    yield _family("event_streams", "gauge", "Open event and log streams", [("", streams)])
    states = [(_labels(instance=view.name, kind=view.kind, state=view.state), 1) for view in views]
    yield _family("instance_state", "gauge", "1 for the state an instance is in", states)
    labelled = [(_labels(instance=view.name), view) for view in views]
    for name, kind, help_text, of in _PER_INSTANCE:
        yield _family(name, kind, help_text, [(label, of(view)) for label, view in labelled])
    durations = [(_labels(instance=found.name), found.duration) for found in measured]
    yield _family("cycle_duration_seconds", "gauge", "Duration of the last cycle or run", durations)
    logical = [(_labels(instance=found.name), found) for found in measured if found.evaluations]
    for name, help_text, count in _OF_LOGIC:
        yield _family(name, "counter", help_text, [(label, count(found)) for label, found in logical])
    own = [
        (_labels(instance=found.name, name=name), value)
        for found in measured
        for name, value in sorted(found.values.items())
        if isinstance(value, Real)
    ]
    yield _family("metric", "gauge", "What the plugin's metrics() says, by its own name", own)


def _site_families(site: SiteMetrics) -> Iterator[str]:
    """How hooks do, and what their packages measure under names of their own."""
    for name, help_text, counts in (
        ("hook_failures_total", "Calls of a package's hooks that failed", site.failures),
        ("hook_events_dropped_total", "Events that a package's hooks were too slow for", site.dropped),
    ):
        yield _family(name, "counter", help_text, [(_labels(package=key), n) for key, n in counts.items()])
    for name in sorted({name for values in site.values.values() for name in values}):
        kind = "counter" if name.endswith("_total") else "gauge"
        samples = [
            (_labels(package=package), values[name])
            for package, values in site.values.items()
            if name in values
        ]
        yield _family(name, kind, "From iocmng_metrics of a package", samples, prefix="")


def _family(
    name: str, kind: str, help_text: str, samples: Iterable[tuple[str, float]], prefix: str = "iocmng_"
) -> str:
    full = f"{prefix}{name}"
    head = [f"# HELP {full} {help_text}.", f"# TYPE {full} {kind}"]
    return "\n".join([*head, *[f"{full}{label} {_number(value)}" for label, value in samples], ""])


def _labels(**words: str) -> str:
    return "{" + ",".join([f'{key}="{_escaped(word)}"' for key, word in words.items()]) + "}"


def _escaped(word: str) -> str:
    return word.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(int(value))
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
