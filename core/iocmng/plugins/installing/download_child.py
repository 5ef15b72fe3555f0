"""The child that fetches one file; it is run by itself and imports the standard library only."""

from __future__ import annotations

import base64
import json
import netrc
import os
import shutil
import sys
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

_TIMEOUT = 30.0


def main() -> int:
    """Fetch what the environment variable IOCMNG_FETCH says; complaints go to stderr without the address."""
    asked: dict[str, Any] = json.loads(os.environ["IOCMNG_FETCH"])
    url: str = asked["url"]
    host = urlsplit(url).hostname or "the index"
    if urlsplit(url).scheme not in ("http", "https"):
        print(f"{urlsplit(url).scheme!r} is no way to fetch a file", file=sys.stderr)
        return 2
    request = urllib.request.Request(url, headers={"User-Agent": "iocmng"})
    if login := asked["login"] or _of_netrc(host):
        word = base64.b64encode(":".join(login).encode()).decode()
        # Not sent on when the index redirects to another host.
        request.add_unredirected_header("Authorization", f"Basic {word}")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer, open(asked["target"], "wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
            length = answer.headers.get("Content-Length")
            if length and length.isdecimal() and file.tell() != int(length):
                print(f"{host} sent {file.tell()} of {length} bytes", file=sys.stderr)
                return 1
    except urllib.error.HTTPError as problem:
        print(f"{host} answered {problem.code} {problem.reason}", file=sys.stderr)
        return 1
    except urllib.error.URLError as problem:
        print(f"{host} cannot be reached: {problem.reason}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as problem:
        print(f"{host}: {problem}", file=sys.stderr)
        return 1
    return 0


def _of_netrc(host: str) -> tuple[str, str] | None:
    try:
        found = netrc.netrc(os.environ.get("NETRC")).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return (found[0], found[2] or "") if found else None


if __name__ == "__main__":
    sys.exit(main())
