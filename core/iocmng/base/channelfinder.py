"""A client of ChannelFinder, the directory of a site's PVs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from iocmng.errors import IocmngError

if TYPE_CHECKING:
    import httpx

Channel = dict[str, Any]
DEFAULT_TIMEOUT = 10.0
_SHOWN = 80


class ChannelFinderError(IocmngError, ConnectionError):
    """ChannelFinder did not answer, refused, or answered something else than channels."""

    code = "channelfinder"
    http_status = 502


class ChannelFinderTimeout(ChannelFinderError, TimeoutError):
    """ChannelFinder did not answer in time."""

    code = "channelfinder-timeout"
    http_status = 504


class ChannelFinderClient:
    """Reads one ChannelFinder service. Any thread; every call blocks, at most for its timeout.

    Args:
        url: Base address, such as `http://cf.example.org:8080/ChannelFinder`.
        timeout: Seconds for one query, from the connection to the end of the answer.

    Raises:
        ChannelFinderError: `url` is no http or https address.
    """

    def __init__(self, url: str, timeout: float = DEFAULT_TIMEOUT) -> None:
        # It takes a tenth of a second to import, and few plugins ask.
        import httpx

        self.base_url = url.rstrip("/")
        self.timeout = float(timeout)
        self._shown = _without_password(self.base_url)
        if not self.base_url.startswith(("http://", "https://")):
            raise ChannelFinderError(
                f"channelfinder_url {url!r} is no http or https address",
                hint="write it as http://HOST:PORT/ChannelFinder",
            )
        self._http = httpx.Client(timeout=self.timeout, follow_redirects=True)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def is_available(self) -> bool:
        """Whether something answers at the address."""
        try:
            self._answer(self.base_url, {})
        except ChannelFinderTimeout:
            return False
        except ChannelFinderError as error:
            return error.error_code == "channelfinder-refused"
        return True

    def search(
        self,
        *,
        name: str | None = None,
        iocName: str | None = None,
        devgroup: str | None = None,
        devtype: str | None = None,
        zone: str | None = None,
        tag: str | None = None,
        size: int = 10000,
        **extra_filters: object,
    ) -> list[Channel]:
        """Find channels; every filter may hold `*` and `?`.

        Args:
            name: Pattern of the channel's name.
            iocName: Property of that name.
            devgroup: Property of that name.
            devtype: Property of that name.
            zone: Property of that name.
            tag: Tag that the channel has.
            size: At most so many channels.
            **extra_filters: Further properties by name.

        Returns:
            Channels as the service describes them: `name`, `owner`, `properties` (name, value), `tags`.

        Raises:
            ChannelFinderTimeout: No answer in time.
            ChannelFinderError: Nobody answers, it refuses, or it answers no list of channels.
        """
        properties = {
            "iocName": iocName,
            "devgroup": devgroup,
            "devtype": devtype,
            "zone": zone,
            **extra_filters,
        }
        query = {
            "~size": str(size),
            **({"~name": name} if name else {}),
            **({"~tag": tag} if tag else {}),
            **{key: str(value) for key, value in properties.items() if value not in (None, "")},
        }
        channels = self._resource("channels", query)
        if not isinstance(channels, list) or not all(_is_channel(one) for one in channels):
            raise self._unexpected("a list of channels", channels)
        return channels

    def get_channel(self, channel_name: str) -> Channel:
        """One channel by its full name.

        Raises:
            ChannelFinderError: As `search`; also when there is no such channel.
        """
        channel = self._resource(f"channels/{quote(channel_name, safe=':')}", {})
        if not _is_channel(channel):
            raise self._unexpected("a channel", channel)
        found: Channel = channel
        return found

    def discover_devices(
        self,
        *,
        name: str | None = None,
        iocName: str | None = None,
        devgroup: str | None = None,
        devtype: str | None = None,
        zone: str | None = None,
    ) -> list[dict[str, Any]]:
        """Find channels as `search` does, and gather them to devices; see `devices_of`."""
        return devices_of(
            self.search(name=name, iocName=iocName, devgroup=devgroup, devtype=devtype, zone=zone)
        )

    def _resource(self, path: str, query: Mapping[str, str]) -> Any:
        text = self._answer(f"{self.base_url}/resources/{path}", query)
        try:
            return json.loads(text)
        except ValueError as error:
            start = text[:_SHOWN].decode("utf-8", "replace")
            raise ChannelFinderError(
                f"ChannelFinder at {self._shown} answered no JSON ({error}): {start!r}",
                hint="is channelfinder_url the address of ChannelFinder itself, with its path?",
            ) from error

    def _answer(self, url: str, query: Mapping[str, str]) -> bytes:
        import httpx

        end = time.monotonic() + self.timeout
        parts: list[bytes] = []
        try:
            with self._http.stream("GET", url, params=query) as response:
                for part in response.iter_bytes():
                    parts.append(part)
                    # httpx bounds each wait, not all of them: a server that trickles would hold the task.
                    if time.monotonic() > end:
                        raise self._late()
        except httpx.TimeoutException as error:
            raise self._late() from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ChannelFinderError(
                f"ChannelFinder at {self._shown} cannot be asked: {error or type(error).__name__}",
                hint="is it running, and is channelfinder_url right?",
            ) from error
        if response.status_code >= httpx.codes.BAD_REQUEST:
            raise self._refused(response, b"".join(parts))
        return b"".join(parts)

    def _late(self) -> ChannelFinderTimeout:
        return ChannelFinderTimeout(
            f"ChannelFinder at {self._shown} did not answer within {self.timeout:g} s",
            hint="raise channelfinder_timeout, or ask for less",
        )

    def _refused(self, response: httpx.Response, said: bytes) -> ChannelFinderError:
        words = said[:_SHOWN].decode("utf-8", "replace").strip()
        return ChannelFinderError(
            f"ChannelFinder at {self._shown} answered {response.status_code} {response.reason_phrase}"
            f" to {response.url.path}{f': {words}' if words else ''}",
            hint="does channelfinder_url end where /resources begins?",
            code="channelfinder-refused",
        )

    def _unexpected(self, wanted: str, got: object) -> ChannelFinderError:
        text = json.dumps(got)
        return ChannelFinderError(
            f"ChannelFinder at {self._shown} answered {text[:_SHOWN]}{'…' if len(text) > _SHOWN else ''}"
            f" where {wanted} was expected",
            hint="is channelfinder_url the address of ChannelFinder itself, with its path?",
        )


def devices_of(channels: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Gather channels by the device they belong to, in the order in which devices first appear.

    A device is named by the last but one part of its channels' names. Its prefix is the property `device`,
    else what stands before the last part. Channels of equal device name and different prefix are different
    devices.

    Returns:
        For each device `name`, `devgroup`, `devtype`, `prefix`, `iocname`, `template`, `properties` (those of
        its first channel, name → value) and `pvs` (names of its channels).
    """
    devices: dict[tuple[str, str], dict[str, Any]] = {}
    for channel in channels:
        pv = str(channel["name"])
        properties = properties_of(channel)
        before, _, _ = pv.rpartition(":")
        stem = before.rpartition(":")[2] or pv
        prefix = properties.get("device") or before or pv
        device = devices.setdefault(
            (stem, prefix),
            {
                "name": stem,
                "devgroup": properties.get("devgroup", ""),
                "devtype": properties.get("devtype", ""),
                "prefix": prefix,
                "iocname": properties.get("iocName", ""),
                "template": properties.get("template", ""),
                "properties": properties,
                "pvs": [],
            },
        )
        device["pvs"].append(pv)
    return list(devices.values())


def properties_of(channel: Mapping[str, Any]) -> dict[str, str]:
    """The properties of a channel as name → value; one without a value is ""."""
    found = channel.get("properties") or ()
    return {
        str(one["name"]): str(one.get("value") or "")
        for one in found
        if isinstance(one, Mapping) and "name" in one
    }


def _is_channel(thing: object) -> bool:
    return isinstance(thing, dict) and isinstance(thing.get("name"), str)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return url if "@" not in parts.netloc else parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
