"""What must be true after every cycle of chaos, when nothing is left to do."""

import collections
import json

from tests.lib.audit import check_gateways, check_steps, check_totals
from tests.lib.recount import Recount
from tests.lib.wait import wait_until

LIMIT = 1000  # of the plan, for those who have none of their own


class Invariants:
    """They know the log so far, so that each check reads only what has come since the last."""

    def __init__(self, test, job, zones, limits):
        self.test = test
        self.job = job
        self.kafka = job.env.kafka
        self.limits = limits
        self.recount = Recount(zones)
        self.read = collections.Counter()  # by partition
        self.risen = {}

    def check(self):
        """All of them; a few words about the state they were found in."""
        self.read_log()
        check_totals(self.test, self.job, self.recount)
        self.check_offsets()
        check_steps(self.test, self.job, self.recount, "api_calls", "requests", self.limits, LIMIT)
        check_steps(self.test, self.job, self.recount, "spend", "cost", {}, LIMIT)
        self.check_delivered()
        check_gateways(self.test, self.job, self.recount, self.limits, LIMIT)
        self.check_risen()
        alerts, blocked = self.job.rows("""
            SELECT (SELECT count(*) FROM tripmeter.transition),
                   (SELECT count(*) FROM tripmeter.quota_state WHERE blocked)""")[0]
        return (f"{sum(self.read.values())} records, {self.recount.counted} counted, "
                f"{alerts} alerts, {blocked} blocked")

    def read_log(self):
        for partition in range(self.job.partitions):
            for message in self.kafka.consume(self.job.topics[0], "--partition", partition,
                                              start=self.read[partition]):
                event = json.loads(message["value"])
                self.read[partition] = message["offset"] + 1
                if "bad" in event:
                    self.recount.dead += 1
                else:
                    self.recount.add(event)

    def check_offsets(self):
        """Conservation: each offset of the log is a record that was processed, each record's event
        has its one reason."""
        self.test.assertEqual(
            [(partition, count, count, 0, True) for partition, count in sorted(self.read.items())],
            self.job.rows("""
                SELECT partition, next_offset - base, processed, gaps,
                       processed = counted + duplicates + dead + ignored
                FROM tripmeter.progress ORDER BY partition"""))

    def check_delivered(self):
        """Each transition reached billing's webhook and mailbox, always under the same id."""
        # What a killed engine had leased would be sent again in a minute; here that is now.
        def delivered():
            self.job.rows("UPDATE tripmeter.outbox SET lease_until = now() WHERE state = 'leased'")
            return not self.job.rows("""
                SELECT 1 FROM tripmeter.transition WHERE routed_at IS NULL UNION ALL
                SELECT 1 FROM tripmeter.outbox WHERE finished_at IS NULL""")

        wait_until(delivered, 60, lambda: f"alerts are delivered: {self.job.rows(OPEN)}")
        ids = collections.defaultdict(set)
        for message in self.job.env.receivers.inbox("webhook", path="/chaos.billing"):
            for alert in message["body"]["alerts"]:
                ids[alert["id"], alert["seq"]].add(message["headers"]["webhook-id"])
        sent = {(alert, seq): {name} for alert, seq, name in self.job.rows("""
            SELECT fingerprint || ':' || episode, seq, id FROM tripmeter.outbox
            WHERE state = 'delivered' AND endpoint = 'billing/webhook/0'""")}
        self.test.assertEqual(sent, dict(ids))
        self.test.assertEqual([], self.job.rows("""
            SELECT t.fingerprint, t.seq FROM tripmeter.transition t WHERE t.rule LIKE 'quota/%%'
            AND NOT EXISTS (SELECT FROM tripmeter.outbox o WHERE o.endpoint = 'billing/webhook/0'
                AND (o.fingerprint, o.episode, o.seq) = (t.fingerprint, t.episode, t.seq)
                AND o.state IN ('delivered', 'superseded'))"""))
        mails = {mail["headers"]["message-id"] for mail in self.job.env.receivers.inbox("mail")}
        self.test.assertEqual({f"<{name}@example.com>" for name, in self.job.rows(
            "SELECT id FROM tripmeter.outbox WHERE state = 'delivered' AND kind = 'email'")}, mails)

    def sequences(self):
        """{scope: the seqs of its records in the order of the control topic}"""
        out = collections.defaultdict(list)
        for message in self.kafka.consume(self.job.control):
            if message["value"] is not None and not message["key"].startswith("engine/"):
                out[message["key"]].append(json.loads(message["value"])["data"]["seq"])
        return out

    def check_risen(self):
        """What may only rise: seq of every scope, and what Postgres has of every shard."""
        def ends_with_highest():
            # Compaction keeps the last record of a scope. A late one of an engine that had lost its
            # shard is answered under a higher seq, in a moment.
            return all(seqs[-1] == max(seqs) for seqs in self.sequences().values())

        wait_until(ends_with_highest, 20, lambda: "the last record of each scope has its highest "
                   "seq: " + str({scope: [(seq >> 24, seq & 0xffffff) for seq in seqs[-6:]]
                                  for scope, seqs in self.sequences().items()
                                  if seqs[-1] < max(seqs)}))
        now = {("seq", scope): max(seqs) for scope, seqs in self.sequences().items()}
        for shard, *values in self.job.rows(
                "SELECT shard, epoch, settle_seq, shard_time FROM tripmeter.shard"):
            for name, value in zip(("epoch", "settle_seq", "time"), values):
                now[name, shard] = value
        fallen = {key: (before, now.get(key)) for key, before in self.risen.items()
                  if key not in now or now[key] < before}
        self.test.assertEqual({}, fallen)
        self.risen = now


OPEN = """SELECT endpoint, state, attempts, next_at - now(), last_error FROM tripmeter.outbox
          WHERE finished_at IS NULL"""
