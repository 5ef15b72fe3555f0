"""What packages on this site say about instances: hooks that change a config, and hooks that judge."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from iocmng.config import parse_config
from iocmng.plugins.candidate import Candidate, has_error, worst_first
from iocmng.plugins.draft import Draft
from iocmng.plugins.hooks import Hooks
from iocmng.settings.settings import Settings
from iocmng.spec.build import reduced
from iocmng.wire import Finding, Level


def configure(drafts: Sequence[Draft], settings: Settings, hooks: Hooks) -> None:
    """Let `iocmng_configure` change configs."""
    if not hooks.has("iocmng_configure"):
        return
    for draft in drafts:
        if draft.broken:
            continue
        candidate = draft.candidate(settings)
        for answer in reversed(hooks.call("iocmng_configure", candidate=candidate)):
            if isinstance(answer.value, Mapping):
                _change(draft, answer.plugin, answer.value)
        if draft.changed:
            draft.describe(settings)


def _change(draft: Draft, package: str, changes: Mapping[str, Any]) -> None:
    config = draft.loaded.config if draft.loaded else None
    if config is None:
        return
    present = config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    text = json.dumps(_merged(present, changes), default=str)
    changed = parse_config(text, f"{package}.json", lenient=draft.checked.discovered.lenient)
    if changed.config is None:
        for one in changed.findings:
            if one.level is Level.ERROR:
                draft.findings.append(replace(one, message=f"changed by hooks of {package}: {one.message}"))
        return
    draft.loaded, draft.changed = changed, text


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(below)
    for key, value in above.items():
        inner = made.get(key)
        nested = isinstance(inner, Mapping) and isinstance(value, Mapping)
        made[key] = _merged(inner, value) if nested and isinstance(inner, Mapping) else value
    return made


def ask(candidates: Iterable[Candidate], settings: Settings, hooks: Hooks) -> Iterator[Candidate]:
    """Yield the candidates with what `iocmng_validate` says about them."""
    asks = hooks.has("iocmng_validate")
    for candidate in candidates:
        more: list[Finding] = []
        for answer in hooks.call("iocmng_validate", candidate=candidate) if asks else ():
            items = answer.value if isinstance(answer.value, Iterable) else ()
            more.extend(item for item in items if isinstance(item, Finding))
        if not more:
            yield candidate
            continue
        findings = worst_first((*candidate.findings, *more))
        refused = candidate.valid and has_error(more)
        spec = reduced(candidate.spec, settings.prefix) if refused else candidate.spec
        yield replace(candidate, spec=spec, valid=candidate.valid and not refused, findings=findings)
