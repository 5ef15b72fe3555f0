"""A package index that lets only one caller in, and a look at everything an installation lets be seen."""

from __future__ import annotations

import base64
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.installer_place import Place, changed
from support.wheels import simple_index

from iocmng.plugins.installing import child

SECRET = "s3cretw0rd"


class _Closed(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        word = base64.b64encode(f"me:{SECRET}".encode()).decode()
        if self.headers.get("Authorization") == f"Basic {word}":
            super().do_GET()
        else:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def closed_index(folder: Path, *wheels: Path) -> Iterator[str]:
    """Serve wheels to who says the secret; gives the address with it."""
    home = simple_index(folder, wheels)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Closed, directory=str(home)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://me:{SECRET}@127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def through_closed_index(
    place: Place, address: str, monkeypatch: pytest.MonkeyPatch, *, stage: bool = True
) -> str:
    """Install acme-beam from there; returns all arguments, lines, files and results that somebody might see."""
    arguments: list[str] = []

    class Noting(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, argv: Any, **options: Any) -> None:
            arguments.extend(map(str, argv))
            super().__init__(argv, **options)

    with monkeypatch.context() as patched:
        patched.setattr(child.subprocess, "Popen", Noting)
        resolution = place.resolve("acme-beam", index=address)
        if stage:
            place.stage(resolution)
        place.installer().write_lock(resolution.lock)
    assert changed(resolution) == [("acme-beam", "", "1.0")]
    assert len(arguments) > 10
    files = (path.read_text(errors="replace") for path in place.state.rglob("*") if path.is_file())
    return "".join([*arguments, *place.said, *files, repr(resolution)])
