"""What is asked before a policy is loaded and before a limit is raised; and what is said of the pace."""

import json
import os

from tests.integration import test_cli
from tests.lib.engine import tripmeter
from tests.lib.env import environment
from tests.lib.generate import now
from tests.lib.postgres import query
from tests.lib.story import Story

POLICY = """
fallback_plan: free
plans:
  free:
    quotas:
      api_calls: {{meter: requests, limit: {limit}, forecast: on}}
"""

# acme used 100, 110, 120 and 150 requests a month, and 90 in the first ten days of June.
MONTHS = """
INSERT INTO tripmeter.period_total SELECT 'acme', '', m, m + interval '1 month', 1, n, n,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n / 100.0, n / 100.0, 0
FROM (VALUES ('2026-02-01Z'::timestamptz, 100), ('2026-03-01Z', 110), ('2026-04-01Z', 120),
             ('2026-05-01Z', 150), ('2026-06-01Z', 90)) AS used(m, n);
INSERT INTO tripmeter.tenant_fact SELECT 'acme', 'web', 'search', 'openai', 'gpt-4o',
    '2026-06-02Z', '2026-06-01Z', 1, 90, 90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.9, 0.9, 0;
INSERT INTO tripmeter.shard (shard, shard_time) VALUES (0, '2026-06-11Z');
INSERT INTO tripmeter.tenant_shard (tenant, shard, provisional) VALUES ('acme', 0, false);
"""


class BeforehandTest(test_cli.Case):
    def setUp(self):
        self.database = environment().postgres.create_database()
        self.config = test_cli.write_config(self.database)
        self.assertEqual(0, tripmeter("migrate", "-c", self.config).returncode)
        self.policy(100)
        query(self.database, MONTHS)
        query(self.database, "INSERT INTO tripmeter.policy (serial, hash, body)"
                             " VALUES (1, sha256('1'), %s)", (POLICY.format(limit=100),))

    def policy(self, limit):
        path = os.path.join(os.path.dirname(self.config), "policy.yaml")
        with open(path, "w", encoding="utf-8") as policy:
            policy.write(POLICY.format(limit=limit))

    def test_diff(self):
        """check --diff says who would be blocked and told, and whose contract would not fit"""
        common = ("check", "--diff", "-c", self.config)
        self.say("tenant", "set", "acme", "--project", "web:api_calls=85", "--no-wait", "-c",
                 self.config)
        before = query(self.database, "SELECT count(*) FROM tripmeter.transition")
        text = self.say(*common)
        self.assertIn("for 1 tenant,", text)
        self.assertIn("nothing opens, nothing closes", text)
        self.policy(80)
        text = self.say(*common, status=1)
        self.assertRegex(text, r"acme +quota/api_calls +90 +100 +80 +alert (opens|rises) \(100 %\)")
        self.assertRegex(text, r"quota/api_calls +90 +100 +80 +tenant/acme is BLOCKED: "
                               r"plan_allowance_exhausted")
        self.assertIn("api_calls: 15 of 100 not given to projects\napi_calls: on course for 270\n",
                      self.say("status", "acme", "-c", self.config))
        self.assertRegex(text, r"acme +projects: together they have 85 of api_calls.* new")
        self.assertEqual(before, query(self.database, "SELECT count(*) FROM tripmeter.transition"))
        self.assertIn("exit", self.say("check", "--help"))
        query(self.database, "INSERT INTO tripmeter.tenant_shard (tenant, shard, provisional)"
                             " SELECT 'silent-' || i, i % 3, false FROM generate_series(1, 1200) i")
        self.assertIn("for 1201 tenants,", self.say(*common, status=1))

    def test_increase(self):
        """report increase is one page with everything an account manager needs, and JSON"""
        common = ("report", "increase", "acme", "-c", self.config)
        text = self.say(*common, "--use-case", "Black Friday")
        for line in ("Quota increase for acme", "for: Black Friday",
                     "api_calls: 90 of 100 requests (90 %), resets 2026-07-01",
                     "it is used up in 1.1 days", "By the end of the period that is 270 requests.",
                     "Average of 4 periods 120 requests, growth 36 %.",
                     "half as much in reserve: 246 requests.", "Suggestion: 250 requests.",
                     "Refused since 2026-02-01: nothing."):
            self.assertIn(line, text)
        self.assertRegex(text, r"2026-05-01 +150 +150 %")
        self.assertRegex(text, r"search +0.90 USD +90")
        self.assertRegex(text, r"openai gpt-4o +0.90 USD +90")
        document = json.loads(self.say(*common, "--json"))
        quota = document["quotas"][0]
        self.assertEqual((quota["limit"], quota["forecast"], quota["need"], quota["suggestion"]),
                         (100, 270, 246, 250))
        self.assertEqual([150, 120, 110, 100], [period["used"] for period in quota["history"]])
        self.assertIn("no contract", self.say("report", "increase", "nobody", "-c", self.config,
                                              status=1))


class PaceTest(Story):
    def test_once_a_day(self):
        """A day that takes more than its share is told to billing once, also across a restart"""
        # The first of 30 days: 100 for all of them, so that a day is worth 3 and 5 is enough.
        self.begin(partitions=1, policy=f"""
defaults: {{cycle: "days:30/{now():%Y-%m-%d}"}}
fallback_plan: free
plans:
  free:
    quotas:
      api_calls: {{meter: requests, limit: 100, pacing: on, forecast: on}}
""")
        self.job.tenant("acme")
        self.start()
        self.calls("acme", 5)
        self.await_idle()
        self.assertEqual([], self.webhooks())
        self.calls("acme", 2)
        alert, = self.await_webhooks(1)
        self.assertEqual(("pacing/api_calls", "firing", "6", "5", "requests"),
                         (alert["labels"]["rule"], alert["status"], alert["value"],
                          alert["threshold"], alert["unit"]))
        self.await_idle()
        self.restart()
        self.calls("acme", 3)
        self.await_idle()
        self.assertEqual(1, len(self.webhooks()))
        self.assertEqual(["[tripmeter] acme: api_calls, too fast today"],
                         [mail["subject"] for mail in self.mails()])
        quota, = json.loads(self.job.say("status", "acme", "--json"))["quotas"]
        self.assertEqual(({"today": 10, "day_share": 3, "days_left": 30}, None),
                         (quota["pace"], quota["forecast"]))
