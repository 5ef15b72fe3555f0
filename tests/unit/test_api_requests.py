"""Requests that nobody should send, and the server under them."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.control import MemoryControl, as_control
from support.openapi import document
from support.serving import Served, serving

from iocmng.api import Access, Server, Tls, TokenStore, bind, create_app
from iocmng.errors import BadInput, BootFailed

PATHS = sorted(document()["paths"])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("state"), body_seconds=1.0) as endpoint:
        yield endpoint


def problem(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "code", "detail", "hint", "instance"} <= set(found)
    assert found["status"] == answer.status_code
    assert found["detail"]
    return found


@pytest.mark.parametrize(
    "name",
    [
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "%2Fetc%2Fpasswd",
        "pump%00",
        "pump%0d%0aX-Evil:%201",
        "%C3%A9",
        "%FF%FE",
        "%F0%9F%9A%80",
        "pump%20",
        "-pump",
        "a" * 129,
        "a" * 5000,
        "{name}",
        "*",
        "%2E",
        "pump;drop",
    ],
)
def test_names_that_nothing_can_have(served: Served, name: str) -> None:
    with served.http("admin") as http:
        for method, path in (
            ("GET", "plugins/{}"),
            ("GET", "tasks/{}/startup"),
            ("POST", "plugins/{}/stop"),
            ("POST", "jobs/{}/runs"),
            ("GET", "plugins/{}/log"),
            ("GET", "runs/{}"),
            ("POST", "runs/{}/abort"),
            ("GET", "host/pvs/{}"),
            ("DELETE", "tokens/{}"),
            ("DELETE", "plugins/{}"),
            ("POST", "plugins/{}/restart"),
            ("GET", "operations/{}"),
            ("POST", "operations/{}/abort"),
        ):
            found = problem(http.request(method, f"/api/v1/{path.format(name)}"), 404, 405)
            assert len(found["detail"]) < 300
            assert "\n" not in found["detail"]


def test_paths_and_methods_that_are_none(served: Served) -> None:
    with served.http("admin") as http:
        for path in (
            "/",
            "/nope",
            "/api/v1",
            "/api/v2/plugins",
            "/api/v1/plugins/",
            "/docs",
            "/api/v1/plugins/a/b/c",
        ):
            assert problem(http.get(path), 404)["code"] in ("no-such-path", "not-found")
        wrong = http.put("/api/v1/plugins/pump")
        assert problem(wrong, 405)["code"] == "method-not-allowed"
        assert wrong.json()["ok"] is False
        assert "GET" in wrong.headers["allow"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1]",
        b"null",
        b'"text"',
        b'{"parameters": 5}',
        b'{"parameters": {}, "more": 1}',
        b"\xff\xfe",
        b'{"parameters": ' + b'{"a":' * 2000 + b"1" + b"}" * 2001,
    ],
)
def test_bodies_that_do_not_fit(served: Served, content: bytes) -> None:
    with served.http("operator") as http:
        answer = http.patch(
            "/api/v1/plugins/pump/parameters", content=content, headers={"Content-Type": "application/json"}
        )
        found = problem(answer, 422, 400)
        assert found["ok"] is False
        assert found["message"] == found["detail"]


@pytest.mark.parametrize("query", ["wait=-1", "wait=nan", "wait=inf", "wait=1e9", "wait=x", "wait="])
def test_waits_that_are_none(served: Served, query: str) -> None:
    with served.http("operator") as http:
        found = problem(http.post(f"/api/v1/plugins/pump/reset?{query}"), 422)
        assert "wait" in found["detail"]


def test_a_body_that_is_too_large_is_refused_early(served: Served) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 4096

    with served.http("operator") as http:
        announced = http.put("/api/v1/host/pvs/PUMP:LIMIT", content=b"x" * 100_000)
        assert problem(announced, 413)["code"] == "too-large"
        assert problem(http.put("/api/v1/host/pvs/PUMP:LIMIT", content=parts()), 413)["code"] == "too-large"


def test_a_body_that_never_comes_is_given_up(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", httpx.URL(served.url).port or 0), timeout=10) as slow:
        slow.sendall(
            b"PUT /api/v1/host/pvs/PUMP:LIMIT HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n"
            b"Authorization: Bearer operator-secret-0123456789\r\n\r\n{"
        )
        assert b"408" in slow.recv(4096)


def test_rubbish_instead_of_http_hurts_nobody(served: Served) -> None:
    for rubbish in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x00" * 100_000):
        with socket.create_connection(("127.0.0.1", httpx.URL(served.url).port or 0), timeout=10) as peer:
            try:
                peer.sendall(rubbish + b"\r\n\r\n")
                peer.recv(1000)
            except ConnectionError:
                pass
    with served.http() as http:
        assert http.get("/livez").status_code == 200


_segments = st.text(st.characters(exclude_characters="/?#%\\", exclude_categories=["Cs", "Cc"]), max_size=40)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(PATHS),
    segment=_segments,
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
    query=st.dictionaries(
        st.sampled_from(["wait", "brief", "since", "level", "limit", "type"]), st.text(max_size=12)
    ),
    content=st.one_of(st.none(), st.binary(max_size=50), st.just(b"{}"), st.just(b'{"arguments": {}}')),
)
def test_whatever_is_asked_the_answer_is_no_fault(
    served: Served, path: str, segment: str, method: str, query: dict[str, str], content: bytes | None
) -> None:
    if "events" in path or "monitor" in path or path.endswith("/run"):
        return
    for name in ("{name}", "{run}", "{pv}", "{operation}"):
        path = path.replace(name, segment)
    with served.http("admin") as http:
        answer = http.request(method, path, params=query, content=content)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        problem(answer, answer.status_code)


def test_a_fault_is_a_500_without_its_secrets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(tmp_path) as endpoint, endpoint.http() as http:

        def fail() -> Any:
            raise RuntimeError("the inside of the host")

        endpoint.control.host = fail  # type: ignore[method-assign]
        found = problem(http.get("/api/v1/host"), 500)
        assert "inside" not in str(found)
        assert found["code"] == "fault"
        assert "the inside of the host" in caplog.text
        assert http.get("/livez").status_code == 200


def test_answers_are_not_kept_or_sniffed(served: Served) -> None:
    with served.http() as http:
        headers = http.get("/api/v1/host").headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


def test_a_busy_port_is_named_before_anything_starts() -> None:
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(BootFailed) as busy:
            bind("127.0.0.1", port)
    assert f"127.0.0.1:{port}" in busy.value.detail
    assert busy.value.error_code == "port-in-use"
    assert "--port" in busy.value.hint


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [
        ("127.0.0.1", 70000, "is no port"),
        ("192.0.2.1", 0, "no such address"),
        ("no-such-host.invalid", 0, "is no address"),
        ("x" * 300, 0, "is no address"),
    ],
)
def test_addresses_that_cannot_be_used(host: str, port: int, text: str) -> None:
    with pytest.raises(BadInput, match=text):
        bind(host, port)


def test_signals_stay_with_the_host(tmp_path: Path) -> None:
    async def main() -> list[int]:
        caught: list[int] = []
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, lambda: caught.append(signal.SIGTERM))
        app = create_app(as_control(MemoryControl()), Access(TokenStore(tmp_path)))
        server = Server(app, bind("127.0.0.1", 0))
        await server.start()
        signal.raise_signal(signal.SIGTERM)
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"{server.url}/livez")).status_code == 200
        await server.stop()
        await server.stop()
        loop.remove_signal_handler(signal.SIGTERM)
        return caught

    assert asyncio.run(main()) == [signal.SIGTERM]


def test_tls(tmp_path: Path) -> None:
    openssl = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    try:
        subprocess.run([*openssl, *names, *files], check=True, capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("there is no openssl program to make a certificate with")
    tls = Tls(certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    with serving(tmp_path, tls=tls) as endpoint:
        assert endpoint.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        with endpoint.http(verify=context) as http:
            assert http.get("/api/v1/host").status_code == 200


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nothing")
    app = create_app(as_control(MemoryControl()), Access(TokenStore(tmp_path)))
    for certificate in ("cert.pem", "none.pem"):
        with bind("127.0.0.1", 0) as listening, pytest.raises(BadInput, match=r"admin\.tls"):
            Server(app, listening, tls=Tls(certificate=tmp_path / certificate, key=tmp_path / "cert.pem"))


def test_the_contract_is_the_committed_one() -> None:
    """`python tests/support/openapi.py > docs/openapi.json` after a change that is meant."""
    committed = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
    assert contract(document()) == contract(committed)


def contract(openapi: dict[str, Any]) -> dict[str, Any]:
    """What clients rely on, without the words around it, which vary with FastAPI's version."""
    operations = {
        f"{method} {path}": {
            "role": operation["x-role"],
            "parameters": sorted((given["in"], given["name"]) for given in operation.get("parameters", ())),
            "body": references(operation.get("requestBody")),
            "answers": {status: references(answer) for status, answer in operation["responses"].items()},
        }
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    }
    schemas = {
        name: (sorted(schema.get("properties", ())), sorted(schema.get("required", ())), schema.get("enum"))
        for name, schema in openapi["components"]["schemas"].items()
    }
    return {"operations": operations, "schemas": schemas}


def references(thing: Any) -> list[str]:
    """Schemas that are referred to anywhere in a part of the document."""
    if isinstance(thing, dict):
        own = [thing["$ref"]] if isinstance(thing.get("$ref"), str) else []
        return sorted({*own, *(found for value in thing.values() for found in references(value))})
    if isinstance(thing, list):
        return sorted({found for value in thing for found in references(value)})
    return []
