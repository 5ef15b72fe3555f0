"""`iocmng config reload`: the settings are read again, and what needs no restart takes effect."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from iocmng.host.admin import Admin
from iocmng.runtime.logfiles import LogFormat
from iocmng.runtime.logs import LogBook
from iocmng.settings import NO_EFFECT, InstallSettings, Settings
from iocmng.wire import ChangedSetting, ReloadView

LOG_KEYS = ("level", "format", "max_mb", "keep")
ADMIN_KEYS = ("tokens", "anonymous", "allowed_hosts")
INSTALL_KEYS = tuple(InstallSettings.model_fields)
LIVE = frozenset(
    {
        *(f"log.{key}" for key in LOG_KEYS),
        *(f"admin.{key}" for key in ADMIN_KEYS),
        *(f"install.{key}" for key in INSTALL_KEYS),
        "token",
    }
)
"""Settings that take effect at once."""
RESTART = "takes effect when the host is started again"
IDLE = "this version does nothing with it yet"
_log = logging.getLogger("iocmng.host")


class Reloading:
    """The settings in force, and how they are read again.

    Args:
        settings: Those of the boot.
        reread: Reads them as the boot did; raises BadInput.
        admin: The endpoint, for tokens.
        logs: The logs, for levels.
    """

    def __init__(
        self, settings: Settings, reread: Callable[[], Settings], admin: Admin, logs: LogBook
    ) -> None:
        self._settings = settings
        self._reread = reread
        self._admin = admin
        self._logs = logs
        self._one = asyncio.Lock()

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._settings

    def check(self) -> None:
        """Read the settings, and do nothing with them. Blocks.

        Raises:
            BadInput: A start of the host could not use them.
        """
        self._admin.renewal(self._reread())

    def describe(self) -> Mapping[str, Any]:
        """The settings in force with the origin of each, without secrets."""
        return self._settings.describe()

    async def reload(self) -> ReloadView:
        """Read the settings again; on the loop's thread.

        Raises:
            BadInput: They, or a file they name, cannot be used; nothing changes.
        """
        async with self._one:
            found = await asyncio.to_thread(self._reread)
            renewal = await asyncio.to_thread(self._admin.renewal, found)
            changes = tuple(self._changes(found, renewal.renewed))
            renewal.apply()
            log = found.log
            self._logs.adjust(level=log.level, form=LogFormat(log.format), max_mb=log.max_mb, keep=log.keep)
            self._settings = self._in_force(found)
        for change in changes:
            effect = "at once" if change.applied else change.remark
            _log.info("config reload: %s: %r -> %r, %s", change.key, change.before, change.after, effect)
        return ReloadView(
            file=str(found.file or ""),
            changes=changes,
            restart_required=any(change.remark == RESTART for change in changes),
            findings=found.findings,
        )

    def _changes(self, found: Settings, renewed: tuple[str, ...]) -> Iterator[ChangedSetting]:
        before, after = self._settings.values(), found.values()
        shown_before, shown_after = self._settings.describe(), found.describe()
        secrets = f"new secret of {', '.join(renewed)}" if renewed else ""
        for key in sorted(before.keys() | after.keys()):
            news = secrets if key == "admin.tokens" else ""
            if before.get(key) == after.get(key) and not news:
                continue
            live = key in LIVE
            idle = key.partition(".")[0] in NO_EFFECT
            yield ChangedSetting(
                key=key,
                before=shown_before.get(key, {}).get("value"),
                after=shown_after.get(key, {}).get("value"),
                applied=live,
                remark=news if live else IDLE if idle else RESTART,
            )

    def _in_force(self, found: Settings) -> Settings:
        """The settings so far with the new values of those that take effect at once."""
        present = self._settings
        origins = {key: origin for key, origin in present.origins.items() if key not in LIVE}
        origins |= {key: origin for key, origin in found.origins.items() if key in LIVE}
        return replace(
            present,
            log=present.log.model_copy(update={key: getattr(found.log, key) for key in LOG_KEYS}),
            admin=present.admin.model_copy(update={key: getattr(found.admin, key) for key in ADMIN_KEYS}),
            install=found.install,
            token=found.token,
            file=found.file,
            origins=origins,
        )
