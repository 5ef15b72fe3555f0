"""How many spare records a host keeps, and how many more tasks they would do for. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from iocmng.settings.site import SpareSettings
from iocmng.spec import Mode, RecordSpec
from iocmng.spec.defaults import Wiring, job_defaults, task_defaults
from iocmng.spec.spares import needed

_LINKED = Wiring(inputs=("INPUT",), outputs=("OUTPUT",))
_OF_OTHER_KIND = frozenset({"instances", "arrays", "array_length"})


def spare_counts(settings: SpareSettings) -> dict[str, int]:
    """How many spares of each kind the settings ask for.

    Each of `instances` can be a continuous or triggered task, with links or without, or a job: of every kind it has
    as many as the one of these that needs most.
    """
    kinds: Counter[str] = Counter()
    for defaults in (
        task_defaults("P:I", Mode.CONTINUOUS, _LINKED),
        task_defaults("P:I", Mode.TRIGGERED, _LINKED),
        job_defaults("P:I"),
    ):
        kinds |= needed(defaults.values())
    counts = {kind: settings.instances * count for kind, count in kinds.items()}
    for kind, count in settings.model_dump(exclude=set(_OF_OTHER_KIND)).items():
        counts[kind] = counts.get(kind, 0) + count
    for dtype, count in settings.arrays.model_dump().items():
        kind = f"waveform:{dtype}"
        counts[kind] = counts.get(kind, 0) + count
    return counts


def tasks_that_fit(free: Mapping[str, int]) -> int:
    """How many plain continuous tasks, without ports of their own, the free spares of each kind do for."""
    one = needed(_plain_task())
    return min(free.get(kind, 0) // count for kind, count in one.items())


def _plain_task() -> list[RecordSpec]:
    return list(task_defaults("P:I", Mode.CONTINUOUS).values())
