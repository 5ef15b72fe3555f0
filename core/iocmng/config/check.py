"""Checks that look at more than one key of a config."""

from __future__ import annotations

from iocmng import names
from iocmng.config.logic_check import check_logic_keys
from iocmng.config.models import RESERVED_PARAMETERS, PluginConfig
from iocmng.config.port_check import check_address, check_port
from iocmng.config.report import Report
from iocmng.config.text import text_problem

_WORDS = (
    "abs round sqrt log exp pow floor ceil clamp mean std variance median rms min max any_of all_of "
    "count_true length sum_of diff last moving_avg derivative latest at_least rate isfinite"
)
FUNCTIONS = frozenset(_WORDS.split())
"""Functions that expressions know: a port of such a name could not be told from them."""


def check(config: PluginConfig, report: Report, *, lenient: bool) -> None:
    """Report everything about `config` that one key alone does not tell.

    Args:
        config: The model, perhaps without parts that were refused.
        report: Gets the findings.
        lenient: The rules of a plugin directory.
    """
    _check_texts(config, report)
    if config.supervision.heartbeat_link is not None:
        check_address(config.supervision.heartbeat_link, report, "supervision", "heartbeat_link")
    _check_names(config, report, lenient=lenient)
    for section, ports in (("inputs", config.arguments.inputs), ("outputs", config.arguments.outputs)):
        for name, port in ports.items():
            if not report.is_broken("arguments", section, name):
                check_port(("arguments", section, name), port, report, lenient=lenient)
    check_logic_keys(config, report, lenient=lenient)


def _check_texts(config: PluginConfig, report: Report) -> None:
    if config.prefix is not None and (problem := names.instance_prefix_problem(config.prefix)):
        report.error("prefix", problem, "prefix")
    if problem_found := text_problem(config.description, lines=True):
        report.error(problem_found[0], f"description: {problem_found[1]}", "description")
    if isinstance(config.parameters.version, str) and (
        found := text_problem(config.parameters.version, longest=39)
    ):
        report.error(found[0], f"parameters.version: {found[1]}", "parameters", "version")
    extra = config.parameters.model_extra or {}
    if extra.get("triggered") is True:
        report.warning(
            "gone",
            "parameters.triggered has no meaning any more",
            "parameters",
            "triggered",
            hint="write mode: triggered",
        )


def _check_names(config: PluginConfig, report: Report, *, lenient: bool) -> None:
    seen: dict[str, str] = {}
    parameters = set(config.parameters.given) | RESERVED_PARAMETERS
    for section, ports in (("inputs", config.arguments.inputs), ("outputs", config.arguments.outputs)):
        for name in ports:
            path = ("arguments", section, name)
            if problem := names.port_name_problem(name):
                if lenient and names.is_refused_port(name):
                    report.warning(
                        "refused-name",
                        f"{problem}, which is served in its place",
                        *path,
                        hint="choose another name",
                        key=True,
                    )
                else:
                    report.error("refused-name", problem, *path, hint="choose another name", key=True)
                continue
            if name in seen:
                report.error(
                    "duplicate-port",
                    f"{name!r} is an input and an output: both would be one PV",
                    *path,
                    hint="choose another name for one of them",
                    key=True,
                )
                continue
            seen[name] = section
            if name in parameters:
                report.warning(
                    "name-clash",
                    f"port {name!r} is also a parameter",
                    *path,
                    hint="rename one: an expression could not tell them apart",
                    key=True,
                )
            if name in FUNCTIONS:
                report.warning(
                    "name-clash",
                    f"port {name!r} is also a function of expressions",
                    *path,
                    hint="rename it",
                    key=True,
                )
