"""Event -> Postgres -> recount: what is settled is what was sent, to the nano."""

import datetime
import os
import subprocess
import unittest
from decimal import Decimal

from tests.lib.audit import check_sums
from tests.lib.env import environment
from tests.lib.generate import Generator, event
from tests.lib.job import POLICY, Job
from tests.lib.recount import Recount
from tests.lib.server import ROOT

SHARED = os.environ.get("TRIPMETER_SHARED", os.path.join(ROOT, "..", "shared"))
TRACES = os.path.join(SHARED, "data", "usage-traces.tar.zst")


class RecountTest(unittest.TestCase):
    def test_generated_events_across_zones_and_months_are_settled_to_the_nano(self):
        env = environment()
        # The log jumps by a month: with the usual grace what comes late would be another period's.
        job = Job(env, partitions=4, time="trust_producers", dedupe_window="2h",
                  policy="grace: 60d\n" + POLICY)
        made = Generator(seed=7)
        for tenant, zone in made.zones.items():
            job.tenant(tenant, plan="open", zone=zone, projects={"web": {}, "app": {}})
        engine = job.engine().start()
        events = made.take(6000)
        made.at = datetime.datetime.fromisoformat("2026-02-28T18:00:00+00:00")
        events += made.take(6000)
        lines = [{k: v for k, v in one.items() if k != "bad"} for one in events]
        job.produce(lines)
        recount = Recount(made.zones, {t: ["web", "app"] for t in made.tenants},
                          datetime.timedelta(hours=2))
        recount.add_all(one for one in events if "bad" not in one)
        job.await_settled()
        self.assertEqual(0, engine.stop())
        self.assertEqual(recount.fact_rows(), job.totals())
        self.assertEqual(recount.key_rows(), job.key_totals())
        self.assertGreater(recount.dead, 0)
        self.assertEqual(recount.dead + sum("bad" in one for one in events),
                         job.one("SELECT count(*) FROM tripmeter.dead_letter"))
        self.assertEqual(recount.duplicates, job.one("SELECT sum(duplicates) FROM tripmeter.progress"))
        check_sums(self, job)

    @unittest.skipUnless(os.path.exists(TRACES), f"no {TRACES}: the real traces are not checked")
    def test_the_real_traces_give_their_known_totals(self):
        lines = subprocess.run(["tar", "--zstd", "-xOf", TRACES, "replay/native_events.jsonl"],
                               check=True, capture_output=True, text=True).stdout.splitlines()
        job = Job(environment(), partitions=4, time="trust_producers")
        engine = job.engine().start()
        job.produce(lines)
        job.await_settled()
        self.assertEqual(0, engine.stop())
        self.assertEqual(14274, job.one("SELECT sum(counted) FROM tripmeter.progress"))
        self.assertEqual(Decimal("31.649071125"),
                         job.one("SELECT sum(cost) FROM tripmeter.tenant_fact"))
        self.assertEqual(Decimal("-0.145190800"),
                         job.one("SELECT sum(refunded) FROM tripmeter.tenant_fact"))
        self.assertEqual(Decimal("5.020661275"), job.one(
            "SELECT sum(cost) FROM tripmeter.tenant_fact WHERE tenant = 't-0000'"))
        self.assertEqual(Recount().add_all(lines).fact_rows(), job.totals())
        check_sums(self, job)


if __name__ == "__main__":
    unittest.main()
