"""A ChannelFinder service in a process of its own: `python channelfinder_server.py`; prints its port.

It filters as the real one does (name and property patterns). First parts of a path choose how it misbehaves:
/slow never answers, /trickle never ends, /text and /number answer no channels, /broken breaks off, /moved redirects.
"""

from __future__ import annotations

import json
import sys
import time
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Properties = dict[str, str]


def channel(name: str, *tags: str, **properties: str) -> dict[str, Any]:
    return {
        "name": name,
        "owner": "feeder",
        "properties": [{"name": key, "owner": "feeder", "value": value} for key, value in properties.items()],
        "tags": [{"name": tag, "owner": "feeder"} for tag in tags],
    }


MOTOR: Properties = {"devgroup": "mot", "devtype": "sim", "iocName": "tml-ch1", "zone": "gun"}
CHANNELS = [
    channel("SPARC:MOT:TML:GUNFLG01:RBV", "archived", device="SPARC:MOT:TML:GUNFLG01", **MOTOR),
    channel("SPARC:MOT:TML:GUNFLG01:VAL", device="SPARC:MOT:TML:GUNFLG01", **MOTOR),
    channel("SPARC:MOT:TML:AC1FLG01:RBV", **{**MOTOR, "template": "tml"}),
    channel("LEL:MOT:TML:GUNFLG01:RBV", **{**MOTOR, "iocName": "tml-ch2"}),
    channel("SPARC:VAC:GUNSIP01:P", devgroup="vac", devtype="ipcmini"),
    channel("LONELY"),
]


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        root, _, rest = parts.path.lstrip("/").partition("/")
        if root == "slow":
            time.sleep(30)
        elif root == "trickle":
            self._trickle()
        elif root == "broken":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[{")
            self.close_connection = True
        elif root == "moved":
            self._answer(301, b"", ("Location", f"/ChannelFinder/{rest}?{parts.query}"))
        elif root == "text":
            self._answer(200, b"<html>Welcome to the portal</html>")
        elif root == "number":
            self._answer(200, b'{"channels": 7}')
        elif root == "ChannelFinder" and rest.startswith("resources/channels"):
            self._channels(unquote(rest.removeprefix("resources/channels")).lstrip("/"), parts.query)
        else:
            self._answer(404, b"no such resource")

    def _channels(self, name: str, query: str) -> None:
        if name:
            found = [one for one in CHANNELS if one["name"] == name]
            self._answer(200 if found else 404, json.dumps(found[0] if found else "unknown").encode())
            return
        wanted = dict(parse_qsl(query))
        size = int(wanted.pop("~size", "10000"))
        found = [one for one in CHANNELS if self._fits(one, wanted)]
        self._answer(200, json.dumps(found[:size]).encode())

    @staticmethod
    def _fits(one: dict[str, Any], wanted: dict[str, str]) -> bool:
        properties = {item["name"]: item["value"] for item in one["properties"]}
        tags = [item["name"] for item in one["tags"]]
        for key, pattern in wanted.items():
            values = [one["name"]] if key == "~name" else tags if key == "~tag" else [properties.get(key, "")]
            if not any(fnmatchcase(value, pattern) for value in values):
                return False
        return True

    def _trickle(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(300):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.1)

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Quiet."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up is what the tests are about."""


def main() -> None:
    server = Server(("127.0.0.1", 0), Service)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
