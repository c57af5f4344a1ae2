"""The engine as a process that can be stopped, killed and frozen."""

import os
import signal
import subprocess

from tests.lib.server import ROOT, tail
from tests.lib.wait import wait_until

BINARY = os.environ.get("TRIPMETER_BIN", os.path.join(ROOT, "build", "cc-release", "tripmeter"))


def tripmeter(*words, deadline_s=60, stdin=""):
    """Runs a sub-command to its end; returncode, stdout and stderr are the result's."""
    return subprocess.run([BINARY, *map(str, words)], input=stdin, capture_output=True, text=True,
                          timeout=deadline_s)


class Engine:
    """`tripmeter run -c CONFIG`; its output goes to LOG, which grows over restarts."""

    all = []  # every one of this process, for the runner's last look at logs and its cleaning up

    def __init__(self, config, log, *options):
        self.config = config
        self.log = log
        self.options = options
        self.process = None
        Engine.all.append(self)

    def start(self, failpoints=""):
        """failpoints: where it stumbles, see config/failpoint.h."""
        environment = {**os.environ, "TRIPMETER_FAILPOINTS": failpoints} if failpoints else None
        with open(self.log, "a", encoding="utf-8") as out:
            self.process = subprocess.Popen(
                [BINARY, "run", "-c", self.config, *self.options], stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, env=environment)
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def send(self, number):
        self.process.send_signal(number)

    def pause(self):
        self.send(signal.SIGSTOP)

    def resume(self):
        self.send(signal.SIGCONT)

    def reload(self):
        self.send(signal.SIGHUP)

    def kill(self):
        """SIGKILL; does nothing when it has ended."""
        if self.running():
            self.process.kill()
        if self.process is not None:
            self.process.wait()

    def stop(self, deadline_s=15):
        """SIGTERM; its exit status.  AssertionError when it takes longer."""
        self.send(signal.SIGTERM)
        return self.wait(deadline_s)

    def wait(self, deadline_s):
        """Its exit status, when it ends by itself."""
        wait_until(lambda: not self.running(), deadline_s,
                   lambda: f"the engine ends; its log:\n{self.tail()}")
        return self.process.returncode

    def await_log(self, text, deadline_s=20):
        """A line of the log with the text in it."""

        def found():
            if not self.running() and text not in self.log_text():
                raise AssertionError(f"the engine ended ({self.process.returncode}) before it said "
                                     f"{text!r}:\n{self.tail()}")
            return next((line for line in self.log_text().splitlines() if text in line), None)

        return wait_until(found, deadline_s, lambda: f"{text!r} in the log:\n{self.tail()}")

    def log_text(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def tail(self, lines=40):
        return tail(self.log, lines)
