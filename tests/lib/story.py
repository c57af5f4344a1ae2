"""A test that tells a story: one job with its engine, its gateway, its inbox and its status page.

    class LimitTest(Story):
        def test_block(self):
            self.begin(partitions=1)
            self.job.tenant("acme", plan="free")
            self.start()
            self.calls("acme", 100)
            self.gateway.await_denied("acme", "plan_allowance_exhausted")
"""

import unittest
import urllib.error
import urllib.request

from tests.lib.env import environment
from tests.lib.gateway import Gateway
from tests.lib.generate import event, now
from tests.lib.job import POLICY, Job, alerts_to
from tests.lib.wait import wait_until


class Story(unittest.TestCase):
    POLICY = POLICY

    def begin(self, **settings):
        env = environment()
        self.name = env.name("story")
        self.job = Job(env, **{"partitions": 2, "policy": self.POLICY,
                               **alerts_to(env, self.name), **settings})
        self.engine = self.job.engine()
        self.addCleanup(self.engine.kill)
        self.gateway = Gateway(self.job)
        self.numbers = 0

    def start(self):
        self.engine.start()

    def restart(self):
        self.assertEqual(0, self.engine.stop())
        self.start()

    def calls(self, tenant, count, **data):
        """That many requests now, each a record."""
        self.job.produce([self.call(tenant, **data) for _ in range(count)])

    def call(self, tenant, at=None, **data):
        self.numbers += 1
        return event(self.numbers, tenant, at or now(), **data)

    def webhooks(self, team="billing"):
        """The alerts that came, in order: one dict a message."""
        return [alert for message in self.job.env.receivers.inbox(
                    "webhook", path=f"/{self.name}.{team}") for alert in message["body"]["alerts"]]

    def mails(self, team="billing"):
        return [message for message in self.job.env.receivers.inbox("mail")
                if message["to"] == [f"{self.name}.{team}@example.com"]]

    def await_webhooks(self, count):
        wait_until(lambda: len(self.webhooks()) >= count, 20,
                   lambda: f"{count} webhooks, not {self.webhooks()}\n{self.engine.tail()}")
        return self.webhooks()

    def await_idle(self):
        """Everything is settled, and every message that follows from it is delivered."""
        self.job.await_settled()
        wait_until(lambda: self.job.one("""
            SELECT (SELECT count(*) FROM tripmeter.transition WHERE routed_at IS NULL)
                 + (SELECT count(*) FROM tripmeter.outbox
                    WHERE state IN ('queued', 'leased', 'retry'))""") == 0, 20,
                   lambda: f"every message is delivered:\n{self.engine.tail()}")

    def get(self, path):
        """(status, text) of the engine's own pages; (0, reason) while nobody listens."""
        self.engine.await_log("event=status")
        line = [line for line in self.engine.log_text().splitlines() if "event=status" in line][-1]
        url = line.split("url=")[1].removesuffix("/status")
        try:
            with urllib.request.urlopen(url + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read().decode()
        except OSError as why:
            return 0, str(why)

    def await_page(self, path, status, *texts, deadline_s=20):
        """The page, once it answers so and says all of it."""
        def found():
            answer = self.get(path)
            return answer if answer[0] == status and all(t in answer[1] for t in texts) else None

        return wait_until(found, deadline_s,
                          lambda: f"{path}: {status} with {texts}, not {self.get(path)}")[1]
