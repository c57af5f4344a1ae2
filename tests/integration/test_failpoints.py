"""The engine dies between a decision and its settlement, around the sending of an alert, while it
gives its shards back or ends: the next start makes good, and tells nothing twice."""

import json
import signal
import unittest

import psycopg2

from tests.lib.audit import check_totals, recount_log
from tests.lib.job import POLICY
from tests.lib.story import Story
from tests.lib.wait import wait_until

LIMIT = 10


class FailpointTest(Story):
    POLICY = POLICY.replace("limit: 1000,", f"limit: {LIMIT},")

    def die(self, point):
        """With acme's block under way."""
        self.begin(partitions=1)
        self.engine.start(f"{point}=kill")
        self.calls("acme", LIMIT + 2)
        self.await_death()

    def await_death(self, engine=None):
        engine = engine or self.engine
        wait_until(lambda: not engine.running(), 30, lambda: f"it dies:\n{engine.tail()}")
        self.assertEqual(-signal.SIGKILL, engine.process.returncode)

    def check_made_good(self, twice=False):
        """All is counted, acme is blocked; each alert has one id; twice: one was sent again."""
        self.gateway.await_denied("acme", "plan_allowance_exhausted")
        self.job.await_settled()
        check_totals(self, self.job, recount_log(self.job))
        # What the dead one had leased is due in a minute; here at once.
        self.job.rows("UPDATE tripmeter.outbox SET lease_until = now() WHERE state = 'leased'")
        self.await_idle()
        seqs = [json.loads(message["value"])["data"]["seq"]
                for message in self.gateway.records("tenant/acme")]
        self.assertEqual(sorted(set(seqs)), seqs)
        self.assertEqual([(1, [50, 75, 90, 100])], self.job.rows("""
            SELECT episode, array_agg(step ORDER BY step) FROM
                (SELECT episode, unnest(crossed) AS step FROM tripmeter.transition
                 WHERE tenant = 'acme' AND move <> 'resolve') AS told GROUP BY 1"""))
        inbox = self.job.env.receivers.inbox
        ids = [message["headers"]["webhook-id"] for message in inbox("webhook")
               if message["path"].startswith(f"/{self.name}.")]
        ids += [message["headers"]["message-id"] for message in inbox("mail")
                if message["to"][0].startswith(f"{self.name}.")]
        self.assertEqual(self.job.one(
            "SELECT count(*) FROM tripmeter.outbox WHERE state = 'delivered'"), len(set(ids)))
        if twice:
            self.assertGreater(len(ids), len(set(ids)))

    def test_decision_not_published(self):
        """The publisher has it, the broker may not."""
        self.die("decision_wanted")
        self.start()
        self.check_made_good()

    def test_decision_not_settled(self):
        """The broker has it, Postgres may not: replay decides the same, under a higher seq."""
        self.die("decision_sent")
        self.start()
        self.check_made_good()

    def test_message_leased(self):
        self.die("outbox_leased")
        self.start()
        self.check_made_good()

    def test_message_sent(self):
        """The receiver has it, the outbox does not know: it comes again, under its id."""
        self.die("outbox_sent")
        self.start()
        self.check_made_good(twice=True)

    def test_message_marked(self):
        self.die("outbox_marked")
        self.start()
        self.check_made_good()

    def test_drain(self):
        """SIGTERM, and it dies with a settlement open."""
        self.begin(partitions=1, settle_interval="10s")
        self.engine.start("drain=kill")
        self.calls("acme", LIMIT + 2)
        self.gateway.await_denied("acme", "plan_allowance_exhausted")
        self.engine.send(signal.SIGTERM)
        self.await_death()
        self.job.settings["settle_interval"] = "100ms"
        self.job.write_config(self.engine.config, "state-1")
        self.start()
        self.check_made_good()

    def test_revoke(self):
        """Another engine joins, and it dies while it gives its shards back; then it returns."""
        self.begin(partitions=2, settle_interval="10s")
        self.engine.start("revoke=kill")
        self.calls("acme", LIMIT + 2)
        self.gateway.await_denied("acme", "plan_allowance_exhausted")
        self.job.settings["settle_interval"] = "100ms"
        self.job.write_config(self.engine.config, "state-1")
        other = self.job.engine().start()
        self.addCleanup(other.kill)
        self.await_death()
        self.start()
        self.check_made_good()

    def test_late_commit(self):
        """What it told Kafka comes from a member that was replaced since: it joins as a new client."""
        self.begin(partitions=2)
        self.engine.start("commit_hint=error@1")
        self.calls("acme", LIMIT + 2)
        self.engine.await_log("joins it as a new client")
        self.calls("later", LIMIT + 2)
        self.check_made_good()
        self.gateway.await_denied("later", "plan_allowance_exhausted")
        self.assertEqual(0, self.engine.stop())

    def test_nothing_is_settled_over_what_is_parked(self):
        """A stranger waits for its load while a tenant in memory goes on, and the engine dies: the
        stranger's events are still ahead of what is settled."""
        self.begin(partitions=1, settle_interval="10ms")
        self.start()
        self.calls("acme", 1)
        self.job.await_settled()
        with psycopg2.connect(self.job.database) as other, other.cursor() as cursor:
            cursor.execute("LOCK TABLE tripmeter.tenant_version IN ACCESS EXCLUSIVE MODE")
            self.calls("stranger", 1)
            self.calls("acme", LIMIT)
            self.gateway.await_denied("acme", "plan_allowance_exhausted")
            self.engine.kill()
        other.close()
        self.start()
        self.check_made_good()


if __name__ == "__main__":
    unittest.main()
