"""The second step of validation for all instances: kept verdicts, then one question per plugin and config."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from iocmng.plugins.candidate import has_error
from iocmng.plugins.draft import Draft
from iocmng.plugins.validate import check_source
from iocmng.plugins.verdict import Prober, Question, Verdict, VerdictStore
from iocmng.settings.settings import Settings

Asked = tuple[list[Draft], Question]
"""Instances of one plugin with one config, and what is asked about them."""


def judge(
    drafts: Sequence[Draft],
    settings: Settings,
    prober: Prober | None,
    store: VerdictStore,
    focus: str | None = None,
) -> None:
    """Lay a verdict on every instance that may still run, and describe it again by that.

    Args:
        drafts: The instances.
        settings: The settings in force.
        prober: Is asked where no kept verdict fits; without one only kept verdicts count.
        store: The kept verdicts.
        focus: The only instance to ask about, None for all.
    """
    asked: list[Asked] = []
    for group in _groups(drafts):
        key = group[0].verdict_key
        verdict = store.get(key) if key else None
        if verdict is not None and _covers(verdict, group):
            _lay(verdict, group, settings)
        elif prober is not None and focus in (None, *(draft.name for draft in group)):
            asked.append((group, _question(group, settings)))
    if asked and prober is not None:
        for (group, _), verdict in zip(asked, _verdicts(asked, prober), strict=True):
            if key := group[0].verdict_key:
                store.put(key, verdict)
            _lay(verdict, group, settings)
    store.save()


def _verdicts(asked: Sequence[Asked], prober: Prober) -> Iterator[Verdict]:
    """A verdict for each question; what has a syntax error is not imported."""
    sources = [tuple(check_source(group[0].checked.discovered)) for group, _ in asked]
    questions = [
        question for (_, question), source in zip(asked, sources, strict=True) if not has_error(source)
    ]
    answers = iter(prober.ask(questions))
    for source in sources:
        if has_error(source):
            yield Verdict(findings=source)
        else:
            answer = next(answers)
            yield replace(answer, findings=(*source, *answer.findings))


def _groups(drafts: Sequence[Draft]) -> list[list[Draft]]:
    """Instances of one plugin with one config; also those that could run if their kind was guessed wrong."""
    groups: dict[tuple[int, str], list[Draft]] = {}
    for draft in drafts:
        if draft.loaded is not None and draft.loaded.config is not None and not has_error(draft.findings):
            groups.setdefault((id(draft.checked), draft.changed), []).append(draft)
    return list(groups.values())


def _covers(verdict: Verdict, group: Sequence[Draft]) -> bool:
    """Whether a verdict is about all sets of parameters; without a ParameterModel only the mode matters."""
    for draft in group:
        config = draft.loaded.config if draft.loaded else None
        if draft.spec is None or draft.key in verdict.parameters:
            continue
        if verdict.schema or config is None or draft.spec.mode.value != config.parameters.mode:
            return False
    return True


def _question(group: Sequence[Draft], settings: Settings) -> Question:
    discovered = group[0].checked.discovered
    return Question(
        plugin=discovered.plugin,
        roots=discovered.roots,
        first=discovered.first,
        lenient=discovered.lenient,
        config=group[0].changed,
        host_prefix=settings.prefix,
        parameters={draft.key: draft.values for draft in group if draft.spec is not None},
    )


def _lay(verdict: Verdict, group: Sequence[Draft], settings: Settings) -> None:
    for draft in group:
        key = draft.key
        if draft.verdict is not verdict:
            draft.verdict = verdict
            draft.describe(settings)
        draft.findings.extend(verdict.about(key))
