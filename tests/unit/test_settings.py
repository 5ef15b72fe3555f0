"""The settings of a host: layers, origins, files, refusals."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from iocmng.errors import BadInput, ExitCode
from iocmng.settings import Settings, SiteFile, load_settings, sample


@pytest.fixture(autouse=True)
def _no_site_file_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        "iocmng.settings.sitefile.SITE_FILES", (Path("iocmng.yaml"), tmp_path / "etc" / "iocmng.yaml")
    )
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def load(
    cwd: Path, site: str | None = None, environ: dict[str, str] | None = None, **options: Any
) -> Settings:
    if site is not None:
        (cwd / "iocmng.yaml").write_text(site)
    return load_settings(options, environ or {}, cwd)


def refusal(
    cwd: Path, site: str | None = None, environ: dict[str, str] | None = None, **options: Any
) -> BadInput:
    with pytest.raises(BadInput) as refused:
        load(cwd, site, environ, **options)
    assert refused.value.exit_code is ExitCode.USAGE
    return refused.value


def origin(settings: Settings, key: str) -> str:
    return str(settings.describe()[key]["origin"])


def test_everything_has_a_default(tmp_path: Path) -> None:
    settings = load(tmp_path)
    machine = socket.gethostname().partition(".")[0].upper()
    assert settings.prefix.startswith("IOCMNG:")
    assert settings.prefix.replace("-", "").endswith(machine.replace("-", "").replace("_", "_"))
    assert settings.default_prefix
    assert settings.state_dir == tmp_path / "state" / "iocmng" / settings.prefix
    assert (settings.admin.host, settings.admin.port) == ("127.0.0.1", 8080)
    assert settings.admin.anonymous_role is None
    assert settings.disable_ophyd
    assert settings.pva
    assert settings.name == socket.gethostname()
    assert settings.findings == ()
    assert settings.file is None
    assert {entry["origin"] for entry in settings.describe().values()} == {"default"}


def test_command_line_over_environment_over_site_over_default(tmp_path: Path) -> None:
    site = "prefix: SITE\nadmin: {port: 1}\nlog: {level: WARNING}\nname: n\n"
    settings = load(tmp_path, site)
    assert (settings.prefix, settings.admin.port, settings.log.level, settings.name) == (
        "SITE",
        1,
        "WARNING",
        "n",
    )
    assert not settings.default_prefix
    assert origin(settings, "admin.port") == "site"
    assert origin(settings, "admin.host") == "default"
    environ = {"IOCMNG_PREFIX": "ENV", "IOCMNG_PORT": "2", "IOCMNG_LOG_LEVEL": "debug"}
    settings = load(tmp_path, site, environ)
    assert (settings.prefix, settings.admin.port, settings.log.level) == ("ENV", 2, "DEBUG")
    assert origin(settings, "admin.port") == "environment IOCMNG_PORT"
    settings = load(tmp_path, site, environ, prefix="CMD:", port=3, log_level="error", log_format="json")
    assert (settings.prefix, settings.admin.port, settings.log.level) == ("CMD", 3, "ERROR")
    assert settings.log.format == "json"
    assert origin(settings, "prefix") == "command line"


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    assert load(tmp_path, "prefix: SITE", {"IOCMNG_PREFIX": " ", "IOCMNG_PORT": ""}).prefix == "SITE"


def test_which_site_file(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "iocmng.yaml").write_text("prefix: ETC")
    assert load(tmp_path).prefix == "ETC"
    assert load(tmp_path, "prefix: HERE").prefix == "HERE"
    (tmp_path / "env.yaml").write_text("prefix: ENV")
    environ = {"IOCMNG_CONFIG": "env.yaml"}
    assert load(tmp_path, environ=environ).prefix == "ENV"
    (tmp_path / "cmd.yaml").write_text("prefix: CMD")
    settings = load(tmp_path, environ=environ, config=Path("cmd.yaml"))
    assert settings.prefix == "CMD"
    assert settings.file == tmp_path / "cmd.yaml"
    assert "no.yaml" in refusal(tmp_path, config="no.yaml").detail
    assert "IOCMNG_CONFIG" in refusal(tmp_path, environ={"IOCMNG_CONFIG": "no.yaml"}).detail


@pytest.mark.parametrize(
    ("site", "place", "says"),
    [
        ("prefx: A", "1:1", "did you mean 'prefix'"),
        ("admin: {prot: 1}", "1:9", "did you mean 'port'"),
        ("admin: {port: '80'}", "1:15", "a whole number"),
        ("admin: {port: 65536}", "1:15", "65535"),
        ("admin: {anonymous: root}", "1:20", "operator"),
        ("admin: {tokens: [{name: a, role: boss, token_file: x}]}", "1:34", "viewer"),
        ("admin: {tokens: [{name: a, role: admin}]}", "1:18", "token_file"),
        ("admin:\n  tokens: [{name: a, role: admin, token_file: x}, {name: a, role: admin, token_file: y}]",
         "2:58", "two tokens"),
        ("prefix: 'A B'", "1:9", "prefix 'A B'"),
        ("instances: [{name: a}]", "1:13", "'plugin'"),
        ("instances: [{plugin: a}, {plugin: b, name: a}]", "1:26", "two instances are named 'a'"),
        ("instances: [{plugin: a, prefix: HOST}]", "1:33", "host itself"),
        ("instances: [{plugin: 'a b'}]", "1:22", "does not match"),
        ("instances: [{plugin: a, supervision: {restrt: no}}]", "1:39", "did you mean 'restart'"),
        ("instances: [{plugin: a, supervision: {heartbeat_link: 'x://P'}}]", "1:55", "scheme 'x'"),
        ("log: {level: LOUD}", "1:14", "INFO"),
        ("log: {max_mb: 0}", "1:15", "greater than 0"),
        ("spares: {arrays: {float65: 1}}", "1:19", "float64"),
        ("exclude: one", "1:10", "a list"),
        ("only_listed: 3", "1:14", "true or false"),
        ("prefix: ${NO_SUCH}", "1:9", "NO_SUCH is not set"),
        ("prefix: ${NO SUCH}", "1:9", "${NAME:-default}"),
        ("a: [", "2:1", "not YAML"),
        ("- a", "1:1", "mapping"),
    ],
)  # fmt: skip
def test_a_fault_in_the_site_file_has_its_place(tmp_path: Path, site: str, place: str, says: str) -> None:
    refused = refusal(tmp_path, site)
    assert f"{tmp_path / 'iocmng.yaml'}:{place}: error: " in str(refused)
    assert says in str(refused)


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    assert len(refusal(tmp_path, "prefx: A\nadmin: {port: x}\nlog: {keep: -1}").detail.splitlines()) == 3


def test_a_variable_in_a_flow_mapping_gets_the_right_hint(tmp_path: Path) -> None:
    assert "over several lines" in str(refusal(tmp_path, "admin: {port: ${PORT}}", {"PORT": "1"}))


def test_variables_and_the_dotenv_file(tmp_path: Path) -> None:
    lines = [
        "# comment",
        "export SITE='LAB ONE'",
        "PORT=81 # the port",
        "BOTH=file",
        "IOCMNG_LOG_LEVEL=error",
    ]
    (tmp_path / ".env").write_text("\n".join([*lines, "EMPTY=", 'Q="a # b"', ""]))
    site = """\
prefix: ${P:-X}:${BOTH}
admin:
  port: ${PORT}
name: ${SITE}
state_dir: s-${EMPTY:-none}
pva: ${PVA:-no}
"""
    settings = load(tmp_path, site, {"BOTH": "ENV"})
    assert settings.prefix == "X:ENV"
    assert settings.admin.port == 81
    assert settings.name == "LAB ONE"
    assert settings.state_dir == tmp_path / "s-none"
    assert settings.pva is False
    assert settings.log.level == "ERROR"
    assert settings.environ["Q"] == "a # b"
    (tmp_path / ".env").write_text("A=1\nnonsense\n")
    assert f"{tmp_path / '.env'}:2:1" in refusal(tmp_path, site).detail
    (tmp_path / ".env").write_text("A='1\n")
    assert ":1:1" in refusal(tmp_path, site).detail


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"IOCMNG_PORT": "http"}, "IOCMNG_PORT='http'"),
        ({"IOCMNG_PORT": "70000"}, "65535"),
        ({"IOCMNG_PVA": "perhaps"}, "IOCMNG_PVA"),
        ({"IOCMNG_LOG_LEVEL": "lod"}, "INFO"),
        ({"IOCMNG_PREFIX": "A B"}, "IOCMNG_PREFIX"),
    ],
)
def test_a_fault_in_the_environment_names_the_variable(
    tmp_path: Path, environ: dict[str, str], says: str
) -> None:
    assert says in str(refusal(tmp_path, environ=environ))


@pytest.mark.parametrize(
    ("options", "says"),
    [({"prot": 1}, "'port'"), ({"port": 99999}, "command line"), ({"log_format": "xml"}, "'json'"),
     ({"prefix": "a b"}, "command line"), ({"prefix": "A" * 50}, "PV names"),
     ({"log_level": "x"}, "log.level")],
)  # fmt: skip
def test_a_fault_on_the_command_line(tmp_path: Path, options: dict[str, Any], says: str) -> None:
    assert says in str(refusal(tmp_path, **options))


def test_the_prefix_of_the_beamline(tmp_path: Path) -> None:
    def prefix(text: str) -> str:
        (tmp_path / "values.yaml").write_text(text)
        return load(tmp_path, environ={"IOCMNG_BEAMLINE_CONFIG": "values.yaml"}).prefix

    assert prefix("beamline: sparc\nnamespace: control") == "SPARC:CONTROL"
    assert prefix("beamline: sparc\nnamespace: Sparc\nother: {x: 1}") == "SPARC"
    assert prefix("beamline: sparc") == "SPARC"
    assert prefix("other: 1").startswith("IOCMNG:")
    settings = load(tmp_path, environ={"IOCMNG_BEAMLINE_CONFIG": "values.yaml", "IOCMNG_PREFIX": "P"})
    assert settings.prefix == "P"
    assert settings.beamline == {"other": 1}
    with pytest.raises(BadInput, match=r"values\.yaml:1:5"):
        prefix("a: [\x07")
    with pytest.raises(BadInput, match="beamline file"):
        prefix("beamline: 'a b'")
    missing = load(tmp_path, environ={"IOCMNG_BEAMLINE_CONFIG": "none.yaml"})
    assert [finding.code for finding in missing.findings] == ["missing-file"]


def test_the_state_directory(tmp_path: Path) -> None:
    assert load(tmp_path, prefix="A:B").state_dir == tmp_path / "state" / "iocmng" / "A:B"
    environ = {"IOCMNG_PLUGINS_DIR": "plugins"}
    assert load(tmp_path, environ=environ).state_dir == tmp_path / "plugins" / ".iocmng"
    assert load(tmp_path, environ={**environ, "IOCMNG_STATE_DIR": "st"}).state_dir == tmp_path / "st"
    assert (
        load(tmp_path, environ={**environ, "IOCMNG_STATE_DIR": "st"}, state_dir="cmd").state_dir
        == tmp_path / "cmd"
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "site.yaml").write_text("state_dir: mine\nautosave: {dir: save}\nlog: {dir: logs}")
    settings = load(tmp_path, config="sub/site.yaml")
    assert settings.state_dir == tmp_path / "sub" / "mine"
    assert settings.autosave_dir == tmp_path / "sub" / "save"
    assert settings.log_dir == tmp_path / "sub" / "logs"
    assert load(tmp_path, prefix="A").log_dir == tmp_path / "state" / "iocmng" / "A" / "log"
    assert load(tmp_path, environ=environ).takeover is None
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "autostart_plugins.yaml").write_text("plugins: []")
    assert load(tmp_path, environ=environ).takeover == tmp_path / "plugins" / "autostart_plugins.yaml"


TOKENS = "tokens: [{name: ops, role: operator, token_file: ops.token}]"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "myhost.lab", ""])
def test_an_open_address_needs_a_token(tmp_path: Path, host: str) -> None:
    if not host:
        assert "host" in refusal(tmp_path, "admin: {host: ''}").detail
        return
    refused = refusal(tmp_path, f"admin: {{host: '{host}'}}")
    assert refused.error_code == "bind-without-token"
    assert "iocmng.yaml:1:15" in refused.detail
    assert "token_file" in refused.hint
    assert refusal(tmp_path, "", {"IOCMNG_HOST": host}).error_code == "bind-without-token"
    assert refusal(tmp_path, "", host=host).error_code == "bind-without-token"
    settings = load(tmp_path, f"admin: {{host: '{host}', {TOKENS}}}")
    assert settings.admin.tokens[0].token_file == str(tmp_path / "ops.token")
    assert (
        load(tmp_path, "", {"IOCMNG_HOST": host, "IOCMNG_TOKEN": "s3cret-s3cret-s3cret"}).admin.host == host
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_loopback_needs_none(tmp_path: Path, host: str) -> None:
    assert load(tmp_path, f"admin: {{host: '{host}', anonymous: admin}}").admin.host == host


def test_an_open_address_gives_nobody_more_than_viewer(tmp_path: Path) -> None:
    for role in ("operator", "admin"):
        refused = refusal(tmp_path, f"admin: {{host: 0.0.0.0, anonymous: {role}, {TOKENS}}}")
        assert refused.error_code == "anonymous"
        assert "iocmng.yaml:1:" in refused.detail
    assert load(tmp_path, f"admin: {{host: 0.0.0.0, anonymous: viewer, {TOKENS}}}")


def test_instances(tmp_path: Path) -> None:
    site = """\
only_listed: yes
exclude: [noisy]
instances:
  - {plugin: beam, name: beam-2, prefix: B2, parameters: {gain: 2, dry: no}, enabled: no,
     supervision: {restart: no}}
  - plugin: beam
"""
    settings = load(tmp_path, site, only=("beam",), safe_mode=True)
    assert settings.only_listed
    assert settings.exclude == ("noisy",)
    assert settings.only == ("beam",)
    assert settings.safe_mode
    second = settings.of_instance("beam-2")
    assert second is not None
    assert second.parameters == {"gain": 2, "dry": False}
    assert (second.enabled, second.supervision.restart) == (False, "no")
    assert settings.of_instance("beam") is settings.instances[1]
    assert settings.of_instance("other") is None


def test_keys_without_effect_are_warned_about(tmp_path: Path) -> None:
    site = "spares: {ai: 3, arrays: {float64: 2}}\ninstall: {enabled: no, backend: pip}\nfleet: {url: x}\n"
    site += "ioc_stats: yes\nscripts: {roots: [/opt]}\nruns: {keep: 5}\n"
    settings = load(tmp_path, site)
    keys = [finding.where.key for finding in settings.findings]
    assert keys == ["ioc_stats", "fleet"]
    assert {finding.code for finding in settings.findings} == {"no-effect-yet"}
    assert (settings.spares.ai, settings.spares.arrays.float64, settings.runs.keep) == (3, 2, 5)


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    site = """\
instances: [{plugin: a, parameters: {password: hunter2, deep: {api_key: hunter2, list: [{token: hunter2}]}}}]
fleet: {url: 'nats://user:hunter2@host:4222', secret: hunter2, pass: hunter2}
install: {index: 'https://user:hunter2@index.example/simple'}
"""
    settings = load(tmp_path, site, {"IOCMNG_TOKEN": "hunter2-hunter2-hunter2"})
    shown = json.dumps(settings.describe())
    assert "hunter2" not in shown
    assert "host:4222" in shown
    assert settings.describe()["token"] == {"value": "(hidden)", "origin": "environment IOCMNG_TOKEN"}
    assert "hunter2-hunter2" not in repr(settings)


def test_everything_shown_is_json_and_has_an_origin(tmp_path: Path) -> None:
    shown = load(tmp_path, sample()).describe()
    assert json.loads(json.dumps(shown)) == shown
    assert shown["site_file"]["value"] == str(tmp_path / "iocmng.yaml")
    assert all(entry["origin"] for entry in shown.values())


def test_the_sample_is_valid_and_states_the_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path, sample())
    assert settings.findings == ()
    default = SiteFile()
    site = SiteFile.model_validate(yaml.safe_load(sample()))
    for key in SiteFile.model_fields:
        if key != "prefix":
            assert getattr(site, key) == getattr(default, key), key
    for key in SiteFile.model_fields.keys() - {"ioc_stats", "fleet"}:
        assert f"{key}:" in sample(), key


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = load(tmp_path)
    with pytest.raises(AttributeError):
        settings.prefix = "X"  # type: ignore[misc]
