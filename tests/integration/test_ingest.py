"""What comes in, in all its forms, and what becomes of it."""

import json
import unittest
from datetime import timedelta
from decimal import Decimal

from tests.lib.generate import event, now
from tests.lib.story import Story
from tests.lib.wait import wait_until

NO_COUNTS = {"usage": None, "cost": None}


class IngestStory(Story):
    def send(self, *values, key="acme", partition=None, **more):
        """Values as they are: dicts, lists or texts; key is the Kafka key."""
        self.job.env.kafka.produce(self.job.topics[0], [
            {"key": key, "value": value if isinstance(value, str) else json.dumps(value),
             **({} if partition is None else {"partition": partition}), **more}
            for value in values])

    def settled(self):
        """What was counted, a dict of sums over all partitions."""
        self.job.await_settled()
        names = ["counted", "duplicates", "dead", "ignored"]
        return dict(zip(names, self.job.rows(
            f"SELECT {', '.join(f'sum({name})::int' for name in names)} FROM tripmeter.progress")[0]))

    def dead(self):
        return [reason for reason, in self.job.rows(
            "SELECT reason FROM tripmeter.dead_letter ORDER BY record_offset, event_index")]


class FormsTest(IngestStory):
    def test_binary(self):
        """Binary mode: the envelope in headers, the data alone in the value"""
        self.begin(partitions=1)
        self.start()
        made = event(1, "acme", now())
        headers = {f"ce_{name}": value for name, value in made.items() if name != "data"}
        self.send(made["data"], headers=headers)
        self.send(made["data"], headers={**headers, "ce_id": "other", "content-type":
                                         "application/json"})
        self.send(made)  # the first one again, in structured mode
        self.assertEqual({"counted": 2, "duplicates": 1, "dead": 0, "ignored": 0}, self.settled())
        self.assertEqual([("acme", Decimal("0.02"))], self.job.rows(
            "SELECT tenant, sum(cost) FROM tripmeter.tenant_fact GROUP BY 1"))

    def test_arrays(self):
        """One value carries many events; each stands and falls for itself"""
        self.begin(partitions=1)
        self.start()
        good = [event(number, "acme", now()) for number in range(3)]
        bad = event(9, "acme", now(), cost="-1")
        other = {**event(8, "acme", now()), "type": "com.example.login.v1"}
        self.send([good[0], bad, good[1], other, good[0], good[2]], [])
        self.assertEqual({"counted": 3, "duplicates": 1, "dead": 1, "ignored": 2}, self.settled())
        self.assertEqual([(0, 1, "cost_range", "acme", "record-9")], self.job.rows(
            "SELECT record_offset, event_index, reason, tenant, id FROM tripmeter.dead_letter"))

    def test_tombstone(self):
        """A null value is nobody's usage"""
        self.begin(partitions=1)
        self.start()
        self.job.env.kafka.produce(self.job.topics[0], [{"key": "acme", "value": None}])
        self.assertEqual({"counted": 0, "duplicates": 0, "dead": 0, "ignored": 1}, self.settled())


class KindsTest(IngestStory):
    """The ten kinds: each is counted, and does or keeps what it is for."""

    def test_kinds(self):
        """record, settle, refund and correct are booked; the others are stored for what they are for"""
        self.begin(partitions=1)
        self.job.tenant("acme", plan="open")
        self.start()
        at = now()
        common = {**NO_COUNTS, "provider": None, "model": None, "status": None}
        self.job.produce([
            event(1, "acme", at, cost="1.00"),
            event(2, "acme", at, "reserve", reservation={"id": "r1", "cost": "0.50"}, **NO_COUNTS),
            event(3, "acme", at, "settle", reservation={"id": "r1"}, cost="0.40"),
            event(4, "acme", at, "release", reservation={"id": "r2", "reason": "cancelled"},
                  **NO_COUNTS),
            event(5, "acme", at, "refund", refund_of={"id": "record-1"}, cost="-0.25", usage=None),
            event(6, "acme", at, "correct", supersedes={"id": "settle-3"}, cost="0.30"),
            event(7, "acme", at, "decision", decision={"outcome": "block", "reason": "budget",
                                                       "estimated_cost": "0.03"}, **NO_COUNTS),
            event(8, "acme", at, "topup", topup={"amount": "50.00", "ref": "invoice-1"}, **common),
            event(9, "acme", at, "gauge", gauges={"team_members": 7, "projects": 3}, **common),
            event(10, "acme", at, "value", value={"name": "first_export"}, **NO_COUNTS)])
        self.assertEqual({"counted": 10, "duplicates": 0, "dead": 0, "ignored": 0}, self.settled())
        self.assertEqual([(10, 2, Decimal("1.05"), Decimal("-0.25"))], self.job.rows(
            "SELECT sum(events)::int, sum(requests)::int, sum(cost), sum(refunded)"
            " FROM tripmeter.tenant_fact"))
        self.assertEqual([("correct", "correct-6"), ("release", "release-4"),
                          ("reserve", "reserve-2")], self.job.rows(
            "SELECT kind, id FROM tripmeter.kept_event ORDER BY kind"))
        body, = self.job.rows("SELECT body FROM tripmeter.kept_event WHERE kind = 'correct'")[0]
        self.assertIn("settle-3", json.dumps(body))
        self.assertIn("0.30", json.dumps(body))
        self.assertEqual([("block", "budget", Decimal("0.03"))], self.job.rows(
            "SELECT outcome, reason, estimated_cost FROM tripmeter.gateway_decision"))
        self.assertEqual([("invoice-1", Decimal("50"))], self.job.rows(
            "SELECT reference, amount FROM tripmeter.ledger"))
        self.assertEqual([("projects", 3), ("team_members", 7)], self.job.rows(
            "SELECT name, value FROM tripmeter.gauge ORDER BY name"))
        self.assertEqual([("first_export",)],
                         self.job.rows("SELECT name FROM tripmeter.customer_value"))
        self.assertEqual(self.job.one("SELECT sum(events) FROM tripmeter.tenant_fact"),
                         self.job.one("SELECT sum(counted) FROM tripmeter.progress"))

    def test_topup_once(self):
        """A top-up of one ref is booked once for ever, over batches and restarts"""
        self.begin(partitions=1)
        self.start()

        def topup(number, amount, ref):
            return event(number, "acme", now(), "topup", topup={"amount": amount, "ref": ref},
                         **NO_COUNTS)

        self.job.produce([topup(1, "50.00", "a"), topup(2, "50.00", "a"), topup(3, "7.00", "b")])
        self.job.await_settled()
        self.restart()
        self.job.produce([topup(4, "50.00", "a")])
        self.assertEqual(4, self.settled()["counted"])
        self.assertEqual([("a", Decimal("50")), ("b", Decimal("7"))], self.job.rows(
            "SELECT reference, amount FROM tripmeter.ledger ORDER BY reference"))

    def test_gauge_last(self):
        """A gauge is its last value by the time of the event, whatever comes later"""
        self.begin(partitions=1)
        self.start()
        at = now()

        def gauge(number, seconds, value):
            return event(number, "acme", at + timedelta(seconds=seconds), "gauge",
                         gauges={"storage_bytes": value}, **NO_COUNTS)

        self.job.produce([gauge(1, 5, 500), gauge(2, 9, 900), gauge(3, 7, 700)])
        self.job.await_settled()
        self.job.produce([gauge(4, 8, 800)])
        self.assertEqual(4, self.settled()["counted"])
        self.assertEqual([(900,)], self.job.rows(
            "SELECT value FROM tripmeter.gauge WHERE name = 'storage_bytes'"))

    def test_unpriced(self):
        """Usage without a cost is kept with amount 0, and engineering hears of the model once"""
        self.begin(partitions=1)
        self.start()
        self.calls("acme", 3, model="brand-new", cost=None)
        self.assertEqual(3, self.settled()["counted"])
        self.await_idle()
        self.assertEqual([("brand-new", 3)], self.job.rows(
            "SELECT model, count(*) FROM tripmeter.unpriced GROUP BY 1"))
        told = [one for one in self.webhooks("engineering")
                if one["labels"]["rule"] == "ingest/unpriced_model"]
        self.assertEqual(["brand-new"], [one["labels"]["model"] for one in told])


class DuplicatesTest(IngestStory):
    def test_window(self):
        """A repeat is nothing, inside the window and, by the record of settled events, outside it"""
        self.begin(partitions=1, time="trust_producers", dedupe_window="10m")
        self.start()
        start = now().replace(microsecond=0) - timedelta(hours=5)
        first = event(1, "acme", start)

        def sent(made, minutes):
            at = int((start + timedelta(minutes=minutes)).timestamp() * 1000)
            self.send(made, timestamp_ms=at)

        sent(first, 0)
        sent(first, 9)    # a repeat: and the window begins anew
        sent(first, 18)   # a repeat of the repeat
        sent(event(2, "acme", start + timedelta(minutes=40)), 40)
        self.assertEqual((2, 2), (self.settled()["counted"], self.settled()["duplicates"]))
        sent(first, 41)   # too late for the window, but in the record of settled events
        self.assertEqual((2, 3), (self.settled()["counted"], self.settled()["duplicates"]))

    def test_window_alone(self):
        """Without the record of settled events a late repeat is counted and flagged unverified"""
        self.begin(partitions=1, time="trust_producers", dedupe_window="10m", record_enabled=False)
        self.start()
        start = now().replace(microsecond=0) - timedelta(hours=5)
        first = event(1, "acme", start)
        for minutes in (0, 40):
            at = int((start + timedelta(minutes=minutes)).timestamp() * 1000)
            self.send(first, timestamp_ms=at)
        self.assertEqual((2, 0), (self.settled()["counted"], self.settled()["duplicates"]))
        self.assertEqual(0, self.job.one("SELECT count(*) FROM tripmeter.settled_event"))
        self.assertEqual(1, self.job.one("SELECT sum(unverified)::int FROM tripmeter.tenant_fact"))

    def test_restart(self):
        """A repeat is recognised after a restart"""
        self.begin(partitions=1)
        self.start()
        made = [self.call("acme") for _ in range(20)]
        self.job.produce(made)
        self.job.await_settled()
        self.restart()
        self.job.produce(made)
        self.assertEqual((20, 20), (self.settled()["counted"], self.settled()["duplicates"]))

    def test_conflict(self):
        """The same identity with another cost is a dead letter, never a duplicate"""
        self.begin(partitions=1)
        self.start()
        at = now()
        self.job.produce([event(1, "acme", at, cost="1.00"), event(1, "acme", at, cost="2.00"),
                          event(1, "acme", at, cost="1.00")])
        self.assertEqual({"counted": 1, "duplicates": 1, "dead": 1, "ignored": 0}, self.settled())
        self.assertEqual(["id_conflict"], self.dead())


class DeadTest(IngestStory):
    def refused(self):
        """One of many kinds of what cannot be read, with the reason for each."""
        made = event(1, "acme", now())
        text = json.dumps(made)
        return [("nonsense", "not_json"), (text.replace('"id":', '"id":"x","id":', 1),
                                           "duplicate_member"),
                ("[" * 40 + "]" * 40, "too_deep"), ({**made, "time": "yesterday"}, "bad_time"),
                ({**made, "id": None}, "missing_member"), ({**made, "id": "a\u0007b"},
                                                           "control_character"),
                ({**made, "time": (now() + timedelta(hours=1)).isoformat()}, "time_ahead"),
                ({**made, "time": "2020-01-01T00:00:00Z"}, "too_old"),
                (event(1, "acme", now(), usage={"input_tokens": -1}), "count_range"),
                ({**made, "type": "com.example.usage.dream.v1"}, "unknown_kind"),
                ({**made, "data": {**made["data"], "labels": {"x": "y" * 70000}}}, "too_large")]

    def letters(self):
        """What stands on the dead-letter topic, by key."""
        try:
            return {one["key"]: json.loads(one["value"])
                    for one in self.job.env.kafka.consume(self.job.dead)}
        except RuntimeError:
            return {}

    def test_letters(self):
        """What cannot be read is in the table and on the topic, never its bytes; the rest goes on"""
        self.begin(partitions=1)
        self.start()
        refused = self.refused()
        self.send(*(value for value, _ in refused), event(2, "acme", now()))
        self.assertEqual({"counted": 1, "duplicates": 0, "dead": len(refused), "ignored": 0},
                         self.settled())
        self.assertEqual([reason for _, reason in refused], self.dead())
        wait_until(lambda: len(self.letters()) == len(refused), 20, "all on the dead-letter topic")
        topic = self.job.topics[0]
        self.assertEqual({f"{topic}/0/{offset}/0": reason
                          for offset, (_, reason) in enumerate(refused)},
                         {key: letter["reason"] for key, letter in self.letters().items()})
        self.assertFalse(any("value" in letter for letter in self.letters().values()))
        self.assertEqual(0, self.job.one("SELECT count(payload) FROM tripmeter.dead_letter"))
        self.assertNotIn("nonsense", self.engine.log_text())

    def test_payload(self):
        """Where it is configured, the bytes are kept, also those that are no text"""
        self.begin(partitions=1, ingest_keep_dead_payload=True)
        self.start()
        self.job.env.kafka.produce(self.job.topics[0], [
            {"key": "acme", "value": "nonsense"}, {"key": "acme", "value_hex": "7b22fffe"}])
        self.assertEqual(2, self.settled()["dead"])
        self.assertEqual([(b"nonsense",), (b"{\"\xff\xfe",)], [
            (bytes(payload),) for payload, in self.job.rows(
                "SELECT payload FROM tripmeter.dead_letter ORDER BY record_offset")])
        wait_until(lambda: len(self.letters()) == 2, 20, "both on the dead-letter topic")
        topic = self.job.topics[0]
        self.assertEqual("nonsense", self.letters()[f"{topic}/0/0/0"]["value"])
        self.assertEqual("7b22fffe", self.letters()[f"{topic}/0/1/0"]["value_hex"])

    def test_halt(self):
        """More than half unreadable: that partition stops and says so, the other goes on"""
        self.begin(partitions=2)
        self.start()
        self.calls("acme", 1)
        self.job.await_settled()
        home = self.job.one("SELECT shard FROM tripmeter.tenant_shard WHERE tenant = 'acme'")
        self.send(*("nonsense" for _ in range(300)), partition=1 - home)
        self.engine.await_log("event=partition_halted")
        self.calls("acme", 5)
        wait_until(lambda: self.job.one("SELECT sum(counted)::int FROM tripmeter.progress") == 6, 20,
                   "the other partition goes on")
        wait_until(lambda: self.job.one("SELECT sum(dead)::int FROM tripmeter.progress") == 200, 20,
                   "200 are refused, and no more are taken")
        partition = f"{self.job.topics[0]}/{1 - home}"
        self.await_page("/readyz", 503, partition, "cannot be read")
        self.await_page("/status", 200, "cannot be read", "tripmeter dead list")
        rules = lambda: {one["labels"]["rule"] for one in self.webhooks("engineering")}
        wait_until(lambda: "ingest/partition_halted" in rules(), 20, "engineering is told")
        self.assertIn("cannot be read", self.job.say("status"))
        self.check_resume(partition)

    def check_resume(self, partition):
        """It stays halted over a restart, until an operator has it read on, from where it stopped."""
        self.restart()
        self.engine.await_log("event=claimed")
        self.await_page("/readyz", 503, partition, "tripmeter dead resume")
        self.calls("acme", 5)
        wait_until(lambda: self.job.one("SELECT sum(counted)::int FROM tripmeter.progress") == 11, 20,
                   "the other partition goes on")
        self.assertEqual(200, self.job.one("SELECT sum(dead)::int FROM tripmeter.progress"))
        self.assertIn("is not halted", self.job.say(
            "dead", "resume", f"{self.job.topics[0]}/7", "--reason", "x", status=1))
        # 100 are left, too few to halt it again.
        self.assertIn("is read on", self.job.say("dead", "resume", partition, "--reason", "repaired"))
        self.job.await_settled()
        self.assertEqual([(311, 300, 11)], self.job.rows(
            "SELECT sum(processed)::int, sum(dead)::int, sum(counted)::int FROM tripmeter.progress"))
        self.await_page("/readyz", 200)
        self.assertEqual([("operator",)], self.job.rows(
            "SELECT reason FROM tripmeter.episode WHERE rule = 'ingest/partition_halted'"))
        self.assertIn("is not halted", self.job.say("dead", "resume", partition, "--reason", "x",
                                                    status=1))
        self.restart()
        self.await_page("/readyz", 200)


class SplitTest(IngestStory):
    def test_split(self):
        """A tenant in two partitions is counted in both, judged in its home, and engineering hears"""
        self.begin(partitions=2, policy="""
fallback_plan: free
plans:
  free:
    quotas:
      api_calls: {meter: requests, limit: 10}
""")
        self.start()
        self.calls("acme", 5)
        self.job.await_settled()
        home = self.job.one("SELECT shard FROM tripmeter.tenant_shard WHERE tenant = 'acme'")
        self.send(*(self.call("acme") for _ in range(20)), partition=1 - home)
        self.assertEqual(25, self.settled()["counted"])
        self.assertEqual(25, self.job.one("SELECT sum(requests)::int FROM tripmeter.tenant_fact"))
        self.assertIsNone(self.gateway.answer("acme"))
        self.await_idle()
        self.restart()
        self.send(self.call("acme"), partition=1 - home)
        self.assertEqual(26, self.settled()["counted"])
        self.await_idle()
        told, = [one for one in self.webhooks("engineering")
                 if one["labels"]["rule"] == "ingest/tenant_split"]
        self.assertEqual("acme", told["labels"]["tenant"])
        summary = told["annotations"]["summary"]
        self.assertIn("partitioner=murmur2_random", summary)
        for partition in (0, 1):
            self.assertRegex(summary, rf"\b{partition}\b")


if __name__ == "__main__":
    unittest.main()
