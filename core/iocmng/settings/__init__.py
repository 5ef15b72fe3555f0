"""The settings of a host: site file, environment, command line."""

from iocmng.settings.directories import PluginDirectory, read_plugins_file
from iocmng.settings.instances import InstanceSettings
from iocmng.settings.load import load_settings
from iocmng.settings.sample import sample
from iocmng.settings.schema import schema
from iocmng.settings.settings import Settings
from iocmng.settings.site import AdminSettings, InstallSettings, LogSettings, SiteFile, TokenSettings
from iocmng.settings.sitefile import NO_EFFECT

__all__ = [
    "NO_EFFECT",
    "AdminSettings",
    "InstallSettings",
    "InstanceSettings",
    "LogSettings",
    "PluginDirectory",
    "Settings",
    "SiteFile",
    "TokenSettings",
    "load_settings",
    "read_plugins_file",
    "sample",
    "schema",
]
