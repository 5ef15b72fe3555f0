"""Strict models of config.yaml, and how a file becomes one."""

from iocmng.config.document import Document, dotted, read_document
from iocmng.config.explain import known_keys, read_model
from iocmng.config.load import LoadedConfig, load_config, parse_config
from iocmng.config.models import (
    RESERVED_PARAMETERS,
    Arguments,
    JobKeys,
    Parameters,
    PluginConfig,
    SupervisionKeys,
)
from iocmng.config.ports import Alarm, InputPort, OutputPort, Port
from iocmng.config.report import Report
from iocmng.config.schema import schema

__all__ = [
    "RESERVED_PARAMETERS",
    "Alarm",
    "Arguments",
    "Document",
    "InputPort",
    "JobKeys",
    "LoadedConfig",
    "OutputPort",
    "Parameters",
    "PluginConfig",
    "Port",
    "Report",
    "SupervisionKeys",
    "dotted",
    "known_keys",
    "load_config",
    "parse_config",
    "read_document",
    "read_model",
    "schema",
]
