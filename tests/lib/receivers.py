"""Webhook and mail receivers, tests/env/receivers.py (its --help has messages and rules)."""

import json
import os
import subprocess
import urllib.request

from tests.lib.server import SCRIPTS, read_env, tail
from tests.lib.wait import wait_until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receivers:
    def __init__(self, directory, secret=SECRET):
        self.directory = directory
        self.secret = secret
        self.process = None
        os.makedirs(directory, exist_ok=True)
        self.start()

    def start(self):
        """Also again, after stop(): the ports and the inbox are the same."""
        log = os.path.join(self.directory, "log")
        with open(log, "a", encoding="utf-8") as out:
            self.process = subprocess.Popen(
                [os.path.join(SCRIPTS, "receivers.py"), self.directory], stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, env={**os.environ, "WEBHOOK_SECRET": self.secret})
        wait_until(self.serving, 30, "the receivers listen")
        env = read_env(self.directory)
        self.webhook, self.webhook_tls = env["webhook"], env["webhook_tls"]
        self.smtp, self.smtp_tls = env["smtp"], env["smtp_tls"]
        self.ca = env["ca"]

    def serving(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"receivers.py ended:\n{tail(os.path.join(self.directory, 'log'))}")
        try:
            return read_env(self.directory)["pid"] == str(self.process.pid)
        except FileNotFoundError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def control(self, **rule):
        """control(webhook_status=500, times=3)"""
        request = urllib.request.Request(self.webhook + "/control", json.dumps(rule).encode())
        urllib.request.urlopen(request, timeout=10).close()

    def messages(self, name):
        with open(os.path.join(self.directory, name), encoding="utf-8") as lines:
            # The last line may be in the middle of being written.
            return [json.loads(line) for line in lines if line.endswith("\n")]

    def inbox(self, kind=None, **members):
        """Accepted messages, e.g. inbox("mail", subject="...") or inbox("webhook", path="/a")."""
        return [message for message in self.messages("inbox.jsonl")
                if kind in (None, message["kind"])
                and all(message.get(name) == value for name, value in members.items())]

    def refused(self, kind=None):
        return [m for m in self.messages("refused.jsonl") if kind in (None, m["kind"])]
