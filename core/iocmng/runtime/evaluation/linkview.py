"""One view of a linked input to whose PV an actuator writes."""

from __future__ import annotations

from dataclasses import replace

from iocmng.wire import LinkView


def both_ways(source: LinkView, target: LinkView | None) -> LinkView:
    """The view of an input, with what is wrong or waits on the way to the same PV."""
    if target is None or not (target.pending or target.failures):
        return source
    told = "; ".join(filter(None, (source.complaint, target.complaint)))
    return replace(source, pending=target.pending, failures=source.failures + target.failures, complaint=told)
