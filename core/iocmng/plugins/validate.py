"""The first step of validation: what the files of a plugin tell without importing anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from iocmng.config import LoadedConfig, PluginConfig, load_config
from iocmng.plugins.classfinder import classes_in
from iocmng.plugins.discovery import Discovered
from iocmng.plugins.verdict import VerdictStore
from iocmng.spec import Kind
from iocmng.wire import Finding, Level, Where


@dataclass(frozen=True, slots=True)
class Checked:
    """A plugin after the first step.

    Attributes:
        discovered: Where it comes from.
        loaded: Its config file, None when it has none.
        findings: Everything found so far.
        key: The name under which its verdict is kept, None when it is not to be kept.
    """

    discovered: Discovered
    loaded: LoadedConfig | None
    findings: tuple[Finding, ...]
    key: str | None = None

    @property
    def readable(self) -> PluginConfig | None:
        """What could be read of the config in spite of errors."""
        return (self.loaded.config or self.loaded.partial) if self.loaded else None

    @property
    def probable(self) -> Kind:
        """What the plugin is as far as its config tells."""
        config = self.readable
        return Kind.JOB if config and (config.job.model_fields_set or config.script) else Kind.TASK


def check_files(discovered: Discovered) -> Checked:
    """Read a plugin's config strictly and find the name of its verdict."""
    path = discovered.plugin.config
    if not path:
        return Checked(discovered, None, discovered.findings)
    loaded = load_config(Path(path), lenient=discovered.lenient)
    findings = (*discovered.findings, *loaded.findings)
    key = None
    if discovered.fingerprint is not None and loaded.config is not None:
        with suppress(OSError):
            key = VerdictStore.key(discovered.fingerprint, discovered.plugin, Path(path).read_bytes())
    return Checked(discovered, loaded, findings, key)


def check_source(discovered: Discovered) -> Iterator[Finding]:
    """Yield what the module's source tells: syntax errors, and a class that the entry point does not name."""
    file = Path(discovered.file)
    if file.suffix != ".py":
        return
    classes, findings = classes_in(file)
    yield from findings
    if classes and ":" not in discovered.plugin.target and discovered.plugin.origin == "installed":
        names = ", ".join(one.name for one in classes)
        text = f"the entry point {discovered.plugin.target!r} names no class, so that {names} will not run"
        hint = f"write '{discovered.plugin.target}:{classes[0].name}'"
        yield Finding(Level.WARNING, "class-unnamed", text, Where(str(file), classes[0].line, 1), hint)
