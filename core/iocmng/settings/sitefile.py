"""Find and read the site file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from iocmng import names
from iocmng.config import Report, read_document, read_model
from iocmng.config.document import Document, plain
from iocmng.config.port_check import check_address
from iocmng.errors import BadInput
from iocmng.settings.environment import expand, read_dotenv
from iocmng.settings.site import SiteFile
from iocmng.wire import Finding, Level

SITE_FILES = (Path("iocmng.yaml"), Path("/etc/iocmng/iocmng.yaml"))
NO_EFFECT = ("ioc_stats", "fleet")
"""Keys that are read and typed, so that a site file survives, and that this version does nothing with."""


def find_site_file(option: object, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """The site file: `--config`, IOCMNG_CONFIG, ./iocmng.yaml, /etc/iocmng/iocmng.yaml, the first there is.

    Raises:
        BadInput: One that was named does not exist.
    """
    for source, named in (("--config", option), ("IOCMNG_CONFIG", environ.get("IOCMNG_CONFIG"))):
        if named:
            file = (cwd / str(named)).absolute()
            if not file.is_file():
                raise BadInput(
                    f"{source} names {file}, which is no file", hint="iocmng config sample prints one"
                )
            return file
    return next((cwd / file for file in SITE_FILES if (cwd / file).is_file()), None)


def with_dotenv(file: Path | None, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The environment, with the `.env` beside the site file beneath it.

    Raises:
        BadInput: The `.env` has a line that is no NAME=value.
    """
    dotenv = file.parent / ".env" if file else None
    if dotenv is None or not dotenv.is_file():
        return MappingProxyType(dict(environ))
    try:
        text = dotenv.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{dotenv} cannot be read: {error}") from None
    return MappingProxyType({**read_dotenv(text, str(dotenv)), **environ})


def read_site_file(
    file: Path | None, environ: Mapping[str, str]
) -> tuple[SiteFile, Document, tuple[Finding, ...]]:
    """Read the site file; without one everything is default. The findings are warnings.

    Raises:
        BadInput: It has errors; names each with file:line:column.
    """
    if file is None:
        return SiteFile(), Document(), ()
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file}: site file cannot be read: {error}") from None
    document = read_document(text, str(file), expand=lambda part: expand(part, environ))
    report = Report(document)
    site: SiteFile | None = None
    if isinstance(document.value or {}, Mapping):
        site = read_model(SiteFile, _plain_parameters(document.value or {}), report)
    else:
        report.error("wrong-type", "a site file is a mapping of keys", hint="iocmng config sample prints one")
    if site is not None:
        _check(site, report)
    errors = [finding for finding in report.findings if finding.level is Level.ERROR]
    if errors or site is None:
        raise BadInput("\n".join(str(finding) for finding in errors), code="site-file")
    return site, document, tuple(report.findings)


def _plain_parameters(value: Mapping[object, object]) -> dict[object, object]:
    """Instances' parameters and `fleet` are free mappings: yes and no in them are truth values."""
    data = dict(value)
    if isinstance(instances := data.get("instances"), list):
        data["instances"] = [
            {**entry, "parameters": plain(entry["parameters"])}
            if isinstance(entry, Mapping) and "parameters" in entry
            else entry
            for entry in instances
        ]
    if "fleet" in data:
        data["fleet"] = plain(data["fleet"])
    return data


def _check(site: SiteFile, report: Report) -> None:
    if site.prefix is not None and (problem := names.prefix_problem(site.prefix)):
        report.error("prefix", problem, "prefix")
    for key in NO_EFFECT:
        if key in site.model_fields_set:
            report.warning("no-effect-yet", f"{key}: this version does nothing with it yet", key, key=True)
    seen: dict[str, int] = {}
    for index, entry in enumerate(site.instances):
        name = entry.instance
        if problem := names.plugin_name_problem(name):
            report.error("name", problem, "instances", index, "plugin" if entry.name is None else "name")
        if entry.prefix is not None and (problem := names.instance_prefix_problem(entry.prefix)):
            report.error("prefix", f"instance {name!r}: {problem}", "instances", index, "prefix")
        if (link := entry.supervision.heartbeat_link) is not None:
            check_address(link, report, "instances", index, "supervision", "heartbeat_link")
        if name in seen:
            message = f"two instances are named {name!r}, entries {seen[name] + 1} and {index + 1}"
            report.error(
                "duplicate-instance", message, "instances", index, hint="give one of them another name"
            )
        seen.setdefault(name, index)
    tokens: set[str] = set()
    for index, token in enumerate(site.admin.tokens):
        if token.name in tokens:
            report.error(
                "duplicate-token", f"two tokens are named {token.name!r}", "admin", "tokens", index, "name"
            )
        tokens.add(token.name)
