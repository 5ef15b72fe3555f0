"""What one forked child of the probe does with one question; whatever the plugin does ends with this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from iocmng.base import DeclarativeTask
from iocmng.config import LoadedConfig, PluginConfig, load_config
from iocmng.ioc.check import check_records
from iocmng.plugins.candidate import has_error
from iocmng.plugins.classcheck import check_class, check_mode, kind_of
from iocmng.plugins.load import LoadFailed, load_class, load_object, prepare
from iocmng.plugins.verdict import Question, Verdict
from iocmng.runtime.parameters import RESERVED, model_of
from iocmng.spec import InstanceSpec, Kind, Mode
from iocmng.spec.build import describe
from iocmng.wire import Finding, Level, Where

Say = Callable[[str], None]
"""Tells the server which phase begins, so that it can say what a child that vanished was doing."""


def judge(question: Question, say: Say) -> Verdict:
    """Import a plugin, look at its class, and load its records into a database that is never served."""
    prepare(question.roots, question.plugin.target)
    say("import")
    try:
        if question.hooks:
            load_object(question.plugin)
            return Verdict()
        cls = load_class(question.plugin)
    except LoadFailed as failure:
        return Verdict(findings=(failure.finding,))
    say("class")
    findings = list(check_class(cls))
    kind = kind_of(cls)
    loaded = load_config(Path(question.plugin.config), lenient=question.lenient)
    if kind is None or loaded.config is None:
        return Verdict(findings=tuple(findings), kind=kind, class_name=cls.__name__)
    sets = {key: tuple(_check_set(cls, loaded, given)) for key, given in question.parameters.items()}
    say("records")
    if not has_error(findings):
        findings.extend(_check_records(question, kind, loaded))
    return Verdict(
        findings=tuple(findings),
        kind=kind,
        class_name="" if cls is DeclarativeTask else cls.__name__,
        schema=_schema(cls),
        parameters=sets,
    )
