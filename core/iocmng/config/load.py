"""Load a config: text in, model and findings out; equal text is read once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from iocmng.config.check import check
from iocmng.config.document import Document, dotted, in_file, plain, read_document
from iocmng.config.explain import read_model
from iocmng.config.models import PluginConfig
from iocmng.config.report import Report
from iocmng.wire import Finding, Level, Where

MAX_BYTES = 2_000_000


@dataclass(frozen=True)
class LoadedConfig:
    """What became of one config file.

    Attributes:
        config: The model; None when there is an error among the findings.
        findings: Everything there is to say, in the order of the file's checks.
        partial: What could be read in spite of errors (an INVALID plugin needs its prefix), None for nothing.
        complete: The model if no port, transform or rule had to be left out; that can be so in spite of errors.
        exact: Nothing at all had to be left out; what is wrong is about how things go together.
        document: The places of keys and values.
    """

    config: PluginConfig | None
    findings: tuple[Finding, ...]
    partial: PluginConfig | None = None
    complete: PluginConfig | None = None
    exact: bool = False
    document: Document = field(default_factory=Document)

    def locate(self, *key_path: str | int, key: bool = False) -> Where:
        """The place of the value at `key_path` (with `key`, of its key), or of its nearest parent there."""
        return self.document.where(*key_path, key=key)

    def inside(self, value: str, line: int, column: int, *key_path: str | int) -> Where:
        """The place of one character (counted from 1) of the text `value` that stands at `key_path`."""
        return self.document.inside(value, line, column, *key_path)


def load_config(path: Path, *, lenient: bool = False) -> LoadedConfig:
    """Read a config file; never raises for what is in it.

    Args:
        path: `.yaml`, `.yml` or `.json`.
        lenient: Rules of a plugin directory: an unknown top-level key and a default PV's name are warnings.
    """
    file = str(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            return _unreadable(file, f"config has more than {MAX_BYTES} bytes")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return _unreadable(file, f"config is not UTF-8: byte 0x{error.object[error.start]:02X}", line)
    except OSError as error:
        return _unreadable(file, f"config cannot be read: {error.strerror or error}")
    return parse_config(text, file, lenient=lenient)


def parse_config(text: str, file: str, *, lenient: bool = False) -> LoadedConfig:
    """Read the text of a config; `file` names it in findings, and `.json` at its end decides the syntax."""
    read = _parse(text, lenient, file.endswith(".json"))
    return replace(read, findings=in_file(read.findings, file), document=read.document.named(file))


def _unreadable(file: str, message: str, line: int = 0) -> LoadedConfig:
    where = Where(file, line, 1 if line else 0)
    finding = Finding(Level.ERROR, "unreadable", message, where)
    return LoadedConfig(None, (finding,), document=Document(file))


@lru_cache(maxsize=512)
def _parse(text: str, lenient: bool, is_json: bool) -> LoadedConfig:
    document = read_document(text, is_json=is_json)
    report = Report(document)
    if document.value is None and document.findings:
        return LoadedConfig(None, tuple(report.findings), document=document)
    if not isinstance(document.value or {}, Mapping):
        report.error(
            "wrong-type", "a config is a mapping of keys", hint="start with parameters: or arguments:"
        )
        return LoadedConfig(None, tuple(report.findings), document=document)
    data, document = _normalize(dict(document.value or {}), document, report)
    partial = read_model(PluginConfig, data, report, lenient_top=lenient)
    exact = report.ok and partial is not None
    if partial is not None:
        check(partial, report, lenient=lenient)
    return LoadedConfig(
        partial if report.ok else None,
        tuple(report.findings),
        partial,
        partial if partial is not None and _is_complete(partial, data) else None,
        exact,
        document,
    )


def _is_complete(config: PluginConfig, data: Mapping[Any, Any]) -> bool:
    ports = data.get("arguments") or {}
    sizes: tuple[tuple[Collection[Any], Any], ...] = (
        (config.transforms, data.get("transforms")),
        (config.rules, data.get("rules")),
        (config.arguments.inputs, ports.get("inputs") if isinstance(ports, Mapping) else ports),
        (config.arguments.outputs, ports.get("outputs") if isinstance(ports, Mapping) else ports),
    )
    return all(
        len(read) == (len(given) if isinstance(given, (list, dict)) else int(given is not None))
        for read, given in sizes
    )


def _normalize(data: dict[Any, Any], document: Document, report: Report) -> tuple[dict[Any, Any], Document]:
    """Bring the seeds' spellings to today's, with a finding each."""
    if "parameters" in data:
        data["parameters"] = plain(data["parameters"])
    if "pvs" in data:
        report.warning(
            "deprecated", "'pvs' is now called 'arguments'", "pvs", hint="rename the key", key=True
        )
        old = data.pop("pvs")
        if "arguments" not in data:
            data["arguments"] = old
            report.document = document = replace(document, aliases={"arguments": "pvs"})
        elif isinstance(old, Mapping) and isinstance(data["arguments"], Mapping):
            data["arguments"] = _merged(old, data["arguments"])
        else:
            report.error("wrong-type", "pvs and arguments must both be mappings", "pvs")
    for section in ("inputs", "outputs"):
        ports = data["arguments"].get(section) if isinstance(data.get("arguments"), Mapping) else None
        for name, port in ports.items() if isinstance(ports, Mapping) else ():
            if isinstance(port, Mapping) and "mode" in port and "link_mode" not in port:
                path = ("arguments", section, name, "mode")
                report.warning(
                    "deprecated",
                    f"{dotted(path)} is now called link_mode",
                    *path,
                    hint="rename the key",
                    key=True,
                )
                data = _with_link_mode(data, section, name)
    return data, document


def _merged(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> dict[Any, Any]:
    merged: dict[Any, Any] = {**old, **new}
    for section in ("inputs", "outputs"):
        if isinstance(old.get(section), Mapping) and isinstance(new.get(section), Mapping):
            merged[section] = {**old[section], **new[section]}
    return merged


def _with_link_mode(data: dict[Any, Any], section: str, name: Any) -> dict[Any, Any]:
    arguments = data["arguments"]
    port = {("link_mode" if key == "mode" else key): value for key, value in arguments[section][name].items()}
    return {**data, "arguments": {**arguments, section: {**arguments[section], name: port}}}
