"""The record of settled events: what it is asked, on real servers, with a crash at every place."""

import json
import os
import tempfile
import unittest
from datetime import datetime, timedelta
from decimal import Decimal

import psycopg2

from tests.integration.test_ingest import IngestStory
from tests.lib.audit import check_record, check_sums
from tests.lib.engine import tripmeter
from tests.lib.generate import Generator, event, now
from tests.lib.wait import wait_until

PLACES = ("settle_begin", "settle_record", "settle_rows", "settle_commit", "settle_commit_sent",
          "settle_commit_answered")


def refund(number, tenant, at, original, cost):
    return event(number, tenant, at, "refund", refund_of={"id": original}, cost=cost, usage=None)


class RecordTest(IngestStory):
    def total(self):
        return self.job.one("SELECT sum(cost) FROM tripmeter.tenant_fact")

    def begin_old(self):
        """Record times are the events' own, so that anything can be late."""
        self.begin(partitions=1, time="trust_producers", dedupe_window="10m")
        self.job.tenant("acme", plan="open")

    def send_at(self, made, at):
        for i in range(0, len(made), 100):
            self.send(made[i:i + 100], timestamp_ms=int(at.timestamp() * 1000))
        self.job.await_settled()

    def die_at(self, place):
        os.environ["TRIPMETER_FAILPOINTS"] = f"{place}=kill@4" if place == "settle_rows" else (
            f"{place}=kill@1")
        try:
            self.start()
        finally:
            os.environ.pop("TRIPMETER_FAILPOINTS")
        wait_until(lambda: not self.engine.running(), 30, lambda: f"it dies at {place}")
        self.start()

    def test_refunds_once_whatever_dies(self):
        """Refunds never give back more than was paid, killed at each place of a settlement"""
        self.begin(partitions=1)
        self.job.tenant("acme", plan="open")
        at = now()
        self.start()
        self.job.produce([event(0, "acme", at, cost="100.00")])
        self.job.await_settled()
        for number, place in enumerate(PLACES, 1):
            self.assertEqual(0, self.engine.stop())
            self.job.produce([refund(f"{number}{half}", "acme", at, "record-0", "-12.50")
                              for half in "ab"])
            self.die_at(place)
            self.job.await_settled()
            self.assertEqual(max(Decimal(0), 100 - 25 * number), self.total(), place)
        self.assertEqual(2 * len(PLACES) - 8, self.job.one("SELECT sum(clamped) FROM tripmeter.tenant_fact"))
        check_sums(self, self.job)

    def test_late_repeat_after_a_restart(self):
        """A repeat after the window is a duplicate, one with another cost a dead letter"""
        self.begin_old()
        self.start()
        start = now().replace(microsecond=0) - timedelta(days=20)
        first = event(1, "acme", start, cost="1.00")
        self.send_at([first], start)
        self.restart()
        self.send_at([first], start + timedelta(days=8))
        self.send_at([event(1, "acme", start, cost="2.00")], start + timedelta(days=9))
        self.send_at([event(2, "acme", start, cost="4.00")], start + timedelta(days=10))
        self.assertEqual({"counted": 2, "duplicates": 1, "dead": 1, "ignored": 0}, self.settled())
        self.assertEqual([("id_conflict",)], self.job.rows("SELECT reason FROM tripmeter.dead_letter"))
        self.assertEqual((Decimal(5), 0), self.job.rows(
            "SELECT sum(cost), sum(unverified)::int FROM tripmeter.tenant_fact")[0])
        check_record(self, self.job)

    def test_many_late_at_once(self):
        """A gateway that was cut off for a day sends everything again: nothing is counted twice"""
        self.begin_old()
        self.start()
        start = now().replace(microsecond=0) - timedelta(days=3)
        made = [event(i, f"t-{i % 7}", start + timedelta(seconds=i), cost="0.01")
                for i in range(3000)]
        for at in (start + timedelta(hours=1), start + timedelta(days=1)):
            self.send_at(made, at)
        self.assertEqual({"counted": 3000, "duplicates": 3000, "dead": 0, "ignored": 0},
                         self.settled())
        check_record(self, self.job)

    def test_refund_before_its_original(self):
        """It is refused, and read again with success once the original has come"""
        self.begin(partitions=1)
        self.job.tenant("acme", plan="open")
        self.start()
        at = now()
        self.job.produce([refund("r", "acme", at, "record-1", "-0.40")])
        self.job.await_settled()
        self.assertEqual([("original_unknown",)],
                         self.job.rows("SELECT reason FROM tripmeter.dead_letter"))
        self.job.produce([event(1, "acme", at, cost="1.00"),
                          refund("r", "acme", at, "record-1", "-0.40")])  # a repeat of what is refused
        self.job.await_settled()
        self.assertEqual(Decimal(1), self.total())
        self.restart()  # what is refused stays remembered
        self.job.run("dead", "retry", "-c", self.job.config_path, "--reason", "original_unknown")
        wait_until(lambda: self.total() == Decimal("0.60"), 20, lambda: f"{self.total()}")
        check_record(self, self.job)

    def test_explain_charge(self):
        """From the total of a period down to its events, which sum to it, or it says that they do not"""
        self.begin(partitions=1)
        self.job.tenant("acme", plan="open")
        self.start()
        at = now()
        self.job.produce([event(1, "acme", at, cost="1.25", feature="chat"),
                          event(2, "acme", at, cost="0.000000001", feature="search"),
                          refund("r", "acme", at, "record-1", "-0.25")])
        self.job.await_settled()
        words = ("explain", "charge", "acme", "--period",
                 at.strftime("%Y-%m"))
        text = self.job.say(*words)
        for line in ("not final yet", "charge 1.000000001, cost 1.000000001 (-0.250000000 of it refunded)",
                     "facts      sum to 1.000000001 in 3 events: the total, to the nano",
                     "record     3 events: each line above is their sum, to the nano",
                     "record-2", "-0.250000000"):
            self.assertIn(line, text)
        text = self.job.say(*words, "--feature", "search")
        self.assertIn("facts      of search sum to 0.000000001 in 1 events", text)
        self.assertNotIn("record-1", text)
        self.assertIn("2 more: --all shows every one", self.job.say(*words, "--events", "1"))
        self.assertIn("nothing is booked for acme", self.job.say(
            *words[:-1], "2024-01", status=1))
        admin = psycopg2.connect(self.job.database)
        with admin, admin.cursor() as cursor:
            cursor.execute("DELETE FROM tripmeter.settled_event WHERE id = 'record-2'")
        admin.close()
        self.assertIn("record     has 2 of 3 events", self.job.say(*words, status=1))

    def test_replay(self):
        """The log again, without side effects: final periods come out to the nano, the output to the byte"""
        self.begin(partitions=2, time="trust_producers", dedupe_window="2h", clock_offset="-300d")
        self.job.tenant("t-000", plan="free", zone="Asia/Kolkata", projects={"web": {}})
        self.start()
        made = Generator(seed=11, tenants=5, start="2026-01-30T20:00:00+00:00", step_s=60)
        # Refused as they come: of a clock that is ahead, and a refund before its original.
        before = made.at - timedelta(hours=1)
        for one in (event("early", "t-000", before + timedelta(minutes=10), cost="0.123456789"),
                    refund("back", "t-000", before, "record-early", "-0.023456789")):
            self.send(one, timestamp_ms=int(before.timestamp() * 1000))
        events = [{k: v for k, v in one.items() if k != "bad"} for one in made.take(3000)]
        self.job.produce(events)
        self.job.await_settled()
        for place, in self.job.rows("""
                SELECT concat_ws('/', topic, partition, record_offset) FROM tripmeter.dead_letter
                WHERE id IN ('record-early', 'refund-back') ORDER BY record_offset"""):
            self.assertIn("1 counted", self.job.say("dead", "retry", place))
        self.job.tenant("t-001", plan="free", zone="America/New_York")
        far = made.at + timedelta(days=60)
        for number in range(40):  # both partitions see March turn, and its grace pass
            self.send(event(f"far-{number}", f"f-{number}", far), key=f"f-{number}",
                      timestamp_ms=int(far.timestamp() * 1000))
        self.job.await_settled()
        self.assertGreater(self.job.one("SELECT tripmeter.close_periods()"), 5)
        text = self.job.say("replay")
        self.assertRegex(text, r"final periods: [1-9][0-9]* as settled, to the nano; 0 differ; 0 not")
        self.assertIn("alert quota/api_calls fires tenant t-000", text)
        self.assertEqual(text, self.job.say("replay"))
        self.assertIn("and 2 dead letters that were read again", text)
        part = self.job.say("replay", "--from", "2026-02-01T00:00:00Z")
        self.assertRegex(part, r"0 differ; [1-9]")
        admin = psycopg2.connect(self.job.database)
        with admin, admin.cursor() as cursor:
            cursor.execute("ALTER TABLE tripmeter.period_total DISABLE TRIGGER USER")
            cursor.execute("UPDATE tripmeter.period_total SET cost = cost + 0.000000001"
                           " WHERE tenant = 't-000' AND project = '' AND period < '2026-02-10'")
        admin.close()
        self.assertRegex(self.job.say("replay", status=1), r"differs    t-000")

    def test_replay_of_the_past(self):
        """Totals that were priced later, by a list that changed, and what was carried in come out again"""
        prices = "providers: {lab: {old-1: {input: 1e-06, output: 0}%s}}\n"
        policy = ("fallback_plan: free\n{}plans:\n  free:\n    quotas:\n"
                  "      ai_tokens: {{meter: tokens, limit: 1000000, steps: [],"
                  " rollover: {{total_cap: 2000000}}}}\n")
        self.begin(partitions=1, time="trust_producers", dedupe_window="2h", clock_offset="-300d",
                   policy=policy.format(""))

        def list_prices(more):
            with open(os.path.join(self.job.directory, "prices.yaml"), "w", encoding="utf-8") as out:
                out.write(prices % more)

        def use(number, at, model, tokens):
            at = datetime.fromisoformat(at + ":00+00:00")
            self.send(event(number, "acme", at, cost=None, provider="lab", model=model,
                            usage={"input_tokens": tokens, "output_tokens": 0}),
                      timestamp_ms=int(at.timestamp() * 1000))

        def reload(serial):
            self.job.await_settled()
            self.engine.reload()
            self.engine.await_log(f"event=reload result=accepted policy={serial}")
            wait_until(lambda: self.job.one("""
                SELECT count(*) FROM tripmeter.command WHERE applied_at IS NULL""") == 0, 60,
                       lambda: f"it is applied:\n{self.engine.tail()}")

        self.job.set_policy(policy.format("prices: {providers: prices.yaml}\n"))
        list_prices("")
        self.start()
        use(1, "2026-01-30T10:00", "old-1", 100_000)
        use(2, "2026-01-30T11:00", "new-1", 200_000)
        use(3, "2026-01-30T12:00", "last-1", 300_000)
        self.job.await_settled()
        # Another price for one, a first one for another; what was priced stays as it was.
        list_prices(", new-1: {input: 2e-06, output: 0}")
        with open(os.path.join(self.job.directory, "prices.yaml"), encoding="utf-8") as file:
            text = file.read().replace("1e-06", "5e-06")
        with open(os.path.join(self.job.directory, "prices.yaml"), "w", encoding="utf-8") as out:
            out.write(text)
        serial = self.job.one("SELECT max(serial) FROM tripmeter.policy") + 1
        reload(serial)
        use(4, "2026-01-31T10:00", "old-1", 100_000)
        use(5, "2026-02-20T10:00", "new-1", 900_000)
        # January is final when its last price comes: an adjustment, not in its total.
        self.job.await_settled()
        list_prices(", new-1: {input: 2e-06, output: 0}, last-1: {input: 7e-06, output: 0}")
        reload(serial + 1)
        use(6, "2026-02-21T10:00", "last-1", 100_000)
        use(7, "2026-04-20T10:00", "old-1", 1)
        self.job.await_settled()
        self.assertEqual(2, self.job.one("SELECT tripmeter.close_periods()"))
        self.assertEqual([(Decimal("1.0"), 0, 300_000), (Decimal("2.5"), 300_000, 300_000)],
                         self.job.rows("""
            SELECT t.cost, q.carry::int, q.carried::int FROM tripmeter.period_total t
            JOIN tripmeter.quota_period q USING (tenant, project, period)
            WHERE q.is_final ORDER BY period"""))
        text = self.job.say("replay")
        self.assertIn("final periods: 2 as settled, to the nano; 0 differ; 0 not", text)
        self.assertIn("carried on: 3 as settled; 0 differ; 0 not", text)
        self.assertEqual(text, self.job.say("replay"))
        # From the middle of the chain: what January carried is known from its row.
        text = self.job.say("replay", "--from", "2026-02-01T00:00:00Z")
        self.assertIn("final periods: 1 as settled, to the nano; 0 differ; 1 not", text)
        self.assertIn("carried on: 2 as settled; 0 differ; 1 not", text)
        # And until the end of January only: its late price belongs to it.
        text = self.job.say("replay", "--to", "2026-02-04T00:00:00Z")
        self.assertIn("final periods: 1 as settled, to the nano; 0 differ; 1 not", text)

    def test_replay_of_a_file(self):
        """A file through one policy, or through two with the differences; no server is asked"""
        with tempfile.TemporaryDirectory() as folder:
            def write(name, text):
                path = os.path.join(folder, name)
                with open(path, "w", encoding="utf-8") as out:
                    out.write(text)
                return path

            policy = ("fallback_plan: free\nplans:\n  free:\n    quotas:\n"
                      "      api_calls: {{meter: requests, limit: {}, steps: [50]}}\n")
            one = write("one.yaml", policy.format(10))
            other = write("other.yaml", policy.format(20))
            tenants = write("tenants.jsonl", '{"tenant": "acme", "zone": "Europe/Berlin"}\n')
            at = now().replace(year=2026, month=3, day=31, hour=21, minute=50, second=0, microsecond=0)
            events = write("events.ndjson", "".join(
                json.dumps(event(i, "acme", at + timedelta(minutes=i), cost="0.1")) + "\n"
                for i in range(12)))
            words = ("replay", events, "--tenants", tenants, "--policy")
            alone = tripmeter(*words, one)
            self.assertEqual(0, alone.returncode, alone.stderr)
            self.assertEqual(alone.stdout, tripmeter(*words, one).stdout)
            self.assertRegex(alone.stdout, r"21:59:00Z  block tenant/acme code plan_allowance_exhausted")
            self.assertRegex(alone.stdout, r"22:00:00Z  allow tenant/acme")  # April, in Berlin
            self.assertRegex(alone.stdout, r"acme +2026-03-31T22:00:00Z +2 +2 ")
            both = tripmeter(*words, one, "--against", other).stdout
            self.assertRegex(both, r"(?m)^- .*21:59:00Z  block tenant/acme")
            self.assertRegex(both, r"(?m)^\+ .*21:59:00Z  alert quota/api_calls fires .* step 50")
            self.assertEqual(2, tripmeter("replay", events).returncode)


if __name__ == "__main__":
    unittest.main()
