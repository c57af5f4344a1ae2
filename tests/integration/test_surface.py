"""What an operator sees while it runs, and how it ends."""

import html
import json
import os
import re
import unittest

from tests.lib.server import ROOT
from tests.lib.story import Story

POLICY = """
fallback_plan: free
plans:
  free:
    quotas:
      api_calls: {meter: requests, limit: 10}
"""
LINE = re.compile(r'(?P<name>[a-z_]+)(\{(?P<labels>[^}]*)\})? (?P<value>-?[0-9.]+(e[+-]?[0-9]+)?|\+Inf)')


def metrics_named():
    with open(os.path.join(ROOT, "core", "metrics.def"), encoding="utf-8") as rows:
        return set(re.findall(r'METRIC\(\w+, "(\w+)"', rows.read()))


class SurfaceTest(Story):
    POLICY = POLICY

    def metrics(self):
        """{name{labels}: value}; every line is of the format or a comment."""
        out = {}
        for line in self.await_page("/metrics", 200).splitlines():
            if line.startswith("#"):
                self.assertRegex(line, r"^# (HELP|TYPE) tripmeter_\w+ ")
                continue
            found = LINE.fullmatch(line)
            self.assertIsNotNone(found, line)
            out[line.rsplit(" ", 1)[0]] = float(found["value"])
        return out

    def test_pages(self):
        """/healthz, /readyz and /metrics answer; every series is there from the start, no tenant is"""
        self.begin()
        self.start()
        self.await_page("/healthz", 200, "ok")
        self.await_page("/readyz", 200, "ready")
        before = self.metrics()
        names = {re.sub(r"(_bucket|_sum|_count)?(\{.*)?$", "", name) for name in before}
        self.assertLessEqual(metrics_named(), {name.split("{")[0] for name in before} | names)
        self.assertEqual(0, before['tripmeter_events_total{result="counted"}'])
        self.calls("acme", 7)
        self.job.await_settled()
        after = self.metrics()
        self.assertEqual(set(before), set(after))
        self.assertEqual(7, after['tripmeter_events_total{result="counted"}'])
        self.assertEqual((1, 1, 1), tuple(after[f"tripmeter_{name}"] for name in
                                          ("postgres_up", "kafka_up", "enforcement_on")))
        self.assertFalse(any("acme" in name for name in after))
        self.assertEqual(404, self.get("/nowhere")[0])

    def test_status(self):
        """During a block the page says who is blocked, why and until when, and a gateway agrees"""
        self.begin()
        self.start()
        self.calls("acme <&>", 10)
        self.gateway.await_denied("acme <&>", "plan_allowance_exhausted")
        self.await_idle()
        page = self.await_page("/status", 200, "plan allowance exhausted", "quota/api_calls",
                               "10 of 10", "tripmeter tenant set")
        self.assertIn("acme <&>", html.unescape(page))
        self.assertIn(self.job.one("SELECT to_char(period_end, 'YYYY-MM-DD\"T00:00:00Z\"') FROM"
                                   " tripmeter.period_total"), page)
        self.assertNotIn("acme <&>", page)
        self.assertNotIn("<script", page)
        self.assertIn("plan_allowance_exhausted", self.job.say("status"))
        self.assertIn("plan_allowance_exhausted", self.job.say("status", "acme <&>"))
        document = json.loads(self.await_page("/status.json", 200))
        self.assertIn("plan_allowance_exhausted", json.dumps(document))
        self.assertEqual(1, self.metrics()["tripmeter_restricted_scopes"])

    def test_stop(self):
        """SIGTERM settles what was counted and ends with 0"""
        self.begin(settle_interval="30s")
        self.start()
        self.engine.await_log("event=claimed")
        self.calls("acme", 10)
        self.gateway.await_denied("acme", "plan_allowance_exhausted")
        self.assertEqual(0, self.engine.stop())
        self.assertEqual(10, self.job.one("SELECT sum(counted)::int FROM tripmeter.progress"))


if __name__ == "__main__":
    unittest.main()
