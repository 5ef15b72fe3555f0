"""Requests and streams to one host, with its refusals turned back into this package's errors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iocmng.client.token import FoundToken, find_token, normal_url, running_hosts
from iocmng.errors import (
    BadInput,
    InstallFailed,
    InstallRefused,
    IocmngError,
    LinkError,
    LinkRefused,
    LinkTimeout,
    LinkValueError,
    NoHost,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    Refused,
)

if TYPE_CHECKING:
    import ssl

    import httpx

Params = Mapping[str, str | int | float | bool | Sequence[str]]
API = "/api/v1"
STREAM_SILENCE = 60.0

_BY_STATUS: Mapping[int, type[IocmngError]] = {
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    405: NotFound,
    409: Refused,
    413: BadInput,
    422: BadInput,
}
_CODED = (LinkError, LinkRefused, LinkTimeout, LinkValueError, InstallFailed, InstallRefused)
_BY_CODE: Mapping[str, type[IocmngError]] = {
    "not-started": IocmngError,
    **{cls.code: cls for cls in _CODED},
}


class Transport:
    """One connection pool to one host; opened at the first request."""

    def __init__(
        self, url: str | None, token: str | None, token_file: Path | None, timeout: float, user_agent: str
    ) -> None:
        self.url = normal_url(url)
        self._found = FoundToken(token, ("the argument `token`",)) if token else None
        self._token_file = token_file
        self._timeout = timeout
        self._user_agent = user_agent
        self._http: httpx.Client | None = None

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        wait: float = 0.0,
        ended: bool = False,
    ) -> Any:
        """Send one request to a path below /api/v1, or to `/livez` and its like, and decode the answer.

        `wait` is how long, in seconds, the host was asked to wait before it answers. With `ended` a refusal that
        carries an operation which has ended is an answer like any other.
        """
        import httpx

        try:
            answer = self._client().request(
                method, self._path(path), params=params, json=body, timeout=self._timeout + wait
            )
        except httpx.HTTPError as error:
            raise self._no_answer(error) from None
        return self._decoded(answer, ended=ended)

    @contextmanager
    def stream(
        self, path: str, *, params: Params | None = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[Iterator[str]]:
        """Open a stream of server-sent events and give its lines."""
        import httpx

        patience = httpx.Timeout(self._timeout, read=STREAM_SILENCE)
        try:
            with self._client().stream(
                "GET", self._path(path), params=params, headers=headers, timeout=patience
            ) as answer:
                if not answer.is_success:
                    answer.read()
                    self._decoded(answer)
                yield answer.iter_lines()
        except httpx.HTTPError as error:
            raise self._no_answer(error) from None

    def _path(self, path: str) -> str:
        return path if path in ("/livez", "/readyz", "/metrics", "/openapi.json") else API + path

    def _client(self) -> httpx.Client:
        if self._http is None:
            import httpx

            if self._found is None:
                self._found = find_token(self.url, self._token_file)
            headers = {"User-Agent": self._user_agent, "Accept": "application/json"}
            if self._found.token:
                headers["Authorization"] = f"Bearer {self._found.token}"
            # No proxies and no netrc from the environment: a token goes to the host and nowhere else.
            self._http = httpx.Client(
                base_url=self.url,
                headers=headers,
                verify=self._verify(),
                trust_env=False,
                timeout=self._timeout,
                # Shorter than the host's 5 s for idle connections: no request meets the end of one.
                limits=httpx.Limits(keepalive_expiry=2.0),
            )
        return self._http

    def _verify(self) -> bool | ssl.SSLContext:
        if not self.url.startswith("https:"):
            return False  # no certificates are needed, and loading them costs 50 ms
        import ssl

        return ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE"))

    def _decoded(self, answer: httpx.Response, *, ended: bool = False) -> Any:
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if answer.is_success:
            if kind == "application/json":
                try:
                    return answer.json()
                except ValueError:
                    raise self._foreign(answer) from None
            if kind == "text/plain":
                return answer.text
            raise self._foreign(answer)
        if kind != "application/problem+json":
            if answer.status_code == 503 and answer.url.path.endswith("/readyz"):
                return answer.text
            raise self._foreign(answer)
        try:
            problem = json.loads(answer.text)
            code, detail, hint = str(problem["code"]), str(problem["detail"]), str(problem.get("hint", ""))
        except (ValueError, KeyError, TypeError):
            raise self._foreign(answer) from None
        if ended and isinstance(problem.get("operation"), dict):
            return problem
        cls = _BY_CODE.get(code) or _BY_STATUS.get(answer.status_code, IocmngError)
        if issubclass(cls, NotAllowed) and self._found is not None:
            if self._found.token is None:
                hint = f"no token found; looked in {', '.join(self._found.places)}"
            else:
                hint = f"{hint}; the token came from {self._found.places[-1]}".lstrip("; ")
        raise cls(detail, hint=hint, code=code)

    def _foreign(self, answer: httpx.Response) -> NoHost:
        return NoHost(
            f"what answers at {self.url} is no iocmng host (HTTP {answer.status_code})",
            hint=_other_hosts("give the host's address with --url or IOCMNG_URL"),
        )

    def _no_answer(self, error: httpx.HTTPError) -> IocmngError:
        import httpx

        if isinstance(error, (httpx.ReadTimeout, httpx.WriteTimeout)):
            return IocmngError(
                f"{self.url} did not answer within {self._timeout:g} s",
                hint="the host is busy or stuck: see its log, or `iocmng doctor`",
                code="timeout",
            )
        reason = str(error) or type(error).__name__
        return NoHost(
            f"no host answers at {self.url} ({reason})",
            hint=_other_hosts(
                "start one with `iocmng run`, or name another with --url, IOCMNG_URL or IOCMNG_PORT"
            ),
        )


def _other_hosts(advice: str) -> str:
    running = running_hosts()
    return f"{advice}; running here: {', '.join(running)}" if running else advice
