"""Puts to PVs of this host that come from inside the process, with what a client's put would bring about."""

from __future__ import annotations

import math
from collections.abc import Callable

from iocmng.errors import LinkRefused, LinkValueError
from iocmng.runtime.ports import Put, RecordPort
from iocmng.spec import RecordSpec
from iocmng.spec.convert import convert
from iocmng.values import Value
from iocmng.wire import Actor

LINK = Actor(via="link")


def client_value(spec: RecordSpec, value: object) -> Value:
    """What a record makes of a client's put.

    Raises:
        TypeError: A wrong type.
        ValueError: It does not fit, or is NaN or infinite.
    """
    fitting = convert(spec, value)
    if isinstance(fitting, float) and not math.isfinite(fitting):
        raise ValueError(f"{spec.name} takes no {fitting}: an input's value has to be a finite number")
    fields = dict(spec.fields)
    bounded = {"DRVL", "DRVH"} <= fields.keys()
    if bounded and isinstance(fitting, (int, float)) and not isinstance(fitting, bool):
        kind: type[float] = type(fitting)
        return min(max(fitting, kind(float(fields["DRVL"]))), kind(float(fields["DRVH"])))
    return fitting


class InsidePuts:
    """Lets links of instances write PVs of their own host; any thread.

    Args:
        records: The records.
        post: Queues a call for the supervising thread.
        heard: Told of each put, on that thread.
    """

    def __init__(
        self,
        records: RecordPort,
        post: Callable[[Callable[[], None]], None],
        heard: Callable[[Put], None],
    ) -> None:
        self._records = records
        self._post = post
        self._heard = heard

    def put(self, name: str, value: Value) -> None:
        """Write a record as a client would.

        Raises:
            LinkRefused: Clients may not write it.
            LinkValueError: It cannot take that value.
        """
        record = self._records.record(name)
        if not record.spec.writable:
            raise LinkRefused(
                f"{name} is read-only", hint="only inputs and the default PVs for operators can be written"
            )
        try:
            fitting = client_value(record.spec, value)
        except (TypeError, ValueError) as error:
            raise LinkValueError(str(error)) from error
        record.assign(fitting)
        self._post(lambda: self._heard(Put(name, fitting, LINK, lambda: None)))
