"""The strict, frozen models of the site file iocmng.yaml."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from iocmng.config.fields import Count, Flag, OrEmptyList, OrEmptyMapping, Positive, Seconds, Strict, Text
from iocmng.settings.instances import InstanceSettings
from iocmng.wire import Role

Texts = Annotated[tuple[Text, ...], Field(strict=False), OrEmptyList]
LevelWord = Literal[
    "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "debug", "info", "warning", "error", "critical"
]


class TokenSettings(Strict):
    """A token whose secret stands in a file of its own."""

    name: Text = Field(description="Who uses it; shown in the audit.")
    role: Literal["viewer", "operator", "admin"] = Field(description="What it allows.")
    token_file: Text = Field(description="File that holds the token and nothing else, mode 0600.")

    @property
    def level(self) -> Role:
        """The role as the endpoint knows it."""
        return Role(self.role)


class TlsSettings(Strict):
    """Certificate and key of the admin endpoint."""

    certificate: Text = Field(description="PEM file with the certificate chain.")
    key: Text = Field(description="PEM file with the private key.")


class AdminSettings(Strict):
    """The admin endpoint."""

    host: Text = Field(
        default="127.0.0.1", description="Address to bind; another than loopback needs a token."
    )
    port: int = Field(default=8080, ge=0, le=65535, description="Port; 0 for any free one.")
    anonymous: Literal["none", "viewer", "operator", "admin"] | None = Field(
        default=None,
        description="Role of callers without token; default: viewer from loopback, none from elsewhere.",
    )
    allowed_hosts: Texts = Field(default=(), description="Host names, besides loopback and the bind address.")
    tokens: Annotated[tuple[TokenSettings, ...], Field(strict=False), OrEmptyList] = Field(
        default=(), description="Tokens for other machines and people."
    )
    tls: TlsSettings | None = Field(default=None, description="Serve https.")

    @property
    def anonymous_role(self) -> Role | None:
        """The role of callers without token, None for the default by address."""
        return None if self.anonymous is None else Role(self.anonymous)


class ArraySpares(Strict):
    """Spare waveforms by element type."""

    float64: Count = 16
    int32: Count = 4
    uint8: Count = 4
    string: Count = 4
    float32: Count = 0
    int8: Count = 0
    int16: Count = 0
    uint16: Count = 0
    uint32: Count = 0
    int64: Count = 0
    uint64: Count = 0


class SpareSettings(Strict):
    """Hidden records for plugins that arrive while the host runs."""

    instances: Count = Field(default=16, description="Default PVs of that many new instances.")
    ai: Count = 128
    ao: Count = 32
    longin: Count = 64
    longout: Count = 16
    int64in: Count = 16
    int64out: Count = 8
    bi: Count = 64
    bo: Count = 32
    mbbi: Count = 32
    mbbo: Count = 16
    stringin: Count = 32
    stringout: Count = 16
    lsi: Count = 16
    lso: Count = 8
    arrays: Annotated[ArraySpares, OrEmptyMapping] = Field(
        default=ArraySpares(), description="By element type."
    )
    array_length: int = Field(default=4096, ge=1, description="Elements of a spare array.")


class AutosaveSettings(Strict):
    """Values of writable inputs over a restart of the host."""

    dir: Text | None = Field(default=None, description="Default: `autosave` in the state directory.")
    period: Positive = Field(default=10.0, description="Seconds between looks for changed values.")
    keep: Count = Field(default=5, description="Backups of each file.")


class InstallSettings(Strict):
    """Installing plugins while the host runs."""

    enabled: Flag = Field(default=True, description="Whether plugins may come and go while the host runs.")
    backend: Literal["uv", "pip"] = Field(default="uv", description="Program that resolves and installs.")
    index: Text | None = Field(
        default=None, description="Address of the package index; default: what the backend is configured for."
    )
    allow: Texts = Field(default=(), description="Name patterns of what may be installed; none for all.")
    wheels_only: Flag = Field(
        default=True, description="Take only wheels from an index: building a package runs its code."
    )
    confirm_for: Seconds = Field(
        default=10.0, description="Seconds that a new version must run; else the one before comes back."
    )


class ScriptSettings(Strict):
    """Script jobs."""

    roots: Texts = Field(default=(), description="Folders under which absolute script paths must lie.")


class RunSettings(Strict):
    """Run records of jobs."""

    keep: int = Field(default=50, ge=1, description="Records kept per job.")


class LogSettings(Strict):
    """Logs of the host and of each instance."""

    level: LevelWord = Field(default="INFO", description="Least level that is logged.")
    format: Literal["text", "json"] = Field(default="text", description="Form of the lines.")
    dir: Text | None = Field(default=None, description="Default: `log` in the state directory.")
    max_mb: Positive = Field(default=50.0, description="Size of one log file before the next is begun, MiB.")
    keep: Count = Field(default=5, description="Older files kept.")


class SiteFile(Strict):
    """A whole iocmng.yaml."""

    prefix: Text | None = Field(default=None, description="First part of all PV names.")
    name: Text | None = Field(
        default=None, description="Name of the host in listings; default: the machine's."
    )
    admin: Annotated[AdminSettings, OrEmptyMapping] = Field(default=AdminSettings(), description="HTTP.")
    state_dir: Text | None = Field(default=None, description="Where the host keeps its state.")
    pva: Flag = Field(default=True, description="Provider of links without a scheme: true PVA, false CA.")
    instances: Annotated[tuple[InstanceSettings, ...], Field(strict=False), OrEmptyList] = Field(
        default=(), description="Instances; one of a plugin's own name overrides its default one."
    )
    only_listed: Flag = Field(default=False, description="Plugins that are not listed get no instance.")
    exclude: Texts = Field(default=(), description="Plugins without instance and records.")
    scripts: Annotated[ScriptSettings, OrEmptyMapping] = Field(default=ScriptSettings())
    spares: Annotated[SpareSettings, OrEmptyMapping] = Field(default=SpareSettings())
    autosave: Annotated[AutosaveSettings, OrEmptyMapping] = Field(default=AutosaveSettings())
    install: Annotated[InstallSettings, OrEmptyMapping] = Field(default=InstallSettings())
    runs: Annotated[RunSettings, OrEmptyMapping] = Field(default=RunSettings())
    log: Annotated[LogSettings, OrEmptyMapping] = Field(default=LogSettings())
    access_security: Text | None = Field(default=None, description="EPICS access security file of the site.")
    ioc_stats: Flag = Field(default=False, description="iocStats records under the prefix.")
    fleet: dict[str, Any] | None = Field(default=None, description="Events to other hosts.")
