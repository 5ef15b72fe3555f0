"""The devices that a beamline file describes, as iocmng 2.x reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class DeviceDescription:
    """A device of the beamline: what a factory needs to make it.

    Attributes:
        name: Its own name; the key under which it is found carries the IOC's name too when two are equal.
        devgroup: Group, such as `mot` or `io`.
        devtype: Type in the group, such as `tml` or `ai`.
        prefix: First part of its PV names.
        config: Everything the file says about it, defaults of its IOC's template included.
    """

    name: str
    devgroup: str
    devtype: str
    prefix: str
    config: Mapping[str, Any] = field(default_factory=dict, hash=False)


def describe_devices(beamline: Mapping[str, Any]) -> dict[str, DeviceDescription]:
    """All devices of `epicsConfiguration.iocs`, by the name a task asks for; what cannot be read is left out.

    An entry takes what it does not say from `iocDefaults[template]`. Disabled ones and those without a
    `devgroup` are no devices. An IOC without `devices` is one itself.
    """
    templates = _mapping(beamline.get("iocDefaults"))
    found: dict[str, DeviceDescription] = {}
    for own in _entries(_mapping(beamline.get("epicsConfiguration")).get("iocs")):
        ioc = _merged(_mapping(templates.get(str(own.get("template", "")))), own)
        if ioc.get("disable") or not ioc.get("devgroup"):
            continue
        for device in _devices(ioc):
            key = device.name if device.name not in found else f"{ioc['name']}_{device.name}"
            found[key] = device
    return found


def _devices(ioc: Mapping[str, Any]) -> Iterator[DeviceDescription]:
    kind = (str(ioc["devgroup"]), str(ioc.get("devtype") or ""))
    prefix, name = str(ioc.get("iocprefix") or ""), str(ioc["name"])
    if not ioc.get("devices"):
        yield DeviceDescription(name, *kind, prefix, dict(ioc))
        return
    root = f"{prefix}:{ioc['iocroot']}" if "iocroot" in ioc else prefix
    for device in _entries(ioc["devices"]):
        config = {**ioc, "iocname": name, **device}
        yield DeviceDescription(str(device["name"]), *kind, f"{root}:{device['name']}", config)


def _entries(listed: object) -> Iterator[Mapping[str, Any]]:
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, Mapping) and entry.get("name"):
            yield entry


def _mapping(thing: object) -> Mapping[str, Any]:
    return thing if isinstance(thing, Mapping) else {}


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(_mapping(inner), value) if both else value
    return merged
