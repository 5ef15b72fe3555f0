"""An installer killed at each of its steps: pointer, lock and other generations stay, and the next one works."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from children import Lines, ending
from support.installer_place import Place, free
from support.wheels import wheel

from iocmng.plugins.installing.drift import inspect
from iocmng.plugins.installing.drift_files import altered

# One process for all: what takes long is to import, not to install. Each installation runs in a fork of it.
DRIVER = """
import json, os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from support.installer_place import Place

def install(home, fatal):
    place, seen = Place(Path(home)), []
    def happens(what):
        seen.append(what)
        if len(seen) - 1 == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        if len(seen) - 1 == -fatal and what.startswith("subprocess"):
            # The program it starts now is still at work when this process dies.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, 0.03)
    class Told(list):
        def append(self, line):
            happens("told " + line)
    place.said = Told()
    def hook(event, arguments):
        if event in ("os.rename", "subprocess.Popen"):
            happens(f"{event} {arguments[0]}")
    sys.addaudithook(hook)
    place.stage(place.resolve("acme-beam", verb="upgrade"))
    return seen

for line in sys.stdin:
    home, fatal = json.loads(line)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, json.dumps(install(home, fatal)).encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as stream:
        told = stream.read()
    _, status = os.waitpid(child, 0)
    print(json.dumps([os.waitstatus_to_exitcode(status), json.loads(told or "[]")]), flush=True)
"""


def test_killed_at_each_step(tmp_path: Path) -> None:
    place = Place(tmp_path)
    wheel(place.index, "acme-beam", "1.0", plugin="beam")
    wheel(place.index, "acme-other")
    place.put("acme-beam", "acme-other")
    wheel(place.index, "acme-beam", "2.0", plugin="beam")
    before = place.picture()
    tests = str(Path(__file__).resolve().parents[1])
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, tests],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with ending(driver):
        lines = Lines(driver.stdout)

        def run(fatal: float) -> tuple[int, list[str]]:
            assert driver.stdin is not None
            driver.stdin.write(json.dumps([str(tmp_path), fatal]) + "\n")
            driver.stdin.flush()
            code, seen = json.loads(lines.next())
            return code, seen

        code, seen = run(1e9)
        assert code == 0
        assert len(seen) > 12, seen
        programs = [at for at, what in enumerate(seen) if what.startswith("subprocess")]
        # Every other one of the first, where only scratch and wheels are written; all of those that follow.
        making = next(at for at, what in enumerate(seen) if what.startswith("told making"))
        points = [*range(0, making, 2), *range(making, len(seen)), *(-at for at in programs[1:])]
        for fatal in points:
            code, _ = run(fatal)
            assert code == -signal.SIGKILL or (fatal < 0 and code == -signal.SIGALRM), fatal
            # A program that it had started may still be at work.
            free(place.state)
            after = place.picture()
            assert {name: after.get(name) for name in before} == before, fatal
            assert place.versions() == {"acme-beam": "1.0", "acme-other": "1.0"}
            for view in place.generations.listed():
                if not view.problem:
                    whole = place.generations.get(view.number)
                    assert list(altered(whole.site, whole.lock)) == [], fatal
    unfinished = [view.number for view in place.generations.listed() if view.problem]
    assert unfinished != []
    assert len(set(unfinished)) == len(unfinished)
    place.generations.prune()
    assert not any(view.problem for view in place.generations.listed())
    place.put("acme-beam", verb="upgrade")
    assert place.versions() == {"acme-beam": "2.0", "acme-other": "1.0"}
    assert [finding for finding in inspect(place.state) if finding.level != "note"] == []
    assert place.generations.pointer().current > max(unfinished)


def test_the_picture_sees_a_change(tmp_path: Path) -> None:
    place = Place(tmp_path)
    wheel(place.index, "acme-beam")
    generation = place.put("acme-beam")
    before = place.picture()
    (generation.site / "acme_beam" / "__init__.py").write_text("")
    assert place.picture() != before
