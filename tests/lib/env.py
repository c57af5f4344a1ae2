"""Kafka, Postgres and the receivers, started once for a whole run of tests.

    env = environment()              starts them at the first call; ends with the process
    topic = env.name("usage")        usage-1, usage-2, ...: nobody meets another's topic
    uri = env.postgres.create_database()
    path = env.path("config.yaml")   a file of this test in the run's directory

Members: kafka (tests.lib.kafka), postgres, receivers.  Or `with Env() as env:` for one's own.
"""

import atexit
import fcntl
import itertools
import os
import shutil
import signal
import tempfile

from tests.lib.engine import Engine
from tests.lib.kafka import Kafka
from tests.lib.postgres import Postgres
from tests.lib.receivers import Receivers
from tests.lib.server import ROOT, script


def end_on_sigterm():
    """As on Ctrl-C: no test goes on after it, and whatever was started ends with its Env."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


class Env:
    def __init__(self):
        self.directory = self.lock = None
        self.kafka = self.postgres = self.receivers = None
        self.numbers = itertools.count(1)

    def __enter__(self):
        build = os.path.join(ROOT, "build")
        os.makedirs(build, exist_ok=True)
        script("sweep.sh")
        self.directory = tempfile.mkdtemp(prefix="run.", dir=build)
        self.take_lock()
        try:
            self.kafka = Kafka(os.path.join(self.directory, "kafka"))
            self.postgres = Postgres(os.path.join(self.directory, "postgres"))
            self.receivers = Receivers(os.path.join(self.directory, "receivers"))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for engine in Engine.all:
            engine.kill()
        if self.receivers:
            self.receivers.stop()
        if self.kafka:
            self.kafka.kill()
        if self.postgres:
            self.postgres.destroy()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.lock.close()

    def take_lock(self):
        """For sweep.sh, which removes what a killed run leaves; the name comes with the lock."""
        path = os.path.join(self.directory, "lock")
        self.lock = open(path + ".new", "w", encoding="utf-8")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        os.rename(path + ".new", path)

    def name(self, stem):
        return f"{stem}-{next(self.numbers)}"

    def path(self, stem):
        """A new directory's file of that name."""
        directory = os.path.join(self.directory, f"test-{next(self.numbers)}")
        os.mkdir(directory)
        return os.path.join(directory, stem)


_shared = None


def environment():
    global _shared
    if _shared is None:
        _shared = Env().__enter__()
        atexit.register(_shared.__exit__)
    return _shared
