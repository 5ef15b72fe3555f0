from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from support.control import MemoryControl, as_control
from support.openapi import document

from iocmng.api import Access, Additions, TokenStore, create_app
from iocmng.api.openapi import describe


class Strange:
    """A type that no schema can be made of."""


def mounted(tmp_path: Path, *routers: Any) -> tuple[FastAPI, Additions, list[str]]:
    refused: list[str] = []
    additions = Additions([("acme", router) for router in routers], lambda _, text: refused.append(text))
    app = create_app(as_control(MemoryControl()), Access(TokenStore(tmp_path)), additions=additions)
    return app, additions, refused


async def get(app: FastAPI, path: str, method: str = "GET") -> httpx.Response:
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        return await http.request(method, path)


def run(app: FastAPI, path: str, method: str = "GET") -> httpx.Response:
    return asyncio.run(get(app, path, method))


def test_a_route_that_cannot_be_described_is_served_and_left_out_of_the_document(tmp_path: Path) -> None:
    good, odd = APIRouter(prefix="/good"), APIRouter(prefix="/odd")

    @good.get("/one")
    def one() -> dict[str, int]:
        return {"one": 1}

    @odd.get("/two", openapi_extra={"responses": {"200": Strange}})
    def two() -> dict[str, int]:
        return {"two": 2}

    app, additions, _ = mounted(tmp_path, good, odd)
    assert run(app, "/api/v1/good/one").json() == {"one": 1}
    assert run(app, "/api/v1/odd/two").json() == {"two": 2}
    found = describe(app, additions)
    assert found["paths"]["/api/v1/good/one"]["get"]["x-role"] == "viewer"
    own = document()["paths"]
    assert {path: found["paths"][path] for path in own} == own


@pytest.mark.filterwarnings("ignore:Duplicate Operation ID")
def test_the_hosts_own_answers_come_first(tmp_path: Path) -> None:
    plain, _, _ = mounted(tmp_path)
    thieves = [APIRouter() for _ in range(5)]
    paths = ("/host", "/plugins/{name}", "/plugins/{name}/log", "/{rest:path}", "/host/")
    for thief, path in zip(thieves, paths, strict=True):
        thief.add_api_route(path, lambda: {"stolen": True}, methods=["GET", "POST", "DELETE", "PUT"])
    app, additions, _ = mounted(tmp_path, *thieves)
    for method, own in (
        ("GET", "/host"),
        ("POST", "/host"),
        ("GET", "/plugins/pump"),
        ("PUT", "/plugins/pump/log"),
    ):
        before, after = run(plain, f"/api/v1{own}", method), run(app, f"/api/v1{own}", method)
        assert (after.status_code, "stolen" in after.text) == (before.status_code, False)
    for probe in ("/livez", "/metrics", "/openapi.json"):
        assert run(app, probe).status_code == run(plain, probe).status_code
    assert describe(app, additions)["paths"].keys() >= document()["paths"].keys()


def test_the_first_package_keeps_its_path(tmp_path: Path) -> None:
    first, second = APIRouter(prefix="/acme"), APIRouter(prefix="/acme")
    first.add_api_route("/x", lambda: {"from": "first"})
    second.add_api_route("/{name}", lambda name: {"from": "second"})
    app, _, refused = mounted(tmp_path, first, second)
    assert run(app, "/api/v1/acme/x").json() == {"from": "first"}
    assert run(app, "/api/v1/acme/x", "DELETE").status_code == 401
    assert len(refused) == 1
    assert "/api/v1/acme/{name}" in refused[0]
    assert "hidden by an earlier route" in refused[0]
