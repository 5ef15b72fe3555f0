"""What a request names, and the wheel that is made of a wheel, a project or a plugin directory."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from support.wheels import wheel

from iocmng.errors import BadInput, InstallFailed, InstallRefused, IocmngError, NotFound
from iocmng.plugins.directory import described
from iocmng.plugins.environment import Environment
from iocmng.plugins.installing.discovered import advertised_with
from iocmng.plugins.installing.index import Index
from iocmng.plugins.installing.model import Aborted, Lock, Origin, OriginKind, Root
from iocmng.plugins.installing.sources import Built, Wanted, build, of_root, of_source, parse, wanted_of
from iocmng.plugins.installing.sources_index import build_environ
from iocmng.settings.directories import PluginDirectory, instance_settings
from iocmng.settings.settings import Settings
from iocmng.wire import InstallRequest, SourceRequest

CODE = "from iocmng import TaskBase\nclass Tank(TaskBase):\n    def execute(self):\n        pass\n"
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "Acme.Tank"
version = "1.2"
[project.entry-points."iocmng.plugins"]
tank = "acme_tank:Tank"
[tool.hatch.build.targets.wheel]
packages = ["acme_tank"]
"""


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def directory(tmp: Path, name: str = "tank", config: str = "{}") -> Path:
    return write(tmp / name, {"plugin.py": CODE, "config.yaml": config})


def project(tmp: Path, more: Mapping[str, str] | None = None) -> Path:
    files = {"pyproject.toml": PROJECT, "acme_tank/__init__.py": "", **(more or {})}
    return write(tmp / "project", files)


def made(wanted: Wanted, into: Path) -> Built:
    lines: list[str] = []
    try:
        return build(wanted, into, lines.append, environ=os.environ)
    finally:
        wheels = list(into.iterdir())
        assert [one for one in wheels if one.suffix != ".whl"] == [], "scratch files stay behind"


def local(name: str, folder: Path | str, **more: object) -> SourceRequest:
    return SourceRequest(name=name, local_path=str(folder), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "requirement", "name"),
    [
        ("acme-beam", "acme-beam", "acme-beam"),
        (" Acme_Beam >= 2 ", "Acme_Beam>=2", "acme-beam"),
        ("acme[fast]==2.1; python_version > '3'", 'acme[fast]==2.1; python_version > "3"', "acme"),
    ],
)
def test_requirements_of_an_index(text: str, requirement: str, name: str) -> None:
    wanted = parse(text)
    assert (wanted.from_index, wanted.requirement, wanted.name) == (True, requirement, name)


@pytest.mark.parametrize(
    ("text", "origin", "name"),
    [
        ("/srv/tank", Origin(kind=OriginKind.PROJECT, address="/srv/tank"), ""),
        ("/srv/t-1-py3-none-any.whl", Origin(kind=OriginKind.WHEEL, address="/srv/t-1-py3-none-any.whl"), ""),
        ("Acme.X @ /srv/tank", Origin(kind=OriginKind.PROJECT, address="/srv/tank"), "acme-x"),
        ("git+https://h.org/a/b.git", Origin(kind=OriginKind.GIT, address="https://h.org/a/b.git"), ""),
        (
            "git+https://h.org:8443/b@v1/x#subdirectory=p/q&egg=b",
            Origin(kind=OriginKind.GIT, address="https://h.org:8443/b", branch="v1/x", path="p/q"),
            "",
        ),
        (
            "git+ssh://git@h.org/b@v1",
            Origin(kind=OriginKind.GIT, address="ssh://git@h.org/b", branch="v1"),
            "",
        ),
        ("b @ git+ssh://git@h.org/b", Origin(kind=OriginKind.GIT, address="ssh://git@h.org/b"), "b"),
    ],
)
def test_what_is_built_first(text: str, origin: Origin, name: str) -> None:
    wanted = parse(text)
    assert (wanted.origin, wanted.name, wanted.from_index) == (origin, name, False)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "one line"),
        ("a\nb", "one line"),
        ("a\x00b", "one line"),
        ("x" * 3000, "one line"),
        ("--index-url=https://x", "option"),
        ("-e .", "option"),
        ("./tank", "absolute"),
        ("tank/", "absolute"),
        ("tank-1-py3-none-any.whl", "absolute"),
        ("~/tank", "absolute"),
        ("/srv/../etc", "'..'"),
        ("a b c", "no requirement"),
        ("acme=2", "no requirement"),
        ("https://h.org/a-1-py3-none-any.whl", "download the wheel"),
        ("acme @ https://h.org/a-1-py3-none-any.whl", "download the wheel"),
        ("file:///srv/tank", "not fetched"),
        ("git+file:///srv/repo", "file:// is not fetched from"),
        ("git+http://h.org/a", "http:// is not fetched from"),
        ("git+git://h.org/a", "git:// is not fetched from"),
        ("git+ext::sh -c id", "not fetched from"),
        ("git+https://h.org", "no repository"),
        ("git+https://h.org/../x", "no repository"),
        ("git+https://-oProxyCommand=id/x", "no host"),
        ("git+ssh://-oProxyCommand=id/x", "no host"),
        ("git+https://h.org/a@-u", "name of a branch"),
        ("git+https://h.org/a@x..y", "name of a branch"),
        ("git+https://h.org/a@x:y", "name of a branch"),
        ("git+https://h.org/a@+x", "name of a branch"),
        ("git+https://h.org/a#subdirectory=../x", "'..'"),
        ("git+https://h.org/a#subdirectory=/x", "not inside"),
        ("git+https://h.org/a#subdirectory=%2e%2e", "may not hold"),
        ("git+https://h.org/a#subdirectory=.git/hooks", "git's own"),
        ("git+https://h.org/a#branch=x", "not known"),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(text)
    assert says in str(refused.value)
    assert len(refused.value.detail) < 300


@pytest.mark.parametrize(
    "text",
    [
        "git+https://s3cret@h.org/a",
        "git+https://me:s3cret@h.org/a",
        "git+ssh://git:s3cret@h.org/a",
        "git+https://h.org/a?private_token=s3cret",
        "acme @ git+https://s3cret@h.org/a@main",
        "https://me:s3cret@h.org/a.whl",
    ],
)
def test_a_secret_in_an_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(text)
    assert "s3cret" not in str(refused.value)
    if "whl" not in text:
        assert "`pat`" in refused.value.hint


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (SourceRequest(name="a"), "neither"),
        (SourceRequest(name="a", git_url="https://h.org/a", local_path="/srv"), "both"),
        (SourceRequest(name="../a", local_path="/srv"), "does not match"),
        (SourceRequest(name="%2e%2e", local_path="/srv"), "does not match"),
        (SourceRequest(name="a" * 129, local_path="/srv"), "at most"),
        (SourceRequest(name="a", local_path="srv"), "absolute"),
        (SourceRequest(name="a", local_path="/srv/../etc"), "'..'"),
        (SourceRequest(name="a", local_path="/srv", path="../x"), "'..'"),
        (SourceRequest(name="a", local_path="/srv", path="/etc"), "not inside"),
        (SourceRequest(name="a", local_path="/srv", path="x/%2e%2e/y"), "may not hold"),
        (SourceRequest(name="a", local_path="/srv", path="x\\..\\y"), "may not hold"),
        (SourceRequest(name="a", local_path="/srv", branch="main"), "branch"),
        (SourceRequest(name="a", git_url="/srv/repo"), "https://"),
        (SourceRequest(name="a", git_url="file:///srv/repo"), "https://"),
        (SourceRequest(name="a", git_url="--upload-pack=id"), "https://"),
        (SourceRequest(name="a", git_url="https://s3cret@h.org/a"), "pat"),
    ],
)
def test_sources_that_are_refused(source: SourceRequest, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        of_source(source)
    assert says in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_a_source_of_the_previous_system() -> None:
    wanted = of_source(
        SourceRequest(
            name="tank",
            git_url="git@h.org:group/repo.git",
            path="./plugins//tank",
            branch="v1",
            auto_start=False,
            autostart_order=3,
            parameters={"n": 1},
        )
    )
    assert wanted.origin == Origin(
        kind=OriginKind.GIT, address="ssh://git@h.org/group/repo.git", path="plugins/tank", branch="v1"
    )
    assert wanted.plugin == "tank"
    site = instance_settings("tank", wanted.instance)
    assert (site.enabled, site.parameters, site.supervision.start_order) == (False, {"n": 1}, 3)
    secret = of_source(SourceRequest(name="a", git_url="https://h.org/a", token="s3cret"))
    assert "s3cret" not in repr(secret)
    assert secret.token == "s3cret"
    assert of_source(SourceRequest(name="a", git_url="ssh://git@h.org/a", token="s3cret")).token == ""
    request = InstallRequest(requirements=("acme",), source=local("a", "/srv"), sources=(local("b", "/srv"),))
    assert [one.name or one.plugin for one in wanted_of(request)] == ["acme", "a", "b"]


def test_a_plugin_directory_becomes_a_wheel(tmp_path: Path) -> None:
    folder = directory(tmp_path, config="class: Tank\n")
    write(folder, {"requirements.txt": "numpy>=1\nnot a requirement\n"})
    first = made(of_source(local("tank", folder)), tmp_path / "one")
    assert (first.name, first.plugin) == ("iocmng-dir-tank", "tank")
    assert first.version.startswith("0+")
    assert first.origin.kind is OriginKind.PLUGIN_DIRECTORY
    assert first.origin.address == str(folder)
    again = made(parse(str(folder)), tmp_path / "two")
    assert (again.sha256, again.origin, again.plugin) == (first.sha256, first.origin, "tank")
    (folder / "config.yaml").write_text("class: Tank\ndescription: new\n")
    other = made(
        of_root(Root(name=first.name, requirement="", origin=first.origin, plugin="tank")), tmp_path / "x"
    )
    assert other.version != first.version
    assert other.origin.content != first.origin.content


def test_a_directory_is_discovered_as_its_author_wrote_it(tmp_path: Path) -> None:
    folder = directory(tmp_path, config="class: Nobody\n")
    built = made(of_source(local("tank", folder, parameters={"n": 2})), tmp_path / "wheels")
    site = tmp_path / "site"
    zipfile.ZipFile(built.wheel).extractall(site)
    environment = Environment.read([str(site)])
    root = Root(
        name=built.name,
        requirement=f"{built.name}=={built.version}",
        origin=built.origin,
        plugin="tank",
        instance={"parameters": {"n": 2}, "auto_start": False},
    )
    (found,) = advertised_with(environment, Lock(python="3.11", base={}, roots=(root,)), importable=False)
    assert (found.lenient, found.plugin.origin, found.plugin.folder) == (True, "directory", str(folder))
    assert found.shown == (str(site / "iocmng_dir_tank"), str(folder))
    assert found.site is not None
    assert (found.site.parameters, found.site.enabled) == ({"n": 2}, False)
    assert [(one.code, one.where.file) for one in found.findings] == [("class-missing", str(folder))]
    (plain,) = advertised_with(environment, None, importable=False)
    assert (plain.lenient, plain.site, plain.plugin.folder) == (True, None, "")
    assert described(environment, environment.installed["iocmng-dir-tank"]) == plain


def test_what_the_list_of_plugins_says_now_counts(tmp_path: Path) -> None:
    built = made(of_source(local("tank", directory(tmp_path), parameters={"n": 1})), tmp_path / "wheels")
    zipfile.ZipFile(built.wheel).extractall(tmp_path / "site")
    environment = Environment.read([str(tmp_path / "site")])
    instance = of_source(local("tank", tmp_path, listed=True)).instance
    root = Root(name=built.name, requirement="", origin=built.origin, plugin="tank", instance=instance)
    lock = Lock(python="3.11", base={}, roots=(root,))

    def found(*entries: PluginDirectory, **more: object) -> list[dict[str, object]]:
        settings = Settings(prefix="T", state_dir=tmp_path, plugins=entries, **more)  # type: ignore[arg-type]
        plugins = advertised_with(environment, lock, importable=False, settings=settings)
        return [dict(one.site.parameters) for one in plugins if one.site]

    entry = PluginDirectory(name="tank", settings=instance_settings("tank", {"parameters": {"n": 5}}))
    assert found(entry) == [{"n": 5}]
    assert found() == []
    assert found(instances=(instance_settings("tank", {}),)) == [{}]


def test_a_project_becomes_a_wheel(tmp_path: Path) -> None:
    folder = project(tmp_path, {"config.yaml": "{}"})
    wanted = of_source(local("tank", tmp_path, path="project"))
    built = made(wanted, tmp_path / "wheels")
    assert (built.name, built.version, built.plugin) == ("acme-tank", "1.2", "tank")
    assert built.origin.kind is OriginKind.PROJECT
    assert sorted(path.name for path in folder.iterdir()) == ["acme_tank", "config.yaml", "pyproject.toml"]
    again = made(parse(f"acme-tank @ {folder}"), tmp_path / "more")
    assert (again.sha256, again.origin.content, again.plugin) == (built.sha256, built.origin.content, "")
    with pytest.raises(InstallRefused, match="is acme-tank, not other"):
        made(parse(f"other @ {folder}"), tmp_path / "none")
    with pytest.raises(InstallRefused, match="which brings tank"):
        made(of_source(local("pump", folder)), tmp_path / "none")


def test_settings_of_tools_do_not_make_a_project(tmp_path: Path) -> None:
    folder = directory(tmp_path)
    write(folder, {"pyproject.toml": "[tool.ruff]\nline-length = 100\n"})
    assert made(parse(str(folder)), tmp_path / "wheels").name == "iocmng-dir-tank"


def test_a_build_sees_no_secrets_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOCMNG_TOKEN", "s3cret")
    monkeypatch.setenv("PLAIN", "seen")
    backend = (
        "import os\nfrom hatchling.build import *\nfrom hatchling.build import build_wheel as real\n"
        "def build_wheel(*args, **kwargs):\n"
        "    open('acme_tank/__init__.py', 'w').write(repr(dict(os.environ)))\n    return real(*args, **kwargs)\n"
    )
    folder = project(tmp_path, {"backend.py": backend})
    text = PROJECT.replace('"hatchling.build"', '"backend"\nbackend-path = ["."]')
    (folder / "pyproject.toml").write_text(text)
    built = made(parse(str(folder)), tmp_path / "wheels")
    with zipfile.ZipFile(built.wheel) as archive:
        seen = archive.read("acme_tank/__init__.py").decode()
    assert "s3cret" not in seen
    assert "'PLAIN': 'seen'" in seen
    assert (folder / "acme_tank" / "__init__.py").read_text() == ""


def test_a_backend_that_fails_says_what_it_said(tmp_path: Path) -> None:
    folder = project(tmp_path)
    (folder / "pyproject.toml").write_text(PROJECT.replace('packages = ["acme_tank"]', "packages = 5"))
    with pytest.raises(InstallFailed) as failed:
        made(parse(str(folder)), tmp_path / "wheels")
    assert "packages" in failed.value.detail


def test_abort_ends_a_build(tmp_path: Path) -> None:
    folder = project(tmp_path)

    def tell(line: str) -> None:
        raise Aborted

    with pytest.raises(Aborted):
        build(parse(str(folder)), tmp_path / "wheels", tell, environ=os.environ)
    assert list((tmp_path / "wheels").iterdir()) == []


def test_a_wheel_is_copied(tmp_path: Path) -> None:
    first = made(of_source(local("tank", directory(tmp_path))), tmp_path / "one")
    second = made(parse(str(first.wheel)), tmp_path / "two")
    assert second.wheel == tmp_path / "two" / first.wheel.name
    assert (second.sha256, second.version, second.origin.kind) == (
        first.sha256,
        first.version,
        OriginKind.WHEEL,
    )
    assert first.wheel.read_bytes() == second.wheel.read_bytes()


def damaged(whole: Path) -> Iterator[tuple[str, Path, str]]:
    """Ways in which a wheel is none: name of the way, file, what is said."""
    folder = whole.parent
    cut = folder / "cut" / whole.name
    flipped = folder / "flipped" / whole.name
    for path in (cut, flipped):
        path.parent.mkdir()
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    at = content.index(b"iocmng_dir_tank/plugin.py") + 60
    flipped.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
    yield "cut", cut, "damaged"
    yield "flipped", flipped, "damaged"
    for way, change, says in (
        ("changed", {"iocmng_dir_tank/plugin.py": b"import os\n"}, "RECORD"),
        ("added", {"other.py": b""}, "not in RECORD"),
        ("outside", {"../outside.py": b""}, "elsewhere"),
        ("absolute", {"/etc/x": b""}, "elsewhere"),
        ("two", {"b-1.dist-info/METADATA": b""}, "folders of metadata"),
    ):
        path = folder / way / whole.name
        path.parent.mkdir()
        with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                new.writestr(name, change.get(name, old.read(name)))
            for name in change.keys() - set(old.namelist()):
                new.writestr(name, change[name])
        yield way, path, says
    for way, name, says in (
        ("renamed", "other-1-py3-none-any.whl", "says that it is"),
        ("version", "iocmng_dir_tank-2-py3-none-any.whl", "says that it is"),
        ("foreign", whole.name.replace("py3-none-any", "cp27-cp27m-win32"), "built for"),
        ("name", "tank.whl", "not called as wheels are"),
    ):
        path = folder / way / name
        path.parent.mkdir()
        path.write_bytes(content)
        yield way, path, says


def test_wheels_that_are_none(tmp_path: Path) -> None:
    whole = made(of_source(local("tank", directory(tmp_path))), tmp_path / "one").wheel
    for way, path, says in damaged(whole):
        with pytest.raises(InstallRefused) as refused:
            made(parse(str(path)), tmp_path / "two")
        assert says in refused.value.detail, way
        assert list((tmp_path / "two").iterdir()) == [], way


@pytest.mark.parametrize(
    ("path", "error", "says"),
    [
        ("nowhere", NotFound, "no folder"),
        ("out", InstallRefused, "link out"),
        ("tank/linked", InstallRefused, "link out"),
        ("empty", InstallRefused, "no package project and no plugin directory"),
    ],
)
def test_folders_that_are_none(tmp_path: Path, path: str, error: type[IocmngError], says: str) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.py").write_text("")
    top = tmp_path / "top"
    directory(top)
    (top / "empty").mkdir()
    (top / "out").symlink_to(tmp_path / "secret")
    write(top / "tank" / "linked", {"config.yaml": "{}"})
    (top / "tank" / "linked" / "key.py").symlink_to(tmp_path / "secret" / "key.py")
    with pytest.raises(error, match=says):
        made(of_source(local("x", top, path=path)), tmp_path / "wheels")


def test_links_inside_of_the_source_are_followed(tmp_path: Path) -> None:
    top = tmp_path / "top"
    folder = directory(top)
    (top / "shared.py").write_text("WORD = 1\n")
    (folder / "shared.py").symlink_to("../shared.py")
    built = made(of_source(local("tank", top, path="tank")), tmp_path / "wheels")
    with zipfile.ZipFile(built.wheel) as archive:
        assert archive.read("iocmng_dir_tank/shared.py") == b"WORD = 1\n"


def test_programs_stay_programs(tmp_path: Path) -> None:
    folder = directory(tmp_path)
    before = made(parse(str(folder)), tmp_path / "one").version
    write(folder, {"run.sh": "#!/bin/sh\n"})
    (folder / "run.sh").chmod(0o755)
    built = made(parse(str(folder)), tmp_path / "two")
    assert built.version != before
    with zipfile.ZipFile(built.wheel) as archive:
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in archive.infolist()}
    assert (modes["iocmng_dir_tank/run.sh"], modes["iocmng_dir_tank/plugin.py"]) == (0o755, 0o644)


BACKEND = """
import base64, hashlib, os, zipfile

def build_wheel(folder, settings=None, metadata=None):
    files = {
        "made.py": repr(os.environ.get("UV_DEFAULT_INDEX", "")),
        "made-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: made\\nVersion: 1\\n",
        "made-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "made-1.dist-info/RECORD": "",
    }
    for name, text in list(files.items())[:-1]:
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        files["made-1.dist-info/RECORD"] += f"{name},sha256={digest},{len(text)}\\n"
    with zipfile.ZipFile(os.path.join(folder, "made-1-py3-none-any.whl"), "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return "made-1-py3-none-any.whl"
"""


@pytest.mark.parametrize("index", ["folder", "login", "empty"])
def test_what_a_build_asks_for_comes_from_the_sites_index(tmp_path: Path, index: str) -> None:
    address = tmp_path / "index"
    address.mkdir()
    if index != "empty":
        wheel(address, "tiny-backend-of-tests", files={"tiny_backend_of_tests/__init__.py": BACKEND})
    text = '[build-system]\nrequires = ["tiny-backend-of-tests"]\nbuild-backend = "tiny_backend_of_tests"\n'
    write(tmp_path / "project", {"pyproject.toml": text})
    setting = "https://me:s3cret@127.0.0.1:1/simple" if index == "login" else str(address)
    environ = build_environ(Index.of(setting, {**os.environ, "UV_INDEX_URL": "https://127.0.0.1:1/other"}))
    assert "https://127.0.0.1:1/other" not in environ.values()
    assert "s3cret" not in str(environ)
    wanted = parse(str(tmp_path / "project"))
    if index == "folder":
        assert build(wanted, tmp_path / "wheels", lambda line: None, environ=environ).name == "made"
        return
    with pytest.raises(InstallFailed, match="tiny-backend-of-tests"):
        build(wanted, tmp_path / "wheels", lambda line: None, environ=environ)
