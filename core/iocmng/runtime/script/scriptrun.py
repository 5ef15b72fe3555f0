"""One run of a script: started, followed, ended, on the thread of its run."""

from __future__ import annotations

import logging
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from iocmng.base import JobResult
from iocmng.runtime.runs_files import RunFiles
from iocmng.runtime.script.command import command_line, find_script, uses_python
from iocmng.runtime.script.follower import KILL_WAIT, Follower
from iocmng.runtime.script.output import Lines, RawFile
from iocmng.runtime.script.process import RUN_FOLDER, RUN_ID, ProcessGroup
from iocmng.runtime.script.reports import Reports
from iocmng.settings.childenv import child_environment
from iocmng.spec.script import PATH, ScriptSpec
from iocmng.wire import LogLine

if TYPE_CHECKING:
    from iocmng.runtime.jobrun import JobRun
    from iocmng.runtime.jobyard import JobYard

MAX_LINES = 2000
"""Lines a second that go to the logs; all go to the file of bytes."""

LOOPBACK = "127.0.0.1"
_LEVELS = {"stdout": "INFO", "stderr": "WARNING"}


class ScriptRun:
    """Runs the script of a job's config once.

    Attributes:
        exit_code: How it ended, minus the signal's number when one ended it; None when it could not be started.
    """

    def __init__(self, run: JobRun, yard: JobYard, logger: logging.Logger) -> None:
        if run.spec.script is None:
            raise RuntimeError(f"{run.spec.name}: its config has no script:")
        self.exit_code: int | None = None
        self._run = run
        self._script: ScriptSpec = run.spec.script
        self._yard = yard
        self._files: RunFiles = yard.store.files(run.run.id)
        self._logger = logger
        self._raw = [RawFile(self._files.output)]
        self._lines = {"stdout": Lines(), "stderr": Lines()}
        self._last_words = ""
        self._second = (0.0, 0)
        self._skipped = 0
        self._reports = Reports(progress=run.report, gather=run.gather, say=self._say)

    def run(self) -> JobResult:
        """Run it to its end; whatever goes wrong is a result."""
        with ExitStack() as stack:
            try:
                path = find_script(self._script, self._run.run.arguments.get(PATH), self._yard.roots)
                argv = command_line(self._script, self._run.run.arguments, path)
                follower = self._start(stack, argv)
            except ValueError as error:
                return JobResult(False, message=str(error))
            except OSError as error:
                name = error.filename or argv[0]
                return JobResult(False, message=f"cannot start {name}: {error.strerror or error}")
            if follower is None:
                return JobResult(False, message="aborted before it started")
            follower.follow()
            self.exit_code = follower.exit_code
            return self._result(follower)

    def _start(self, stack: ExitStack, argv: list[str]) -> Follower | None:
        for raw in self._prepare_files():
            stack.callback(raw.close)
        receiver, port_env = self._receiver(stack)
        read, write = os.pipe()
        stack.callback(os.close, read)
        try:
            env = self._environment(write, port_env)
            if self._run.leaving:
                return None
            group = ProcessGroup(argv, cwd=self._cwd(), env=env, pass_fds=(write,))
        finally:
            os.close(write)
        stack.callback(group.close)
        stack.callback(group.kill)
        stack.callback(self._clean)
        try:
            group.mark(self._script.stop_grace).write(self._files.process)
        except OSError as error:
            self._say("WARNING", f"its process is not on record: {error.strerror or error}")
        self._say("DEBUG", f"process {group.pid}: {' '.join(argv)}")
        identity = env.get("SMURFPUB_ID", "")
        return Follower(self, group, read, receiver, identity, stack)

    def _prepare_files(self) -> list[RawFile]:
        try:
            self._files.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            self._say("WARNING", f"no folder of its own: {error.strerror or error}")
        if isinstance(self._script.log, str):
            self._raw.append(RawFile(Path(self._files.folder, self._script.log), limit=None))
        return self._raw

    def _cwd(self) -> str:
        if self._script.cwd is not None:
            return str(Path(self._script.root, self._script.cwd))
        return str(self._files.folder) if self._files.folder.is_dir() else tempfile.gettempdir()

    def _receiver(self, stack: ExitStack) -> tuple[socket.socket | None, dict[str, str]]:
        port = self._script.status_udp
        if port is None:
            return None, {}
        receiver = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        try:
            receiver.bind((LOOPBACK, port))
        except OSError as error:
            hint = "jobs that share it need one lock"
            raise ValueError(f"status_udp: port {port}: {error.strerror or error}; {hint}") from None
        receiver.setblocking(False)
        with suppress(OSError):
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        return receiver, {
            "SMURFPUB_BACKEND": "udp",
            "SMURFPUB_UDP_HOST": LOOPBACK,
            "SMURFPUB_UDP_PORT": str(port),
            "SMURFPUB_ID": self._run.name,
        }

    def _environment(self, progress: int, more: dict[str, str]) -> dict[str, str]:
        env = child_environment(os.environ)
        if uses_python(self._script):
            env["PYTHONUNBUFFERED"] = "1"
        env.update(more)
        env.update(self._script.env)
        env["IOCMNG_JOB"] = self._run.name
        env["IOCMNG_PV_PREFIX"] = self._run.spec.pv_prefix
        env["IOCMNG_PROGRESS_FD"] = str(progress)
        env[RUN_ID] = self._run.run.id
        env[RUN_FOLDER] = str(self._files.folder)
        return env

    def take(self, stream: str, chunk: bytes, *, last: bool = False) -> None:
        """Output of the script: its bytes are kept first."""
        if chunk:
            for raw in self._raw:
                raw.write(chunk)
        began, count = self._second
        if count >= MAX_LINES and not last and time.monotonic() - began < 1.0:
            self._skipped += self._lines[stream].skip(chunk)
            return
        for line in self._lines[stream].feed(chunk, last=last):
            if stream == "stderr" and line.strip():
                self._last_words = line.strip()
            self._log(_LEVELS[stream], stream, line)

    def _log(self, level: str, source: str, text: str) -> None:
        now = time.monotonic()
        began, count = self._second
        if now - began >= 1.0:
            self.tell_skipped()
            began, count = now, 0
        self._second = (began, count + 1)
        if count >= MAX_LINES:
            self._skipped += 1
            return
        self._put(level, source, text)

    def tell_skipped(self) -> None:
        """Say how many lines came too fast for the logs."""
        if skipped := self._skipped:
            self._skipped = 0
            self._put(
                "WARNING", "iocmng", f"{skipped} lines came too fast, they stand in {self._files.output}"
            )

    def _say(self, level: str, text: str) -> None:
        self._put(level, "script", text)

    def _put(self, level: str, source: str, text: str) -> None:
        self._run.logged(LogLine(time.time(), level, source, text))
        if self._script.log is True:
            self._run.own_log = True
            try:
                number = logging.getLevelNamesMapping()[level]
                self._logger.getChild(source).log(number, "%s", text)
            finally:
                self._run.own_log = False

    def report(self, raw: bytes) -> None:
        """A line of the progress pipe."""
        self._reports.line(raw)

    def datagram(self, raw: bytes, identity: str) -> None:
        """A datagram of a publisher."""
        self._reports.datagram(raw, identity)

    @property
    def leaving(self) -> bool:
        """Whether it is to end."""
        return bool(self._run.leaving)

    def on_leaving(self, call: Callable[[], None]) -> Callable[[], None]:
        """Have something called when it is to end; the returned call ends that."""
        return self._run.leaving.subscribe(call)

    @property
    def grace(self) -> float:
        """Seconds between TERM and KILL."""
        return self._script.stop_grace

    def note(self, text: str) -> None:
        """Say something in the run's log."""
        self._say("WARNING", text)

    def _result(self, follower: Follower) -> JobResult:
        data = self._run.run.view.data
        if self._reports.lost:
            self._say("WARNING", f"{self._reports.lost} status messages were lost")
        for raw in self._raw:
            if raw.problem:
                self._say("WARNING", f"output is not on disk as a whole: {raw.problem}")
        code = follower.exit_code
        if code == 0:
            return JobResult(True, data=data)
        return JobResult(False, data=data, message=_how(code, self._last_words))

    def _clean(self) -> None:
        with suppress(OSError):
            self._files.process.unlink(missing_ok=True)
        # A folder in which the script has left nothing is not worth keeping.
        with suppress(OSError):
            self._files.folder.rmdir()


def _how(code: int | None, last_words: str) -> str:
    if code is None:
        return f"it does not end, {KILL_WAIT:g} s after KILL"
    if code < 0:
        try:
            how = f"ended by {signal.Signals(-code).name}"
        except ValueError:
            how = f"ended by signal {-code}"
    else:
        how = f"exit code {code}"
    return f"{how}: {last_words}" if last_words else how
