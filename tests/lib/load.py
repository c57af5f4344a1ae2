"""Events that go on coming while the test does something else."""

import contextlib
import datetime
import json
import subprocess
import threading

from tests.lib.generate import Generator, now


class Load:
    """A producer process that a thread keeps fed; stop() waits until all of it is in Kafka.

    The log itself is what is recounted afterwards: see Job.log_events.
    """

    def __init__(self, job, seed, rate, tenants=40, topic=0, made=None):
        """made: the generator of an earlier load, to go on with its events."""
        start = now() - datetime.timedelta(minutes=1)
        self.made = made or Generator(seed, tenants, start.isoformat(), 1 / rate)
        self.stopping = threading.Event()
        kafka = job.env.kafka
        self.process = subprocess.Popen(
            kafka.command("produce", job.topics[topic], "--raw-events", "--rate", str(rate)),
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self.feeder = threading.Thread(target=self.feed, daemon=True)

    def start(self):
        self.feeder.start()
        return self

    def feed(self):
        try:
            while not self.stopping.is_set():
                self.process.stdin.write(json.dumps(self.made.next()) + "\n")
        except BrokenPipeError:
            pass  # the process was killed: stop() tells
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def running(self):
        return self.process.poll() is None

    def stop(self):
        self.stopping.set()
        self.feeder.join()
        if self.process.wait(60) != 0:
            raise RuntimeError(f"the producer failed: {self.process.returncode}")

    def kill(self):
        """For cleaning up; does nothing when it has ended."""
        self.stopping.set()
        if self.running():
            self.process.kill()
        self.process.wait()
        self.feeder.join()
