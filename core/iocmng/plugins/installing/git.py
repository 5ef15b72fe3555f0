"""Fetching one commit of a git repository: https and ssh only, no hooks, no submodules, no secret on disk."""

from __future__ import annotations

import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from iocmng.errors import BadInput, InstallFailed
from iocmng.plugins.installing.child import Ended, run_child
from iocmng.plugins.installing.model import Origin, OriginKind, Tell
from iocmng.plugins.installing.sources_path import path_parts
from iocmng.settings.childenv import child_environment

FETCH_TIMEOUT = 120.0
LOCAL_TIMEOUT = 60.0
USUAL = "main"
"""What is fetched where no branch is named, as in the previous system; else the repository's own default."""

_SCP = re.compile(r"(?P<user>\w[\w.-]*)@(?P<host>\w[\w.-]*):(?P<path>[^:/-][^:]*)\Z", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\Z|[0-9A-Fa-f:]+\Z")
_BRANCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+#-]*\Z")
_ENVIRON = re.compile(
    r"GIT_(SSL_\w+|SSH|SSH_COMMAND|SSH_VARIANT|CONFIG_(GLOBAL|SYSTEM|NOSYSTEM)|EXEC_PATH|HTTP_\w+)\Z"
)
_TOKEN = "IOCMNG_GIT_TOKEN"
_NO_BRANCH = "couldn't find remote ref"
_SECRET_ADDRESS = (
    "give the token apart from the address: as `pat` of the request or of plugins.yaml,"
    f" or as {_TOKEN}_<HOST> in the host's environment"
)


@dataclass(frozen=True, slots=True)
class GitSource:
    """A repository, a branch, tag or full commit ("" for the usual one), and a folder in it."""

    address: str
    branch: str = ""
    path: str = ""

    def __post_init__(self) -> None:
        """Refuse a branch that is none.

        Raises:
            BadInput: It cannot be the name of a branch.
        """
        name = self.branch
        wrong = ".." in name or "//" in name or name.endswith(("/", ".", ".lock"))
        if name and (wrong or len(name) > 250 or not _BRANCH.match(name)):
            raise BadInput(f"{name[:60]!r} cannot be the name of a branch or tag")

    @property
    def origin(self) -> Origin:
        """The same as the origin of what is built from it."""
        return Origin(kind=OriginKind.GIT, address=self.address, path=self.path, branch=self.branch)


@dataclass(frozen=True, slots=True)
class Tree:
    """Files of one commit."""

    folder: Path
    commit: str


def git_address(text: str) -> str:
    """The address of a repository that may be fetched.

    Raises:
        BadInput: Another scheme, a token or password in it, or no address at all. A secret is not repeated.
    """
    given = text.strip()
    if match := _SCP.match(given):
        return f"ssh://{match['user']}@{match['host']}/{match['path']}"
    try:
        parts = urlsplit(given)
        _ = parts.port
    except ValueError:
        raise BadInput("git_url cannot be read as an address") from None
    scheme, _, login = parts.scheme, *_split_login(parts.netloc)
    if scheme not in ("https", "ssh"):
        known = f"{scheme}://" if scheme else "an address without scheme"
        raise BadInput(f"{known} is not fetched from", hint="git sources are https://… or ssh://…")
    if ":" in login or (login and scheme == "https"):
        host = parts.hostname or ""
        raise BadInput(f"the address of {host} holds a token or password", hint=_SECRET_ADDRESS)
    if parts.query or parts.fragment:
        raise BadInput(
            f"the address of {parts.hostname or ''} has more than host and path", hint=_SECRET_ADDRESS
        )
    if not given.isprintable() or " " in given or "\\" in given or not _HOST.match(parts.hostname or ""):
        raise BadInput("git_url names no host", hint="write https://HOST/PATH")
    if login and not re.match(r"[A-Za-z0-9_][A-Za-z0-9._-]*\Z", login):
        raise BadInput(f"the user in the address of {parts.hostname} is none")
    if not parts.path.strip("/") or re.search(r"(^|/)\.\.(/|$)", parts.path):
        raise BadInput(f"the address of {parts.hostname} names no repository")
    return given


def _split_login(netloc: str) -> tuple[str, str]:
    login, _, host = netloc.rpartition("@")
    return host, login


def git_requirement(text: str) -> GitSource:
    """Read `git+https://HOST/PATH[@BRANCH][#subdirectory=PATH]`.

    Raises:
        BadInput: It is not that, or holds a secret.
    """
    if not text.startswith("git+"):
        scheme = text.partition("://")[0]
        raise BadInput(
            f"{scheme[:20]}:// is not fetched from",
            hint="download the wheel and give its path, or write git+https://… for a repository",
        )
    address, _, fragment = text.removeprefix("git+").partition("#")
    place, at, branch = address.rpartition("@")
    if not at or "/" not in place.partition("://")[2]:
        place, branch = address, ""
    path = ""
    for item in filter(None, fragment.split("&")):
        key, _, value = item.partition("=")
        if key == "subdirectory":
            path = "/".join(path_parts(value))
        elif key != "egg":
            raise BadInput(f"{key[:20]!r} after # is not known", hint="write #subdirectory=PATH")
    return GitSource(git_address(place), branch, path)


def token_variables(address: str) -> tuple[str, ...]:
    """Variables of the host's environment that may hold the token of an https address, and of its host."""
    parts = urlsplit(address)
    if parts.scheme != "https":
        return ()
    words = (f"{parts.hostname}{parts.path.removesuffix('.git').rstrip('/')}", parts.hostname or "")
    return tuple(f"{_TOKEN}_{re.sub('[^A-Z0-9]', '_', word.upper())}" for word in words)


def with_tokens(environ: Mapping[str, str], tokens: Mapping[str, str]) -> dict[str, str]:
    """An environment in which sources find their tokens when they are fetched again.

    Args:
        environ: The host's environment.
        tokens: Token by address, as plugins.yaml has them.
    """
    found = {token_variables(address)[:1]: token for address, token in tokens.items() if token}
    return {**environ, **{name[0]: token for name, token in found.items() if name}}


@contextmanager
def fetched(
    source: GitSource, scratch: Path, tell: Tell, *, environ: Mapping[str, str], token: str = ""
) -> Iterator[Tree]:
    """Fetch one commit without history, for as long as the block lasts.

    Args:
        source: What to fetch.
        scratch: A folder for the files.
        tell: Called with lines of progress; what it raises ends git.
        environ: The host's environment.
        token: Password of an https address; git's own ways to find one are used without it.

    Raises:
        InstallFailed: There is no git, or what git said without the token.
        Aborted: `tell` said so.
    """
    if not shutil.which("git", path=environ.get("PATH")):
        raise InstallFailed(
            "there is no git program on the host's machine", hint="install git, or use local_path"
        )
    known = (environ[name] for name in token_variables(source.address) if environ.get(name))
    secret = token or next(known, "")
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".git-") as folder:
        git = _Git(Path(folder) / "tree", source, tell, environ, secret)
        git.folder.mkdir()
        tell(f"fetching {source.origin}")
        git.do("init", "--quiet", "--template=")
        git.fetch()
        git.do("checkout", "--quiet", "--detach", "FETCH_HEAD")
        commit = git.do("rev-parse", "FETCH_HEAD").output.strip()
        tell(f"fetched commit {commit[:12]}")
        yield Tree(git.folder, commit)


class _Git:
    def __init__(
        self, folder: Path, source: GitSource, tell: Tell, environ: Mapping[str, str], token: str
    ) -> None:
        self.folder = folder
        self._source = source
        self._tell = tell
        self._token = token
        self._env = _environment(environ, token)

    def do(self, *arguments: str) -> Ended:
        ended = self._run(*arguments, timeout=LOCAL_TIMEOUT)
        if ended.code:
            raise self._failed(ended, "")
        return ended

    def fetch(self) -> None:
        branch = self._source.branch
        ended = self._fetch(branch or USUAL)
        if not branch and _NO_BRANCH in ended.output:
            ended = self._fetch("HEAD")
        if ended.code:
            raise self._failed(ended, self._fetch_hint(ended.output))

    def _fetch(self, ref: str) -> Ended:
        options = ("--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules")
        return self._run("fetch", *options, "--", self._source.address, ref, timeout=FETCH_TIMEOUT)

    def _run(self, *arguments: str, timeout: float) -> Ended:
        return run_child(
            ["git", *_SETTINGS, *self._credentials(), *arguments],
            what=f"git {arguments[0]} of {self._source.origin}",
            env=self._env,
            cwd=self.folder,
            timeout=timeout,
            tell=self._tell,
        )

    def _credentials(self) -> Iterator[str]:
        """A helper that hands the token to this host alone; others are dropped, for they would write it down."""
        if self._token:
            parts = urlsplit(self._source.address)
            answer = f'test "$1" = get && printf "username=oauth2\\npassword=%s\\n" "${_TOKEN}"'
            yield from ("-c", "credential.helper=")
            yield from ("-c", f"credential.{parts.scheme}://{parts.netloc}.helper=!f() {{ {answer}; }}; f")

    def _failed(self, ended: Ended, hint: str) -> InstallFailed:
        said = ended.output.replace(self._token, "(hidden)") if self._token else ended.output
        lines = [line for line in said.splitlines() if line.startswith(("fatal:", "error:", "remote:"))]
        text = "; ".join(lines[:4] or said.strip().splitlines()[-2:]) or f"git ended with code {ended.code}"
        return InstallFailed(f"{self._source.origin}: {text[:600]}", hint=hint)

    def _fetch_hint(self, said: str) -> str:
        if re.search(r"could not read|Authentication failed|Permission denied|terminal prompts", said):
            if self._source.address.startswith("https://"):
                variable = token_variables(self._source.address)[-1]
                return f"give a token as `pat`, or as {variable} in the host's environment"
            return "the user who runs the host needs a key that the server knows"
        if _NO_BRANCH in said:
            return "name a branch, a tag or a full commit that is there"
        return "check address and network, or give a folder of the host's machine"


_SETTINGS = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.symlinks=true"),
    *("-c", "submodule.recurse=false"),
    *("-c", "fetch.recurseSubmodules=false"),
    *("-c", "http.followRedirects=initial"),
    *("-c", "gc.auto=0"),
    *("-c", "advice.detachedHead=false"),
)


def _environment(environ: Mapping[str, str], token: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in child_environment(environ).items()
        if not name.startswith("GIT_") or _ENVIRON.match(name)
    }
    ssh = shlex.quote(kept.get("GIT_SSH", "ssh"))
    fixed = {
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_SSH_COMMAND": kept.get("GIT_SSH_COMMAND") or f"{ssh} -o BatchMode=yes",
        "GIT_ALLOW_PROTOCOL": "https:ssh",
    }
    return {**kept, **fixed, **({_TOKEN: token} if token else {})}
