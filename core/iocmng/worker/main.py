"""One worker from its first message to its end: hears the host, shows that it lives, runs one instance's code once."""

from __future__ import annotations

import os
import socket
import sys
import threading

from iocmng.errors import IocmngError
from iocmng.plugins.load import prepare as prepare_import
from iocmng.runtime.isolation.channel import VERSION, Frames, Message
from iocmng.runtime.isolation.greeting import Greeting
from iocmng.spec import Kind
from iocmng.worker import logs, system
from iocmng.worker.link import HostLink
from iocmng.worker.runs import WorkerJob, WorkerTask, work_of

_PIECE = 1 << 16


class Worker:
    """The process.

    Args:
        connection: The socket to the host.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._frames = Frames()
        self._link = HostLink(connection)
        self._run: WorkerTask | WorkerJob | None = None
        self._instance = ""
        self._early: list[Message] = []

    def serve(self) -> None:
        """Do what the host says, until it lets this process go. Ends the process when the host is gone."""
        self._link.send("here", VERSION)
        while True:
            try:
                data = self._connection.recv(_PIECE)
            except ConnectionError:
                data = b""
            if not data:
                system.end_at_once()
            for message in self._frames.feed(data):
                if message[0] == "bye":
                    return
                self._hear(message)

    def _hear(self, message: Message) -> None:
        word, *given = message
        if word == "answer":
            self._link.answered(*given)
        elif word == "fault":
            self._link.refused(*given)
        elif word == "levels":
            logs.set_levels(self._instance, *given)
        elif word == "hello":
            self._begin(Greeting.of(given[0]))
        elif self._run is None:
            # It was told to leave before it was greeted.
            self._early.append(message)
        else:
            self._run.obey(*message)

    def _begin(self, greeting: Greeting) -> None:
        if greeting.version != VERSION:
            # The host ends what speaks another version.
            return
        spec = greeting.spec
        self._instance = spec.name
        sys.path[:] = greeting.path
        for root in greeting.roots.values():
            prepare_import([root], spec.plugin.target)
        logs.install(self._link, spec.name, greeting.log_level, greeting.own_level)
        work = work_of(greeting, self._link)
        made = WorkerJob if spec.kind is Kind.JOB else WorkerTask
        self._run = run = made(work, greeting, self._link)
        if spec.memory_limit is not None:
            system.bound_memory(spec.memory_limit)
        run.start()
        threading.Thread(
            target=self._beat, args=(run, greeting.beat), name="iocmng-beat", daemon=True
        ).start()
        for message in self._early:
            run.obey(*message)

    def _beat(self, run: WorkerTask | WorkerJob, period: float) -> None:
        """Show that this process lives, and what its code is at."""
        pause = threading.Event()
        told: object = None
        while True:
            progress, place = run.beat()
            self._link.send("beat", progress.at, progress.expected, place)
            if isinstance(run, WorkerTask):
                asked = (run.counters.metrics, run.counters.health)
                if asked != told:
                    told = asked
                    self._link.send("asked of health", *asked)
            pause.wait(period)


def main() -> None:
    """Run one worker: `FD HOST_PID`."""
    if len(sys.argv) != 3:
        sys.exit("only a host starts a worker: see isolation: process in docs/isolation.md")
    descriptor, host = map(int, sys.argv[1:])
    system.end_with(host)
    system.prepare()
    os.set_inheritable(descriptor, False)
    with socket.socket(fileno=descriptor) as connection:
        try:
            Worker(connection).serve()
        except IocmngError as error:
            sys.exit(str(error))
