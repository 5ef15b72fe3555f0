"""Fetching from git over https: what arrives, what is refused, and where a token never is."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.git_server import GitServer, commit, repository

from iocmng.errors import InstallFailed, InstallRefused, IocmngError, NotFound
from iocmng.plugins.installing.git import token_variables, with_tokens
from iocmng.plugins.installing.model import Aborted, OriginKind
from iocmng.plugins.installing.sources import Built, build, of_source, parse
from iocmng.wire import SourceRequest

CODE = "from iocmng import TaskBase\nclass Tank(TaskBase):\n    def execute(self):\n        pass\n"
TOKEN = "s3cret-t0ken"


@dataclass
class World:
    """Repositories, two servers of them, and a folder for wheels."""

    tmp: Path
    open: GitServer
    closed: GitServer
    first: str

    def fetch(self, request: SourceRequest | str, lines: list[str] | None = None, **environ: str) -> Built:
        wanted = parse(request) if isinstance(request, str) else of_source(request)
        into = self.tmp / "wheels"
        home = {"HOME": str(self.tmp), "XDG_CONFIG_HOME": str(self.tmp / "none")}
        try:
            return build(
                wanted,
                into,
                ([] if lines is None else lines).append,
                environ={**os.environ, **home, **self.open.environ, **environ},
            )
        finally:
            left = [path for path in into.iterdir() if path.suffix != ".whl"]
            assert left == [], "scratch files stay behind"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    tmp = tmp_path_factory.mktemp("git")
    files = {
        "plugins/tank/tank.py": CODE,
        "plugins/tank/config.yaml": "{}",
        "plugins/tank/shared.py@": "../../shared.py",
        "shared.py": "WORD = 1\n",
        "requirements.txt": "numpy\n",
        "out@": "/etc",
        "evil/config.yaml": "{}",
        "evil/passwd.py@": "/etc/passwd",
    }
    repo = repository(tmp / "repos" / "plugins.git", files)
    first = commit(repo, {"plugins/tank/config.yaml": "description: second\n"})
    hooks = tmp / "hooks"
    hooks.mkdir()
    hook = hooks / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {shlex.quote(str(tmp / 'hook-ran'))}\n")
    hook.chmod(0o755)
    (tmp / ".gitconfig").write_text(f"[core]\n\thooksPath = {hooks}\n[credential]\n\thelper = store\n")
    try:
        opened = GitServer(tmp / "repos", tmp / "certificate.pem")
    except FileNotFoundError as missing:
        pytest.skip(f"git over https needs the programs openssl and git http-backend: {missing}")
    closed = GitServer(tmp / "repos", tmp / "certificate.pem", password=TOKEN)
    try:
        yield World(tmp, opened, closed, first)
    finally:
        opened.close()
        closed.close()


def source(server: GitServer, path: str = "plugins/tank", **more: str) -> SourceRequest:
    return SourceRequest(name="tank", git_url=f"{server.url}/plugins.git", path=path, **more)  # type: ignore[arg-type]


def test_a_plugin_directory_of_a_repository(world: World) -> None:
    lines: list[str] = []
    built = world.fetch(source(world.open), lines)
    assert (built.name, built.plugin) == ("iocmng-dir-tank", "tank")
    assert built.origin.kind is OriginKind.GIT_PLUGIN_DIRECTORY
    assert (built.origin.content, built.origin.path) == (world.first, "plugins/tank")
    assert any(world.first[:12] in line for line in lines)
    assert not (world.tmp / "hook-ran").exists()
    again = world.fetch(f"git+{world.open.url}/plugins.git@{world.first}#subdirectory=plugins/tank")
    assert (again.sha256, again.origin.branch) == (built.sha256, world.first)


@pytest.mark.parametrize("given", ["request", "variable", "address variable"])
def test_a_token_is_handed_over_and_stays_nowhere(world: World, given: str) -> None:
    if given == "request":
        world.fetch(source(world.closed, token=TOKEN))
    elif given == "variable":
        world.fetch(source(world.closed), **{token_variables(world.closed.url)[1]: TOKEN})
    else:
        environ = with_tokens({}, {f"{world.closed.url}/plugins.git": TOKEN, "ssh://git@h/x": "other"})
        assert len(environ) == 1
        world.fetch(source(world.closed), **environ)
    # A helper of the user would have written it down.
    kept = [path for path in world.tmp.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert kept == []


def test_a_token_is_in_no_argument(world: World) -> None:
    """A `git` before the real one notes what it was called with."""
    programs = world.tmp / "programs"
    programs.mkdir()
    noted = world.tmp / "noted"
    real = next(
        str(Path(folder, "git")) for folder in os.environ["PATH"].split(":") if Path(folder, "git").is_file()
    )
    program = programs / "git"
    program.write_text(f'#!/bin/sh\necho "$@" >> {noted}\nexec {real} "$@"\n')
    program.chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    world.fetch(source(world.closed, token=TOKEN), PATH=path)
    text = noted.read_text()
    assert "fetch" in text
    assert TOKEN not in text
    assert f"-- {world.closed.url}/plugins.git main" in text


def test_a_wrong_token_is_not_told(world: World) -> None:
    lines: list[str] = []
    with pytest.raises(InstallFailed) as failed:
        world.fetch(source(world.closed, token="wr0ng"), lines)
    assert "Authentication failed" in failed.value.detail
    assert "wr0ng" not in f"{failed.value} {lines}"
    with pytest.raises(InstallFailed) as failed:
        world.fetch(source(world.closed))
    assert "`pat`" in failed.value.hint
    assert "IOCMNG_GIT_TOKEN_127_0_0_1" in failed.value.hint


@pytest.mark.parametrize(
    ("more", "error", "says"),
    [
        ({"branch": "nowhere"}, InstallFailed, "nowhere"),
        ({"path": "nowhere"}, NotFound, "nowhere"),
        ({"path": "shared.py"}, NotFound, "no folder"),
        ({"path": "out"}, InstallRefused, "link out"),
        ({"path": "evil"}, InstallRefused, "passwd.py is a link out"),
    ],
)
def test_what_a_repository_has_not(
    world: World, more: dict[str, str], error: type[IocmngError], says: str
) -> None:
    with pytest.raises(error, match=says):
        world.fetch(source(world.open, **more))


def test_a_server_that_is_away(world: World) -> None:
    with pytest.raises(InstallFailed) as failed:
        world.fetch(SourceRequest(name="tank", git_url="https://127.0.0.1:1/x.git"))
    assert "127.0.0.1:1" in failed.value.detail
    assert "network" in failed.value.hint


def test_a_server_that_nobody_vouches_for_is_not_trusted(world: World) -> None:
    with pytest.raises(InstallFailed, match="certificate"):
        build(of_source(source(world.open)), world.tmp / "none", [].append, environ=os.environ)


def test_abort_ends_git(world: World) -> None:
    def tell(line: str) -> None:
        if "git fetch" in line:
            raise Aborted

    # What stands in ssh's place never answers.
    environ = {**os.environ, "GIT_SSH_COMMAND": "sleep 60 #"}
    wanted = of_source(SourceRequest(name="tank", git_url="ssh://git@127.0.0.1/x.git"))
    with pytest.raises(Aborted):
        build(wanted, world.tmp / "aborted", tell, environ=environ)
    assert list((world.tmp / "aborted").iterdir()) == []


def test_without_a_branch_main_comes_first(world: World) -> None:
    files = {"tank.py": CODE, "config.yaml": "{}"}
    old = repository(world.tmp / "repos" / "old.git", files, branch="master")
    built = world.fetch(SourceRequest(name="tank", git_url=f"{world.open.url}/old.git"))
    assert built.origin.kind is OriginKind.GIT_PLUGIN_DIRECTORY
    assert (old / ".git").is_dir()
    assert world.fetch(f"git+{world.open.url}/old.git").name == "iocmng-dir-old"


def test_submodules_are_not_fetched(world: World) -> None:
    repo = repository(world.tmp / "repos" / "super.git", {"tank.py": CODE, "config.yaml": "{}"})
    modules = f'[submodule "x"]\n\tpath = x\n\turl = {world.open.url}/plugins.git\n'
    commit(repo, {".gitmodules": modules})
    before = len(world.open.seen)
    world.fetch(SourceRequest(name="tank", git_url=f"{world.open.url}/super.git"))
    assert not any("plugins.git" in path for _, path, _ in world.open.seen[before:])
