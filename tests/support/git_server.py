"""A git server on 127.0.0.1 over https, with and without a password, as the web sites of laboratories are."""

from __future__ import annotations

import base64
import os
import ssl
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

DEADLINE = 60.0


def git(*arguments: str | Path, cwd: Path) -> str:
    """Run git as somebody without settings of their own."""
    done = subprocess.run(
        ["git", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(cwd),
            **{
                f"GIT_{who}_{what}": "tests@example.org"
                for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")
            },
        },
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def repository(folder: Path, files: Mapping[str, str], *, branch: str = "main") -> Path:
    """A repository with one commit of these files; a name that ends in `@` is a link to its text."""
    folder.mkdir(parents=True)
    git("init", "-q", "-b", branch, cwd=folder)
    git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=folder)
    commit(folder, files)
    return folder


def commit(folder: Path, files: Mapping[str, str]) -> str:
    """Add a commit of further or changed files; gives its hash."""
    for name, text in files.items():
        path = folder / name.rstrip("@")
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("@"):
            path.symlink_to(text)
        else:
            path.write_text(text)
    git("add", "-A", cwd=folder)
    git("commit", "-q", "-m", "change", cwd=folder)
    return git("rev-parse", "HEAD", cwd=folder)


@dataclass
class GitServer:
    """Serves the repositories below a folder at `https://127.0.0.1:PORT/NAME`.

    Attributes:
        folder: Where the repositories are.
        certificate: What a client has to trust.
        password: What it asks for, "" for nothing.
        seen: Method, path and user of each request.
    """

    folder: Path
    certificate: Path
    password: str = ""
    seen: list[tuple[str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        backend = Path(git("--exec-path", cwd=self.folder), "git-http-backend")
        if not backend.exists():
            # Some systems package it apart from git.
            raise FileNotFoundError(f"there is no {backend}")
        key = self.certificate.with_suffix(".key")
        if not self.certificate.exists():
            make_certificate(self.certificate, key)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_port}"

    @property
    def environ(self) -> dict[str, str]:
        """What makes git trust it."""
        return {"GIT_SSL_CAINFO": str(self.certificate)}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(DEADLINE)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        serving = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None:
                pass

            def do_GET(self) -> None:
                self._answer(b"")

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

            def _answer(self, body: bytes) -> None:
                login = base64.b64decode((self.headers.get("Authorization") or " ").split(" ", 1)[1]).decode()
                serving.seen.append((self.command, self.path, login.partition(":")[0]))
                if serving.password and login.partition(":")[2] != serving.password:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="tests"')
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                parts = urlsplit(self.path)
                done = subprocess.run(
                    ["git", "http-backend"],
                    input=body,
                    capture_output=True,
                    timeout=DEADLINE,
                    env={
                        "PATH": os.environ["PATH"],
                        "GIT_PROJECT_ROOT": str(serving.folder),
                        "GIT_HTTP_EXPORT_ALL": "1",
                        "GIT_CONFIG_COUNT": "1",
                        "GIT_CONFIG_KEY_0": "safe.directory",
                        "GIT_CONFIG_VALUE_0": "*",
                        "REQUEST_METHOD": self.command,
                        "PATH_INFO": parts.path,
                        "QUERY_STRING": parts.query,
                        "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                        "CONTENT_LENGTH": str(len(body)),
                        "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                        "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                    },
                )
                head, _, content = done.stdout.partition(b"\r\n\r\n")
                headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
                self.send_response(int(headers.pop("Status", "200").split()[0]))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        return Handler


def make_certificate(certificate: Path, key: Path) -> None:
    """A self-signed certificate for 127.0.0.1."""
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=DEADLINE,
    )
