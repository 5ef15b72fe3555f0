"""Builds the catalog of the environment it runs in, as a host does, and prints it as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from iocmng.host.probe import Probe
from iocmng.plugins.catalog import build_catalog
from iocmng.plugins.directory import stage
from iocmng.plugins.discovery import Discovered
from iocmng.plugins.environment import Environment
from iocmng.plugins.hooks import Hooks, hookimpl
from iocmng.plugins.sources import register_sources
from iocmng.plugins.verdict import Question, Verdict, VerdictStore
from iocmng.settings.directories import PluginDirectory
from iocmng.settings.instances import InstanceSettings
from iocmng.settings.settings import Settings
from iocmng.wire import to_plain


class Asking(Probe):
    """A probe that remembers what it was asked."""

    def __init__(self, *, limit: float, memory: int) -> None:
        super().__init__(limit=limit, memory=memory)
        self.asked: list[str] = []

    def ask(self, questions: Sequence[Question]) -> list[Verdict]:
        self.asked += [question.plugin.name for question in questions]
        return super().ask(questions)


class Directories:
    """Plugin directories that are not installed, as `iocmng dev` has them."""

    def __init__(self, state: Path) -> None:
        self._state = state

    @hookimpl
    def iocmng_discover(self, settings: Settings) -> list[Discovered]:
        base = Environment.read()
        return [stage(entry, self._state, base) for entry in settings.plugins]


def main(state: Path, limit: float, directories: Sequence[Path]) -> None:
    entries = tuple(
        PluginDirectory(name=one.name, directory=one, root=one, settings=InstanceSettings(plugin=one.name))
        for one in directories
    )
    settings = Settings(prefix="T", state_dir=state, plugins=entries)
    hooks = Hooks()
    register_sources(hooks)
    hooks.register(Directories(state), "directories", builtin=True)
    with Asking(limit=limit, memory=300) as probe:
        hooks.load(judge=probe.judge_hooks)
        probe.asked.clear()
        catalog = build_catalog(settings, hooks, prober=probe, store=VerdictStore(state))
    candidates = [
        {
            "name": one.spec.name,
            "valid": one.valid,
            "kind": one.spec.kind,
            "class": one.spec.class_name,
            "records": [record.name for record in one.spec.records],
            "findings": to_plain(one.findings),
        }
        for one in catalog.candidates
    ]
    told = {"asked": probe.asked, "candidates": candidates, "hooks": hooks.packages}
    print(json.dumps({**told, "findings": to_plain(catalog.findings)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), [Path(one) for one in sys.argv[3:]])
