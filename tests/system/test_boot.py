"""How a host starts, and how it refuses to: each time with the reason and an exit code."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from children import ending
from environments import outside
from hosts import own_world
from support.started import Started, command, ended, started, until

PREFIX = "BOOT"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """A host whose ports and directory others would like to have."""
    with started(tmp_path_factory.mktemp("first"), f"{PREFIX}1") as host:
        yield host


def nothing_started(home: Path) -> bool:
    return not (home / "state" / "ioc").exists()


def test_a_busy_http_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    world = own_world(tmp_path)
    with socket.socket() as held:
        held.bind(("127.0.0.1", int(world["IOCMNG_PORT"])))
        held.listen()
        done = ended(tmp_path, world, "--prefix", PREFIX)
    assert done.returncode == 1, done.stderr
    assert world["IOCMNG_PORT"] in done.stderr
    assert "Traceback" not in done.stderr
    assert nothing_started(tmp_path)


def test_a_held_state_directory_is_refused_and_its_holder_named(first: Started, tmp_path: Path) -> None:
    world = {**own_world(tmp_path), "IOCMNG_STATE_DIR": str(first.state_dir)}
    done = ended(tmp_path, world, "--prefix", PREFIX)
    assert done.returncode == 1, done.stderr
    assert f"process {first.host.process.pid} on " in done.stderr
    assert f"{PREFIX}1" in done.stderr
    assert first.host.url in done.stderr
    assert "--state-dir" in done.stderr
    assert first.client.host().state == "RUN"


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("prefix: X\nadmin:\n  prot: 8080\n", "2?:3:3", "port"),
        ("prefix: X\nadmin: {port: many}\n", ":2:15", "port"),
        ("prefix: [\n", ":2:1", ""),
        ("prefix: ${NOT_SET_ANYWHERE}\n", ":1:9", "NOT_SET_ANYWHERE"),
    ],
)
def test_a_bad_site_file_is_refused_with_its_place(tmp_path: Path, text: str, where: str, says: str) -> None:
    site = tmp_path / "iocmng.yaml"
    site.write_text(text)
    done = ended(tmp_path, own_world(tmp_path), "--config", str(site))
    assert done.returncode == 2, done.stderr
    assert re.search(rf"iocmng\.yaml{where}", done.stderr), done.stderr
    assert says in done.stderr
    assert nothing_started(tmp_path)


def test_another_address_without_a_token_is_refused_and_how_to_have_one_said(tmp_path: Path) -> None:
    done = ended(tmp_path, own_world(tmp_path), "--prefix", PREFIX, "--host", "0.0.0.0")
    assert done.returncode == 2, done.stderr
    assert "0.0.0.0" in done.stderr
    assert "token" in done.stderr
    assert nothing_started(tmp_path)


def test_busy_epics_ports_are_told_as_problems(first: Started, tmp_path: Path) -> None:
    taken = {key: value for key, value in first.host.env.items() if key.startswith("EPICS_")}
    with started(tmp_path, f"{PREFIX}2", env=taken) as second:
        told = second.client.host()
        ca, pva = taken["EPICS_CAS_SERVER_PORT"], taken["EPICS_PVAS_SERVER_PORT"]
        assert told.state == "RUN"
        assert told.ca_port != int(ca)
        assert told.pva_port != int(pva)
        for protocol, asked, real in (("CA", ca, told.ca_port), ("PVA", pva, told.pva_port)):
            (problem,) = (one for one in told.problems if one.startswith(f"{protocol} port {asked} is busy"))
            assert str(real) in problem
            assert problem in second.host.output
        assert "is busy" in second.iocmng("status").stdout


def test_an_access_file_that_epics_refuses_fails_the_boot(tmp_path: Path) -> None:
    access = tmp_path / "site.acf"
    access.write_text("ASG(DEFAULT) { RULE(1, WRITE\n")
    site = tmp_path / "iocmng.yaml"
    site.write_text(f"prefix: {PREFIX}\naccess_security: {access}\n")
    done = ended(tmp_path, own_world(tmp_path), "--config", str(site))
    assert done.returncode == 1, done.stderr
    assert "access" in done.stderr.lower()
    assert "Traceback" not in done.stderr
    log = (tmp_path / "state" / "log" / "HOST.log").read_text()
    assert "boot failed" in log


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB of which 8 are left."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)],
        capture_output=True,
        text=True,
        timeout=20,
    )
    if mounted.returncode:
        pytest.skip(f"needs the right to mount: {mounted.stderr.strip()}")
    (disk / "full").write_bytes(bytes(56 * 1024))
    yield disk
    subprocess.run(["umount", str(disk)], check=True, timeout=20)


def test_a_full_disk_fails_the_boot_in_words(small_disk: Path, tmp_path: Path) -> None:
    world = {**own_world(tmp_path), "IOCMNG_STATE_DIR": str(small_disk / "state")}
    done = ended(tmp_path, world, "--prefix", PREFIX)
    assert done.returncode == 1, done.stderr
    assert "No space left on device" in done.stderr
    assert f"make room in {small_disk / 'state'}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("lock", signal.SIGTERM),
        ("boots.json", signal.SIGINT),
        ("ioc/records.db", signal.SIGTERM),
        ("ioc/access.acf", signal.SIGINT),
    ],
)
def test_a_signal_during_the_boot_ends_it_in_order(tmp_path: Path, number: int, moment: str) -> None:
    world = own_world(tmp_path)
    process = subprocess.Popen(
        command("run", "--prefix", PREFIX),
        cwd=tmp_path,
        env={**outside(), **world},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with ending(process):
        file = tmp_path / "state" / moment
        until(lambda: file.exists() or process.poll() is not None, f"{moment} is written")
        process.send_signal(number)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    counted = tmp_path / "state" / "boots.json"
    assert not counted.exists() or '"attempts": 0' in counted.read_text()


def killed_at_boot(home: Path, world: dict[str, str]) -> None:
    """Start a host and kill it before it serves."""
    counted = home / "state" / "boots.json"
    before = counted.read_text() if counted.exists() else ""
    process = subprocess.Popen(
        command("run", "--prefix", PREFIX),
        cwd=home,
        env={**outside(), **world},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with ending(process):
        until(lambda: counted.exists() and counted.read_text() != before, "the boot is counted")
        process.kill()


def test_three_failed_boots_lead_to_safe_mode_and_a_good_one_out_of_it(tmp_path: Path) -> None:
    world = own_world(tmp_path)
    for _ in range(3):
        killed_at_boot(tmp_path, world)
    with started(tmp_path, PREFIX, env=world) as host:
        assert "SAFE MODE: 3 boots in a row have failed" in host.host.output
        told = host.client.host()
        assert told.state == "SAFE_MODE"
        assert "3 boots" in told.message
        words = host.iocmng("status").stdout
        assert "SAFE" in words
        assert "3 boots in a row have failed" in words
        assert host.client.pv(f"{PREFIX}:HOST:SAFE_MODE").severity == "MINOR"
        assert host.host.read("ca", f"{PREFIX}:HOST:STATE", wanted=2) == 2
        assert host.host.read("pva", f"{PREFIX}:HOST:SAFE_MODE", wanted=1) == 1
        assert host.host.stop() == 0
    with started(tmp_path, PREFIX, env=world) as host:
        assert host.client.host().state == "RUN"


def test_safe_mode_can_be_asked_for(tmp_path: Path) -> None:
    world = own_world(tmp_path)
    with started(tmp_path, PREFIX, "--safe-mode", env=world) as host:
        assert host.client.host().state == "SAFE_MODE"
        assert host.client.list() == []
        assert host.client.ready() is None


def test_the_state_directory_is_private(first: Started) -> None:
    assert first.state_dir.stat().st_mode & 0o777 == 0o700
    assert (first.state_dir / "token").stat().st_mode & 0o777 == 0o600
    open_to_others = [
        str(path)
        for path in first.state_dir.rglob("*")
        if path.is_file() and path.stat().st_mode & 0o077 and path.parent == first.state_dir
    ]
    assert open_to_others == []


def test_a_dead_hosts_lock_is_no_obstacle(tmp_path: Path) -> None:
    world = own_world(tmp_path)
    killed_at_boot(tmp_path, world)
    assert (tmp_path / "state" / "lock").read_text()
    with started(tmp_path, PREFIX, env=world) as host:
        assert host.client.host().state == "RUN"
