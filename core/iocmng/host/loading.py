"""Loads the records of every instance, with saved inputs; one that EPICS refuses is shown INVALID."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from iocmng.errors import IocmngError
from iocmng.plugins.candidate import Candidate
from iocmng.runtime.autosave import Autosave
from iocmng.runtime.ports import RecordPort
from iocmng.runtime.rollout import with_values
from iocmng.spec import RecordSpec
from iocmng.spec.build import reduced
from iocmng.wire import Finding, Level

CODE = "records-refused"


class RecordLoader:
    """Between candidates and the records they have in the end.

    Args:
        records: Where they are made.
        listen: Called with records that exist, so that no put of a client is lost.
        autosave: Saved inputs, None when nothing is saved.
        complain: Told what is wrong.
        prefix: The host's.
    """

    def __init__(
        self,
        records: RecordPort,
        listen: Callable[[Iterable[RecordSpec]], None],
        autosave: Autosave | None,
        complain: Callable[[str], None],
        prefix: str,
    ) -> None:
        self._records = records
        self._listen = listen
        self._autosave = autosave
        self._complain = complain
        self._prefix = prefix

    def load(self, candidate: Candidate) -> Candidate:
        """Load the records of one instance; return it as it is served."""
        try:
            return self._load(candidate)
        except IocmngError as error:
            self._complain(f"{candidate.spec.name}: {error}")
            invalid = self._invalid(candidate, error)
        try:
            return self._load(invalid)
        except IocmngError:
            # Not even its STATUS can be served; listings still show it.
            return replace(invalid, spec=replace(invalid.spec, defaults={}))

    def _load(self, candidate: Candidate) -> Candidate:
        spec = candidate.spec
        if self._autosave is not None:
            restored = self._autosave.restore(spec.name, spec.records)
            for problem in restored.problems:
                self._complain(problem)
            if restored.values:
                spec = with_values(spec, restored.values)
        self._records.load(spec.records, source=spec.name)
        self._listen(spec.records)
        return replace(candidate, spec=spec)

    def _invalid(self, candidate: Candidate, error: IocmngError) -> Candidate:
        finding = Finding(Level.ERROR, CODE, error.detail, hint=error.hint)
        return replace(
            candidate,
            spec=reduced(candidate.spec, self._prefix),
            valid=False,
            findings=(finding, *candidate.findings),
        )
