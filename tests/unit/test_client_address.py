from __future__ import annotations

import pytest

from iocmng.client.token import normal_url
from iocmng.errors import BadInput


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IOCMNG_URL", "IOCMNG_HOST", "IOCMNG_PORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"IOCMNG_PORT": "9000"}, "http://127.0.0.1:9000"),
        ({"IOCMNG_PORT": "0"}, "http://127.0.0.1:8080"),
        ({"IOCMNG_PORT": " "}, "http://127.0.0.1:8080"),
        ({"IOCMNG_PORT": "9000", "IOCMNG_HOST": "127.0.0.3"}, "http://127.0.0.3:9000"),
        ({"IOCMNG_PORT": "9000", "IOCMNG_HOST": "::1"}, "http://[::1]:9000"),
        ({"IOCMNG_PORT": "9000", "IOCMNG_HOST": "localhost"}, "http://127.0.0.1:9000"),
        ({"IOCMNG_PORT": "9000", "IOCMNG_HOST": "0.0.0.0"}, "http://127.0.0.1:9000"),
        ({"IOCMNG_PORT": "9000", "IOCMNG_URL": "ioc:7"}, "http://ioc:7"),
    ],
)
def test_a_client_in_the_hosts_environment_finds_it(
    environ: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert normal_url(None) == url
    assert normal_url("other:5") == "http://other:5"


def test_a_port_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOCMNG_PORT", "http")
    with pytest.raises(BadInput, match="IOCMNG_PORT='http'"):
        normal_url(None)
