from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.openapi import document
from support.serving import SECRETS, Served, serving

from iocmng.api import Access, SiteToken, TokenStore, read_site_token
from iocmng.api.access import Peer, is_loopback, split_host
from iocmng.errors import BadInput, NotAllowed, NotAuthenticated, NotFound, Refused
from iocmng.wire import Role

DOCUMENT = document()
OPERATIONS = [
    (path, method, operation["x-role"])
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("state"), anonymous=Role.NONE) as endpoint:
        yield endpoint


def test_roles_are_those_of_the_reference() -> None:
    found: dict[str, set[str]] = {}
    for path, method, role in OPERATIONS:
        found.setdefault(role, set()).add(f"{method} {path}")
    assert found["none"] == {"get /livez", "get /readyz", "get /api/v1/health"}
    assert found["admin"] == {
        *(f"post /api/v1/{path}" for path in ("plugins", "tasks", "jobs")),
        *(f"delete /api/v1/{path}/{{name}}" for path in ("plugins", "tasks", "jobs")),
        *(f"post /api/v1/install{path}" for path in ("", "/plan", "/rollback")),
        "post /api/v1/operations/{operation}/abort",
        "post /api/v1/host/restart",
        "post /api/v1/config/reload",
        "post /api/v1/rescan",
        "get /api/v1/tokens",
        "post /api/v1/tokens",
        "delete /api/v1/tokens/{name}",
    }
    assert {entry for entry in found["viewer"] if not entry.startswith("get ")} == {
        "post /api/v1/pvs/get",
        "post /api/v1/pvs/monitor",
        "delete /api/v1/pvs/monitor/{key}",
    }
    assert not any(entry.startswith("get ") for entry in found["operator"])
    assert "get /metrics" in found["viewer"]


@pytest.mark.parametrize("caller", ["", "viewer", "operator", "admin"])
def test_each_route_takes_its_role_and_no_lower_one(served: Served, caller: str) -> None:
    rank = Role(caller or "none").rank
    with served.http(caller) as http:
        for path, method, needs in OPERATIONS:
            if "events" in path or "monitor" in path:
                continue
            url = path.replace("{name}", "no-such").replace("{run}", "no-such").replace("{pv}", "NO:SUCH")
            answer = http.request(method.upper(), url, content=b"{broken")
            refused = answer.status_code == (403 if caller else 401)
            assert refused is (rank < Role(needs).rank), f"{method} {path} as {caller}: {answer.status_code}"
            if refused:
                assert answer.json()["code"] == ("not-allowed" if caller else "not-authenticated")
                assert needs in answer.json()["detail"]


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer wrong",
        f"Bearer {SECRETS['admin']}x",
        f"Basic {SECRETS['admin']}",
        "Bearer " + "x" * 5000,
    ],
)
def test_a_wrong_token_is_refused_even_where_none_is_needed_to_read(tmp_path: Path, header: str) -> None:
    with serving(tmp_path) as endpoint, endpoint.http() as http:
        assert http.get("/api/v1/host").status_code == 200
        answer = http.get("/api/v1/host", headers={"Authorization": header})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "wrong" not in answer.text
        assert SECRETS["admin"] not in answer.text
        assert http.get("/livez", headers={"Authorization": header}).status_code == 200


def test_anonymous_callers_from_loopback_read_by_default(tmp_path: Path) -> None:
    with serving(tmp_path) as endpoint, endpoint.http() as http:
        assert http.get("/api/v1/plugins").status_code == 200
        assert http.post("/api/v1/plugins/pump/stop").status_code == 401
        behind_proxy = http.get("/api/v1/plugins", headers={"X-Forwarded-For": "192.0.2.7"})
        assert behind_proxy.status_code == 401


def test_a_forwarding_header_does_not_make_a_caller_local(tmp_path: Path) -> None:
    store = TokenStore(tmp_path, [SiteToken(name="ops", role=Role.OPERATOR, secret="x" * 20)])
    access = Access(store, bind="0.0.0.0")
    far = Peer(address="192.0.2.7", host="192.0.2.1", server="192.0.2.1")
    assert access.identify(far).role is Role.NONE
    assert access.identify(Peer(address="127.0.0.1", host="localhost")).role is Role.VIEWER
    assert access.identify(Peer(address="::ffff:127.0.0.1", host="localhost")).role is Role.VIEWER
    assert access.identify(Peer(address="127.0.0.1", host="localhost", forwarded=True)).role is Role.NONE


def test_anonymous_admin_is_for_loopback_and_warned_about(tmp_path: Path) -> None:
    access = Access(TokenStore(tmp_path), anonymous=Role.ADMIN)
    assert "admin.anonymous is admin" in access.warnings[0]
    assert access.identify(Peer(address="127.0.0.1")).role is Role.ADMIN
    assert access.identify(Peer(address="127.0.0.1", forwarded=True)).role is Role.NONE
    site = [SiteToken(name="ops", role=Role.OPERATOR, secret="x" * 20)]
    with pytest.raises(BadInput, match="lets anybody change things"):
        Access(TokenStore(tmp_path, site), bind="0.0.0.0", anonymous=Role.OPERATOR)
    far = Access(TokenStore(tmp_path, site), bind="0.0.0.0", anonymous=Role.VIEWER)
    assert far.identify(Peer(address="192.0.2.7")).role is Role.VIEWER


def test_an_open_address_needs_a_configured_token(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no token is configured") as refused:
        Access(TokenStore(tmp_path), bind="0.0.0.0")
    assert "token_file" in refused.value.hint


@pytest.mark.parametrize(
    ("host", "server", "known"),
    [
        ("localhost:8080", "127.0.0.1", True),
        ("127.0.0.1:8080", "127.0.0.1", True),
        ("[::1]:8080", "::1", True),
        ("127.1.2.3", "127.1.2.3", True),
        ("ioc.example.org", "127.0.0.1", True),
        ("IOC.example.org.:80", "127.0.0.1", True),
        ("evil.example.org", "127.0.0.1", False),
        ("localhost.evil.org", "127.0.0.1", False),
        ("192.0.2.1", "192.0.2.1", False),
        ("", "127.0.0.1", False),
        ("localhost/..", "127.0.0.1", False),
        ("x@localhost", "127.0.0.1", False),
        ("localhost:99999", "127.0.0.1", False),
    ],
)
def test_host_names(tmp_path: Path, host: str, server: str, known: bool) -> None:
    access = Access(TokenStore(tmp_path), allowed_hosts=["ioc.example.org"])
    peer = Peer(address="127.0.0.1", host=host, server=server)
    if known:
        access.admit(peer)
    else:
        with pytest.raises(NotAllowed) as refused:
            access.admit(peer)
        assert refused.value.error_code == "host-not-allowed"
        assert "allowed_hosts" in refused.value.hint


def test_a_wildcard_bind_answers_for_its_own_addresses(tmp_path: Path) -> None:
    access = Access(
        TokenStore(tmp_path, [SiteToken(name="ops", role=Role.OPERATOR, secret="x" * 20)]), bind="0.0.0.0"
    )
    access.admit(Peer(address="192.0.2.7", host="192.0.2.1:8080", server="192.0.2.1"))
    with pytest.raises(NotAllowed):
        access.admit(Peer(address="192.0.2.7", host="192.0.2.9:8080", server="192.0.2.1"))


def test_foreign_pages_are_refused(tmp_path: Path) -> None:
    hosts = ("panel.example.org",)
    with serving(tmp_path, anonymous=Role.ADMIN, allowed_hosts=hosts) as endpoint, endpoint.http() as http:
        own = endpoint.url
        for origin, status in (
            (own, 200),
            ("https://panel.example.org", 200),
            ("http://localhost:1", 403),
            ("https://evil.example.org", 403),
            ("null", 403),
            (own + "0", 403),
            ("http://[", 403),
        ):
            answer = http.post("/api/v1/plugins/pump/reset", headers={"Origin": origin})
            assert answer.status_code == status, origin
        rebound = http.get("/api/v1/host", headers={"Host": "evil.example.org"})
        assert (rebound.status_code, rebound.json()["code"]) == (403, "host-not-allowed")


def test_the_own_token_is_made_once_and_only_the_owner_reads_it(tmp_path: Path) -> None:
    TokenStore(tmp_path)
    path = tmp_path / "token"
    secret = path.read_text().strip()
    assert len(secret) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    store = TokenStore(tmp_path)
    assert path.read_text().strip() == secret
    found = store.identify(secret)
    assert found is not None
    assert (found.name, found.role, found.origin) == ("local", Role.ADMIN, "local")


def test_a_token_that_others_could_read_is_replaced(tmp_path: Path) -> None:
    TokenStore(tmp_path)
    path = tmp_path / "token"
    secret = path.read_text().strip()
    path.chmod(0o644)
    store = TokenStore(tmp_path)
    assert store.identify(secret) is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_in_place_of_the_token_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("a-secret-that-somebody-else-knows")
    (tmp_path / "token").symlink_to(elsewhere)
    with pytest.raises(BadInput, match="cannot be used"):
        TokenStore(tmp_path)


def test_created_tokens_are_kept_as_hashes_and_survive(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    made = store.create("robot", Role.VIEWER)
    path = tmp_path / "tokens.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert made.token not in path.read_text()
    again = TokenStore(tmp_path)
    found = again.identify(made.token)
    assert found is not None
    assert (found.name, found.role, found.origin) == ("robot", Role.VIEWER, "created")
    again.revoke("robot")
    assert again.identify(made.token) is None
    assert TokenStore(tmp_path).identify(made.token) is None
    assert not list(tmp_path.glob("tokens.json.bak*")), "a backup could bring a revoked token back"


def test_a_broken_token_file_opens_nothing_and_is_reported(tmp_path: Path) -> None:
    (tmp_path / "tokens.json").write_text('{"robot": {"role": "god"}}')
    store = TokenStore(tmp_path)
    assert "corrupt" in store.problem
    assert [token.name for token in store.views()] == ["local"]
    assert any("corrupt" in warning for warning in Access(store).warnings)


def test_token_names_and_roles_are_checked(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    for name in ("", "../x", "a b", "x" * 200):
        with pytest.raises(BadInput):
            store.create(name, Role.VIEWER)
    with pytest.raises(BadInput, match="needs a role"):
        store.create("robot", Role.NONE)
    with pytest.raises(Refused):
        store.revoke("local")
    with pytest.raises(NotFound):
        store.revoke("robot")
    with pytest.raises(BadInput, match="two tokens"):
        TokenStore(tmp_path, [SiteToken(name="local", role=Role.ADMIN, secret="x" * 20)])


@pytest.mark.parametrize(
    "content",
    ["short", "two words that are long enough", "", "ü" * 20, "x" * 600, "line\nline and another line"],
)
def test_what_a_site_token_may_be(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ops"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match="'ops'") as refused:
        read_site_token("ops", Role.OPERATOR, path)
    if content:
        assert content not in str(refused.value)


def test_site_tokens_come_from_files_and_stay_out_of_sight(tmp_path: Path) -> None:
    path = tmp_path / "ops"
    path.write_text("a-good-long-secret-word\n")
    token = read_site_token("ops", Role.OPERATOR, path)
    assert token.secret == "a-good-long-secret-word"
    assert token.secret not in repr(token)
    with pytest.raises(BadInput, match="16 to 512"):
        SiteToken(name="IOCMNG_TOKEN", role=Role.ADMIN, secret="x")
    with pytest.raises(BadInput, match="cannot be read"):
        read_site_token("ops", Role.OPERATOR, tmp_path / "none")


def test_secrets_stay_out_of_logs(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with served.http("admin") as http:
        made = http.post("/api/v1/tokens", json={"name": "log-test", "role": "viewer"}).json()["token"]
        http.get("/api/v1/host", headers={"Authorization": "Bearer not-a-known-secret"})
        http.delete("/api/v1/tokens/log-test")
    own = [record for record in caplog.records if record.name.startswith(("iocmng", "uvicorn"))]
    said = " ".join(record.getMessage() for record in own)
    assert made not in said
    assert SECRETS["admin"] not in said
    assert "not-a-known-secret" not in said


def test_loopback_and_host_headers() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1")))
    assert not any(map(is_loopback, ("", "0.0.0.0", "::", "192.0.2.1", "localhost.org", "127.0.0.1.org")))
    assert split_host("[2001:DB8::1]:80") == ("2001:db8::1", 80)
    assert split_host("Host.Example.") == ("host.example", None)


def test_an_unauthenticated_caller_is_told_before_its_request_is_read(served: Served) -> None:
    with pytest.raises(NotAuthenticated):
        Access(served.tokens, anonymous=Role.NONE).identify(Peer(address="127.0.0.1")).require(Role.VIEWER)
    with served.http() as http:
        assert http.post("/api/v1/tokens", content=b"{" * 100).status_code == 401


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_token_of_another_user_is_refused(tmp_path: Path) -> None:
    TokenStore(tmp_path)
    os.chown(tmp_path / "token", 12345, 12345)
    with pytest.raises(BadInput, match="belongs to user 12345"):
        TokenStore(tmp_path)


def test_no_route_is_left_unguarded() -> None:
    assert all(role in {role.value for role in Role} for _, _, role in OPERATIONS)
