"""Devices for tasks and jobs: ophyd objects from the beamline file, by PV prefix, or found in ChannelFinder."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cache, cached_property
from importlib import import_module
from typing import Any, Protocol

from iocmng.base.beamline import DeviceDescription, describe_devices
from iocmng.base.channelfinder import DEFAULT_TIMEOUT, Channel, ChannelFinderClient, ChannelFinderError
from iocmng.base.context import Context
from iocmng.errors import IocmngError
from iocmng.names import did_you_mean

_OF_THE_EXTRA = ("infn_ophyd_hal", "ophyd")


class DevicesUnavailable(IocmngError, ImportError):
    """The packages that make devices cannot be imported."""

    code = "no-ophyd"


class DeviceFactory(Protocol):
    """What makes devices: `infn_ophyd_hal.device_factory.DeviceFactory`."""

    def create_device(
        self, devgroup: str, devtype: str, prefix: str, name: str, config: dict[str, Any] | None = None
    ) -> Any:
        """A device, or None when there is no class for that group and type, or it could not be made."""


@cache
def device_factory() -> DeviceFactory:
    """The one factory of this process; its first use imports ophyd.

    Raises:
        DevicesUnavailable: The extra is not installed, or does not import.
    """
    try:
        factory: DeviceFactory = import_module("infn_ophyd_hal.device_factory").DeviceFactory()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in _OF_THE_EXTRA:
            raise DevicesUnavailable(
                f"devices need ophyd and infn_ophyd_hal, and {error.name} is not installed",
                hint="pip install 'iocmng[ophyd]' in the environment of the host",
            ) from error
        raise DevicesUnavailable(
            f"infn_ophyd_hal needs {error.name}, which is not installed",
            hint=f"pip install {error.name} in the environment of the host",
        ) from error
    return factory


class _Shared:
    """Devices of the beamline, one object of each for all tasks of the process."""

    def __init__(self) -> None:
        self._made: dict[DeviceDescription, Any] = {}
        self._making: dict[DeviceDescription, threading.Lock] = {}

    def get(self, wanted: DeviceDescription) -> Any:
        """Make the device on first use; None when the factory cannot."""
        # A lock for each: one whose PVs do not answer takes seconds, and others are not to wait for it.
        with self._making.setdefault(wanted, threading.Lock()):
            device = self._made.get(wanted)
            if device is None:
                device = device_factory().create_device(
                    devgroup=wanted.devgroup,
                    devtype=wanted.devtype,
                    prefix=wanted.prefix,
                    name=wanted.name,
                    config=dict(wanted.config),
                )
            if device is not None:
                self._made[wanted] = device
            return device

    def names(self) -> tuple[str, ...]:
        """Those that are made."""
        return tuple(device.name for device in list(self._made))


_shared = _Shared()


def created_devices() -> tuple[str, ...]:
    """Names of the devices of the beamline that tasks and jobs of this process have got."""
    return _shared.names()


class DeviceAccess:
    """The methods of tasks and jobs that deal with devices. All block; async code calls them in a thread."""

    @property
    def _bound(self) -> Context:
        raise NotImplementedError

    @cached_property
    def ophyd_devices(self) -> dict[str, Any]:
        """The devices that this object has got or created, by name."""
        return {}

    @cached_property
    def _missed(self) -> set[str]:
        return set()

    @cached_property
    def _described(self) -> Mapping[str, DeviceDescription]:
        return describe_devices(self._bound.spec.beamline)

    def get_device(self, device_name: str) -> Any:
        """A device of the beamline file, made on first use and shared by all tasks of the host.

        Returns:
            The device; None when the beamline has none of that name, when it cannot be made (the log says
            why), or when devices are switched off (`IOCMNG_DISABLE_OPHYD`, true unless set).

        Raises:
            DevicesUnavailable: The extra `ophyd` is not installed.
        """
        if device_name in self.ophyd_devices:
            return self.ophyd_devices[device_name]
        if not self._bound.spec.devices:
            return self._miss(device_name, "devices are switched off, IOCMNG_DISABLE_OPHYD=false allows them")
        wanted = self._described.get(device_name)
        if wanted is None:
            return self._miss(
                device_name, did_you_mean(device_name, self._described) or "the beamline has none"
            )
        try:
            device = _shared.get(wanted)
        except DevicesUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - foreign code; tasks of iocmng 2.x expect None here
            return self._miss(device_name, f"{type(error).__name__}: {error}")
        if device is None:
            return self._miss(device_name, _unmade(wanted.devgroup, wanted.devtype))
        self.ophyd_devices[device_name] = device
        return device

    def _miss(self, name: str, reason: str) -> None:
        """Say once why there is no such device."""
        if name not in self._missed:
            self._missed.add(name)
            self._bound.logger.warning("no device %s: %s", name, reason)

    def create_device(
        self, prefix: str, devgroup: str, devtype: str, name: str | None = None, cache: bool = True
    ) -> Any:
        """Make a device.

        Args:
            prefix: First part of its PV names.
            devgroup: Group: `mot`, `io`, `mag`, `diag`, `vac`, …
            devtype: Type in the group: `asyn`, `tml`, `ai`, …
            name: Its name; by default the last part of the prefix.
            cache: Keep it under its name, and return the one that is kept when it is asked for again.

        Returns:
            The device; None when the factory has no class for it or cannot make it.

        Raises:
            DevicesUnavailable: The extra `ophyd` is not installed.
        """
        called = name or prefix.rpartition(":")[2]
        if cache and called in self.ophyd_devices:
            return self.ophyd_devices[called]
        device = device_factory().create_device(
            devgroup=devgroup, devtype=devtype, prefix=prefix, name=called
        )
        if device is None:
            self._miss(called, f"{_unmade(devgroup, devtype)} at {prefix}")
        elif cache:
            self.ophyd_devices[called] = device
        return device

    def list_devices(self) -> list[str]:
        """Names of the devices that this object has got or created."""
        return list(self.ophyd_devices)

    @cached_property
    def channelfinder(self) -> ChannelFinderClient | None:
        """The client of the service at the parameter `channelfinder_url`; None without that parameter."""
        url = self._parameter("channelfinder_url")
        if not url:
            return None
        timeout = self._parameter("channelfinder_timeout")
        return ChannelFinderClient(str(url), DEFAULT_TIMEOUT if timeout is None else float(timeout))

    def cf_search(self, **filters: Any) -> list[Channel]:
        """Find channels; see `ChannelFinderClient.search`.

        Returns:
            The channels; none when the service cannot be asked (the log says why; `channelfinder.search`
            raises instead), or without `channelfinder_url`.
        """
        return self._asked("search", filters)

    def cf_discover_devices(self, **filters: Any) -> list[dict[str, Any]]:
        """Find devices by their channels; see `ChannelFinderClient.discover_devices`, and `cf_search` for failures."""
        return self._asked("discover_devices", filters)

    def cf_create_device(self, device_descriptor: Mapping[str, Any], cache: bool = True) -> Any:
        """Make a device that `cf_discover_devices` has found; see `create_device`.

        Returns:
            The device; None when the service knows too little about it.
        """
        needed = ("name", "devgroup", "devtype", "prefix")
        missing = [key for key in needed if not device_descriptor.get(key)]
        if missing:
            self._miss(str(device_descriptor.get("name")), f"ChannelFinder has no {', '.join(missing)} of it")
            return None
        return self.create_device(**{key: str(device_descriptor[key]) for key in needed}, cache=cache)

    def _asked(self, question: str, filters: Mapping[str, Any]) -> list[dict[str, Any]]:
        try:
            client = self.channelfinder
            return getattr(client, question)(**filters) if client is not None else []
        except ChannelFinderError as error:
            # As in iocmng 2.x: a directory that does not answer is not the end of the task.
            self._bound.logger.error("%s", error)
            return []

    def _parameter(self, name: str) -> Any:
        """A reserved parameter, also where the plugin's own model does not declare it."""
        own = self._bound.parameters
        value = own.get(name) if hasattr(own, "get") else getattr(own, name, None)
        given = self._bound.spec.parameters.get(name)
        return given.value if value is None and given is not None else value


def _unmade(devgroup: str, devtype: str) -> str:
    return f"the factory made none for devgroup {devgroup!r}, devtype {devtype!r}"
