"""The list of plugin directories, plugins.yaml (IOCMNG_PLUGINS_CONFIG), entry by entry."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import Field

from iocmng import names
from iocmng.config import Report, SupervisionKeys, read_document, read_model
from iocmng.config.document import Document, plain
from iocmng.config.fields import Flag, OrEmptyMapping, Strict, Text
from iocmng.errors import BadInput
from iocmng.settings.environment import expand
from iocmng.settings.instances import InstanceSettings
from iocmng.wire import Finding, Level, SourceRequest, Where


class DirectoryEntry(Strict):
    """One entry of `plugins:`."""

    name: Text
    git_url: Text | None = None
    local_path: Text | None = None
    path: str | None = None
    branch: str | None = None
    pat: str | None = Field(default=None, repr=False)
    auto_start: Flag = True
    auto_start_on_boot: Flag = True
    autostart_order: int | None = None
    parameters: Annotated[dict[str, Any], OrEmptyMapping] = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PluginDirectory:
    """A plugin that lives in a directory, on this machine or in a git repository.

    Attributes:
        name: Name of the plugin and its instance, "" when the entry has none.
        directory: Where plugin and config are, None when the entry has an error or names a repository.
        root: Where the entry points to; `requirements.txt` is looked for here too.
        source: The same as a request to install it, None when the entry has an error.
        settings: What the entry says about the instance.
        where: Its place in the list.
        findings: What is wrong with the entry.
    """

    name: str
    directory: Path | None = None
    root: Path | None = None
    source: SourceRequest | None = None
    settings: InstanceSettings | None = None
    where: Where = field(default_factory=Where)
    findings: tuple[Finding, ...] = field(default=())

    @property
    def broken(self) -> bool:
        """Whether the entry has an error."""
        return any(finding.level is Level.ERROR for finding in self.findings)

    def __str__(self) -> str:
        """Where the plugin is, without secrets."""
        place = self.source.git_url if self.source else ""
        return place or str(self.directory or self.name)


def read_plugins_file(file: Path, environ: Mapping[str, str]) -> tuple[PluginDirectory, ...]:
    """Read a list of plugin directories; an entry with an error is returned with its findings.

    Raises:
        BadInput: The file as a whole cannot be read; names file, line and column.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file}: list of plugins cannot be read: {error}") from None
    document = read_document(text, str(file), expand=lambda part: expand(part, environ))
    errors = [finding for finding in document.findings if finding.code != "unset-variable"]
    if errors:
        raise BadInput(str(errors[0]))
    entries = (document.value or {}).get("plugins") if isinstance(document.value or {}, Mapping) else None
    if entries is None and not document.value:
        return ()
    if not isinstance(entries, list):
        raise BadInput(f"{document.where('plugins')}: a list of plugins has one key, plugins: [...]")
    return tuple(_entry(index, entry, document, file) for index, entry in enumerate(entries))


def _entry(index: int, raw: Any, document: Document, file: Path) -> PluginDirectory:
    report = Report(Document(document.file, document.value, document.keys, document.values))
    given = raw.get("name") if isinstance(raw, Mapping) else None
    name = given if isinstance(given, str) else ""
    if not isinstance(raw, Mapping):
        report.error("wrong-type", "an entry of plugins is a mapping", "plugins", index)
        return PluginDirectory(name=name, findings=tuple(report.findings))
    inner = _Inner(report, ("plugins", index))
    for finding in document.findings:
        if finding.where.key.startswith(f"plugins[{index}]"):
            report.findings.append(finding)
    entry = read_model(DirectoryEntry, plain(_stated(raw)), inner)
    where = document.where("plugins", index, "name" if name else 0)
    if entry is None:
        return PluginDirectory(name=name, where=where, findings=tuple(report.findings))
    source = _source(entry, inner, file)
    local = source is not None and not source.git_url
    return PluginDirectory(
        name=entry.name,
        directory=Path(source.local_path, source.path) if source and local else None,
        root=Path(source.local_path) if source and local else None,
        source=source,
        settings=instance_settings(entry.name, entry.model_dump()),
        where=where,
        findings=tuple(report.findings),
    )


def _stated(raw: Mapping[Any, Any]) -> dict[Any, Any]:
    """The entry without keys that say nothing: the previous system wrote them out."""
    stated = {key: value for key, value in raw.items() if value is not None and value != ""}
    if isinstance(stated.get("pat"), (int, float)):
        # A complaint about its type would show it.
        stated["pat"] = str(stated["pat"])
    return stated


class _Inner(Report):
    """A report about one part of a document: paths are relative to it."""

    def __init__(self, outer: Report, base: tuple[str | int, ...]) -> None:
        super().__init__(outer.document)
        self.findings = outer.findings
        self._base = base

    def add(
        self,
        level: Level,
        code: str,
        message: str,
        path: tuple[Any, ...],
        hint: str = "",
        *,
        key: bool = False,
    ) -> None:
        self.broken.add(path)
        where = self.document.where(*self._base, *path, key=key)
        self.findings.append(Finding(level, code, message, where, hint))


def _source(entry: DirectoryEntry, report: Report, file: Path) -> SourceRequest | None:
    if problem := names.plugin_name_problem(entry.name):
        report.error("name", problem, "name")
    if entry.git_url is None and entry.local_path is None:
        text = f"{entry.name}: an entry needs local_path or git_url"
        report.error("missing-key", text, "local_path", hint="add local_path: DIR, or git_url: https://…")
    git = entry.git_url is not None and entry.local_path is None
    if entry.git_url and not git:
        text = f"{entry.name}: git_url is not used, local_path comes first"
        report.warning("does-not-apply", text, "git_url", key=True)
    part = PurePosixPath(entry.path or ".")
    root = Path(file.parent, entry.local_path or "").absolute()
    if part.is_absolute() or ".." in part.parts:
        report.error("path", f"{entry.name}: path {entry.path!r} leads out of the source", "path")
    elif not (root / part).resolve().is_relative_to(root.resolve()):
        report.error("path", f"{entry.name}: path {entry.path!r} is a link out of {entry.local_path}", "path")
    if any(finding.level is Level.ERROR for finding in report.findings):
        return None
    return SourceRequest(
        name=entry.name,
        git_url=(entry.git_url or "") if git else "",
        local_path="" if git else os.path.normpath(root),
        path="" if part == PurePosixPath(".") else str(part),
        branch=(entry.branch or "") if git else "",
        token=(entry.pat or "") if git else "",
        auto_start=entry.auto_start,
        auto_start_on_boot=entry.auto_start_on_boot,
        autostart_order=entry.autostart_order,
        parameters=entry.parameters,
        listed=True,
    )


def instance_settings(
    plugin: str, given: Mapping[str, Any], form: type[InstanceSettings] = InstanceSettings
) -> InstanceSettings:
    """What the previous system's words say about an instance: auto_start, autostart_order and so on.

    Args:
        plugin: Name of the plugin and its instance.
        given: `auto_start`, `auto_start_on_boot`, `autostart_order`, `parameters`, as far as they are stated.
        form: Who says it.
    """
    order = given.get("autostart_order")
    supervision = SupervisionKeys() if order is None else SupervisionKeys(start_order=order)
    return form(
        plugin=plugin,
        parameters=dict(given.get("parameters") or {}),
        enabled=bool(given.get("auto_start", True) and given.get("auto_start_on_boot", True)),
        supervision=supervision,
    )
