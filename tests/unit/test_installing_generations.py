"""Generations, their pointer and the lock on disk: numbers, damage, what may go, one at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from children import PATIENCE, Lines, ending
from support.installer_place import free

from iocmng.errors import InstallFailed, InstallRefused, NotFound
from iocmng.plugins.installing.child import run_child
from iocmng.plugins.installing.generations import MARKER, Generations, python_version, usable
from iocmng.plugins.installing.lock import format_lock, parse_lock, read_lock, write_lock
from iocmng.plugins.installing.model import Generation, Lock, Locked, Origin, OriginKind, Pointer, Root
from iocmng.plugins.installing.onlyone import only_one
from iocmng.version import VERSION

SHA = 64 * "a"


def a_lock(version: str = "1.0", wheel: str = "") -> Lock:
    locked = Locked(
        name="acme-beam",
        version=version,
        wheel=wheel or f"aa/acme_beam-{version}-py3-none-any.whl",
        sha256=SHA,
        origin=Origin(
            kind=OriginKind.GIT, address="https://git.example/acme", branch="main", content="c0ffee"
        ),
    )
    root = Root(
        name="acme-beam", requirement=f"acme-beam=={version}", plugin="beam", instance={"auto_start": False}
    )
    return Lock(
        python=python_version(),
        base={"iocmng": VERSION, "numpy": "2.0"},
        roots=(root,),
        distributions=(locked,),
    )


def put(generations: Generations, lock: Lock | None = None) -> Generation:
    number = generations.next_number()
    folder = generations.folder / str(number)
    site = folder / "env" / "site-packages"
    site.mkdir(parents=True)
    made = Generation(number=number, folder=folder, site=site, created=5.0, lock=lock or a_lock())
    generations.write_marker(made)
    return made


@pytest.fixture
def generations(tmp_path: Path) -> Generations:
    return Generations(tmp_path)


def test_a_lock_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_lock(tmp_path, a_lock())
    found = read_lock(tmp_path)
    assert (found.value, found.problem) == (a_lock(), "")
    assert parse_lock(format_lock(a_lock())) == a_lock()


def test_a_damaged_lock_gives_way_to_the_one_before(tmp_path: Path) -> None:
    write_lock(tmp_path, a_lock("1.0"))
    write_lock(tmp_path, a_lock("2.0"))
    (tmp_path / "plugins.lock").write_bytes(format_lock(a_lock("3.0"))[:200])
    found = read_lock(tmp_path)
    assert found.value == a_lock("1.0")
    assert "plugins.lock is corrupt" in found.problem
    assert "set aside" in found.problem
    assert read_lock(tmp_path).problem == ""


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("distributions", 0, "wheel"), "../../etc/passwd.whl"),
        (("distributions", 0, "wheel"), "/etc/x.whl"),
        (("distributions", 0, "wheel"), "a/b/c.whl"),
        (("distributions", 0, "wheel"), 5),
        (("distributions", 0, "sha256"), "abc"),
        (("distributions", 0, "name"), "Acme_Beam"),
        (("distributions", 0, "version"), "new"),
        (("distributions", 0, "origin", "kind"), "moon"),
        (("roots", 0, "requirement"), None),
        (("roots", 0, "name"), "../x"),
        (("base", "numpy"), 2),
        (("python",), "3"),
        (("distributions",), "none"),
        (("distributions",), None),
        (("distributions", 0), None),
        (("distributions", 0, "origin"), None),
        (("roots", 0), "text"),
        (("base",), None),
        (("format",), 2),
    ],
)
def test_a_lock_with_a_wrong_word_is_refused(place: tuple[str | int, ...], value: object) -> None:
    plain = json.loads(format_lock(a_lock()))
    inner = plain
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(ValueError, match=r"\S"):
        parse_lock(json.dumps(plain).encode())


def test_numbers_are_never_given_twice(generations: Generations) -> None:
    assert [put(generations).number, put(generations).number] == [1, 2]
    generations.point(Pointer(current=1))
    generations.prune(keep=1)
    assert [view.number for view in generations.listed()] == [1]
    assert generations.next_number() == 3
    (generations.folder / "last.json").unlink()
    generations.point(Pointer(current=1, rejected={7: "killed two boots"}))
    assert generations.next_number() == 8


def test_a_generation_is_read_as_it_was_marked(generations: Generations) -> None:
    made = put(generations)
    assert generations.get(1) == replace(made, folder=made.folder.resolve(), site=made.site.resolve())
    generations.point(Pointer(current=1))
    (view,) = generations.listed()
    assert (view.number, view.current, view.pending, view.problem) == (1, True, False, "")
    assert view.requirements == ("acme-beam==1.0",)
    assert view.origins == {"acme-beam": "https://git.example/acme@main"}
    assert generations.in_force() == generations.get(1)


def test_a_path_through_a_link_is_real(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    put(Generations(tmp_path / "real"))
    assert str(Generations(tmp_path / "link").get(1).site).startswith(str((tmp_path / "real").resolve()))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "not staged to its end"),
        ("{", "damaged"),
        ('{"number": 2}', "that of generation 2"),
        ('{"number": 1, "created": 1, "site": "../../x", "lock": {}}', "no place inside"),
        ('{"number": 1, "created": 1, "site": "env", "lock": {}}', "damaged"),
        ('{"number": 1, "created": 1, "site": "env"}', "damaged"),
        ('{"number": 1, "created": 1, "site": "env", "lock": [1]}', "damaged"),
    ],
)
def test_a_broken_one_is_listed_with_its_problem(
    generations: Generations, text: str | None, problem: str
) -> None:
    folder = put(generations).folder
    put(generations)
    (folder / MARKER).unlink()
    if text is not None:
        (folder / MARKER).write_text(text)
    broken, good = generations.listed()
    assert problem in broken.problem
    assert good.problem == ""
    with pytest.raises(InstallFailed, match=problem):
        generations.get(1)


def test_what_is_not_there_is_not_found(generations: Generations) -> None:
    assert generations.listed() == ()
    assert generations.pointer() == Pointer()
    assert generations.in_force() is None
    for number in (0, 1):
        with pytest.raises(NotFound, match=str(number)):
            generations.get(number)
    assert generations.prune() == ()


def test_the_pointer_is_read_as_it_was_written(generations: Generations) -> None:
    pointer = Pointer(current=3, pending=4, attempts=1, previous=2, rejected={1: "would not import"})
    generations.point(pointer)
    assert generations.pointer() == pointer
    generations.point(replace(pointer, rejected=dict.fromkeys(range(20), "no")))
    assert sorted(generations.pointer().rejected) == list(range(12, 20))


@pytest.mark.parametrize(
    "text", ["", "[]", '{"current": -1}', '{"current": "x"}', '{"rejected": {"a": "b"}}']
)
def test_a_damaged_pointer_gives_way_to_the_last_good_one(generations: Generations, text: str) -> None:
    generations.point(Pointer(current=1))
    generations.point(Pointer(current=2))
    (generations.folder / "current.json").write_text(text)
    assert generations.read_pointer().problem != ""
    assert generations.pointer() == Pointer(current=1)


def test_a_pointer_that_cannot_be_written_stays(generations: Generations, tmp_path: Path) -> None:
    generations.point(Pointer(current=1))
    with pytest.raises(InstallFailed, match="pointer"):
        Generations(tmp_path / "generations" / "current.json").point(Pointer(current=2))
    assert generations.pointer() == Pointer(current=1)


def test_the_newest_are_kept_and_never_those_in_force(generations: Generations, tmp_path: Path) -> None:
    for number in range(1, 9):
        wheel = tmp_path / "wheels" / f"{number:02}" / f"acme_beam-{number}-py3-none-any.whl"
        wheel.parent.mkdir(parents=True)
        wheel.write_text("wheel")
        put(generations, a_lock(str(number), f"{number:02}/{wheel.name}"))
    write_lock(tmp_path, a_lock("4", "04/acme_beam-4-py3-none-any.whl"))
    (generations.folder / "9").mkdir()
    generations.point(Pointer(current=2, previous=1, pending=5))
    (tmp_path / "scratch" / "left").mkdir(parents=True)
    said = generations.prune(keep=4)
    assert [view.number for view in generations.listed()] == [1, 2, 5, 8]
    assert any("9" in line and "not staged" in line for line in said)
    assert any("scratch" in line and "did not end" in line for line in said)
    assert not (tmp_path / "scratch").exists()
    (tmp_path / "scratch").mkdir()
    assert generations.prune(keep=4) == ()
    wheels = sorted(path.parent.name for path in (tmp_path / "wheels").rglob("*.whl"))
    assert wheels == ["01", "02", "04", "05", "08"]
    assert sorted(path.name for path in (tmp_path / "wheels").iterdir()) == wheels


def test_a_broken_one_in_force_is_not_removed(generations: Generations) -> None:
    (put(generations).folder / MARKER).unlink()
    generations.point(Pointer(current=1))
    generations.prune()
    assert [view.number for view in generations.listed()] == [1]


def test_wheels_stay_while_the_lock_cannot_be_read(generations: Generations, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "a-1-py3-none-any.whl").write_text("")
    (tmp_path / "plugins.lock").write_text("{")
    generations.prune()
    assert (tmp_path / "wheels" / "a-1-py3-none-any.whl").exists()


def test_another_python_or_host_cannot_use_it(generations: Generations) -> None:
    made = put(generations)
    assert usable(made) == ""
    for lock, said in (
        (replace(made.lock, python="3.10"), "made for Python 3.10"),
        (replace(made.lock, base={"iocmng": "2.7.9"}), "made for iocmng 2.7.9"),
    ):
        why = usable(replace(made, lock=lock))
        assert said in why
        assert "iocmng install --from-lock" in why
    assert "gone" in usable(replace(made, site=made.site / "no"))


def test_one_at_a_time_between_processes(generations: Generations, tmp_path: Path) -> None:
    put(generations)
    code = (
        "import sys; from pathlib import Path; from iocmng.plugins.installing.onlyone import only_one\n"
        "with only_one(Path(sys.argv[1]), 'the other'):\n    print('held', flush=True); sys.stdin.read(1)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with ending(other):
        lines = Lines(other.stdout)
        lines.until("held")
        with (
            pytest.raises(InstallRefused, match=f"the other of process {other.pid}") as refused,
            only_one(tmp_path, "mine"),
        ):
            pass
        assert refused.value.error_code == "install-busy"
        assert "stay" in generations.prune(keep=0)[0]
        other.kill()
        other.wait(10)
        with only_one(tmp_path, "mine"):
            pass


def test_a_program_goes_on_whose_host_was_killed(generations: Generations, tmp_path: Path) -> None:
    """It would write on into what the next operation, or a boot, takes for finished."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    code = (
        "import sys; from pathlib import Path\n"
        "from iocmng.plugins.installing.child import run_child\n"
        "from iocmng.plugins.installing.onlyone import only_one\n"
        "here = Path(sys.argv[1])\n"
        "with only_one(here, 'the installation'):\n"
        "    run_child(['cat', sys.argv[2]], what='cat', env={}, cwd=here, timeout=60, tell=lambda line: None)\n"
    )
    state = tmp_path / "state"
    (state / "generations" / "1").mkdir(parents=True)
    host = subprocess.Popen([sys.executable, "-c", code, str(state), str(fifo)])
    with ending(host):
        writing = _opened(fifo)
        host.kill()
        host.wait(10)
        with (
            pytest.raises(
                InstallRefused, match=f"a program that the installation of process {host.pid} has left"
            ),
            only_one(state, "mine"),
        ):
            pass
        assert "stay" in Generations(state).prune()[0]
        os.close(writing)
    free(state)
    assert Generations(state).prune() != ()
    assert Generations(state).listed() == ()


def test_what_runs_in_the_background_holds_nobody_up(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with only_one(tmp_path, "mine"):
        argv = ["sh", "-c", f"cat '{fifo}' & exec true"]
        run_child(argv, what="sh", env=os.environ, cwd=tmp_path, timeout=60, tell=lambda line: None)
        writing = _opened(fifo)
    with only_one(tmp_path, "mine"):
        os.close(writing)


def _opened(fifo: Path) -> int:
    """A pipe for writing, as soon as somebody reads it."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.01)
