"""A tenant's way through its plan: warnings, the block, and how it ends."""

import datetime
import json
import time
import unittest
from decimal import Decimal

from tests.lib.gateway import scope_of
from tests.lib.generate import event, now
from tests.lib.story import Story

POLICY = """
fallback_plan: free
plans:
  free:
    quotas:
      api_calls: {meter: requests, limit: 100, steps: [50, 75, 90]}
  money:
    quotas:
      spend: {meter: cost, limit: "10.00", steps: [50, 75, 90]}
  watched:
    quotas:
      spend: {meter: cost, limit: "1.00", steps: [50, 75, 90, 100], on_exceed: alert}
  shadow:
    quotas:
      api_calls: {meter: requests, limit: 10, mode: shadow}
"""


class LimitStory(Story):
    POLICY = POLICY

    def quota(self, tenant, quota="api_calls", project=None):
        document = json.loads(self.job.say("status", tenant, "--json"))
        return next(row for row in document["quotas"]
                    if (row["quota"], row["project"]) == (quota, project))

    def committed_at(self, tenant):
        return self.job.one("SELECT extract(epoch FROM max(created_at)) FROM"
                            " tripmeter.tenant_version WHERE tenant = %s", (tenant,))


class StepsTest(LimitStory):
    def test_climb(self):
        """50, 75, 90 and 100 %: four messages, and at the last one gateways answer 402"""
        self.begin()
        self.job.tenant("acme", plan="free", zone="Asia/Kolkata")
        self.start()
        for number, count in enumerate((50, 25, 15, 9, 1)):
            self.calls("acme", count)
            self.await_webhooks(min(number + 1, 3))
            if number == 3:
                self.job.await_settled()
                self.assertIsNone(self.gateway.answer("acme"))
        http = self.gateway.await_denied("acme", "plan_allowance_exhausted")
        self.assertEqual(402, http["status"])
        self.await_webhooks(4)
        self.await_idle()
        self.assertEqual(
            [("firing", "info", 50, [50], "50"), ("firing", "warning", 75, [75], "75"),
             ("firing", "critical", 90, [90], "90"), ("firing", "critical", 100, [100], "100")],
            [(one["status"], one["labels"]["severity"], one["step"], one["crossed"], one["value"])
             for one in self.webhooks()])
        self.assertEqual(1, len({one["id"] for one in self.webhooks()}))
        self.assertEqual([75, 90, 100], [self.step_of(mail) for mail in self.mails()])
        self.assertIn("BLOCKED", self.mails()[-1]["text"])
        self.assertTrue(all(message["verified"] for message in self.job.env.receivers.inbox(
            "webhook", path=f"/{self.name}.billing")))
        self.assertEqual(([], []), (self.webhooks("engineering"), self.mails("engineering")))
        record = json.loads(self.gateway.records("tenant/acme")[-1]["value"])
        restriction, = record["data"]["restrictions"]
        self.assertEqual((3, "plan_allowance_exhausted", False, "increase_limit", "quota/api_calls"),
                         tuple(restriction[name] for name in
                               ("rank", "code", "retryable", "action", "rule")))
        self.assertEqual((100, 100), (restriction["used"], restriction["limit"]))
        quota = self.quota("acme")
        self.assertEqual((100, 100, 0, 0, 100, "exceeded"),
                         tuple(quota[name] for name in
                               ("used", "limit", "remaining", "over", "percent", "level")))
        self.assertEqual(quota["resets_at"], restriction["resets_at"])
        self.assertTrue(quota["resets_at"].endswith("T18:30:00Z"), quota)

    def step_of(self, mail):
        """The step is what the subject says."""
        return next((step for step in (75, 90) if f"{step}%" in mail["subject"]),
                    100 if "BLOCKED" in mail["subject"] else mail["subject"])

    def test_jump(self):
        """40 % -> 95 % in one event is one alert, step 90, that lists all it crossed"""
        self.begin()
        self.job.tenant("leap", plan="money")
        self.start()
        self.calls("leap", 1, cost="4.00")
        self.calls("leap", 1, cost="5.50")
        self.await_webhooks(1)
        self.await_idle()
        alert, = self.webhooks()
        self.assertEqual((90, [50, 75, 90], "critical", "9.50", "10.00", "USD"),
                         (alert["step"], alert["crossed"], alert["labels"]["severity"],
                          alert["value"], alert["threshold"], alert["unit"]))
        self.assertEqual(1, len(self.mails()))

    def test_restart(self):
        """No step is told a second time after a restart in the middle of the month"""
        self.begin()
        self.job.tenant("acme", plan="free")
        self.start()
        self.calls("acme", 80)
        self.await_webhooks(1)
        self.await_idle()
        self.restart()
        self.calls("acme", 1)
        self.await_idle()
        told = len(self.webhooks())
        self.calls("acme", 10)
        self.await_webhooks(told + 1)
        self.await_idle()
        self.restart()
        self.calls("acme", 10)
        self.gateway.await_denied("acme", "plan_allowance_exhausted")
        self.await_idle()
        self.restart()
        self.calls("acme", 5)
        self.await_idle()
        self.gateway.await_denied("acme", "plan_allowance_exhausted")
        crossed = [step for one in self.webhooks() for step in one["crossed"]]
        self.assertEqual([50, 75, 90, 100], crossed)

    def test_alert_only(self):
        """on_exceed: alert tells of 100 % and never blocks"""
        self.begin()
        self.job.tenant("seen", plan="watched")
        self.start()
        self.calls("seen", 3, cost="0.50")
        self.await_idle()
        self.assertEqual(100, self.await_webhooks(1)[-1]["step"])
        self.assertFalse(any(one["restricts"] for one in self.webhooks()))
        self.assertEqual([], self.gateway.records())
        self.assertEqual("exceeded", self.quota("seen", "spend")["level"])

    def test_shadow(self):
        """mode: shadow is judged and shown, and never published"""
        self.begin()
        self.job.tenant("dark", plan="shadow")
        self.start()
        self.calls("dark", 12)
        self.await_idle()
        self.assertEqual("exceeded", self.quota("dark")["level"])
        self.assertEqual(100, self.await_webhooks(1)[-1]["step"])
        self.assertFalse(any(one["restricts"] for one in self.webhooks()))
        self.assertEqual([], self.gateway.records())


class LimitTest(LimitStory):
    def blocked(self, tenant="acme"):
        """The tenant has used up its 100 calls."""
        self.begin()
        self.job.tenant(tenant, plan="free")
        self.start()
        self.calls(tenant, 100)
        self.gateway.await_denied(tenant, "plan_allowance_exhausted")
        self.await_webhooks(1)
        self.await_idle()

    def set_limit(self, tenant, value):
        self.assertIn("applied by the engine",
                      self.job.say("tenant", "set", tenant, "--limit", f"api_calls={value}"))

    def check_quick(self, tenant):
        """The last word on the topic came within 2 s of the last version's commit."""
        took = self.gateway.last_at(scope_of("tenant", tenant)) - float(self.committed_at(tenant))
        self.assertLess(took, 2.0)

    def test_raised(self):
        """A raised limit unblocks within 2 s; a lowered one blocks at once"""
        self.blocked()
        self.set_limit("acme", 200)
        self.gateway.await_allowed("acme")
        self.check_quick("acme")
        self.await_idle()
        last = self.webhooks()[-1]
        self.assertEqual(("resolved", "limit_raised"), (last["status"], last["resolvedReason"]))
        self.set_limit("acme", 60)
        self.gateway.await_denied("acme", "plan_allowance_exhausted")
        self.check_quick("acme")
        quota = self.quota("acme")
        self.assertEqual((100, 60, 0, 40),
                         tuple(quota[name] for name in ("used", "limit", "remaining", "over")))

    def test_raised_after_restart(self):
        """...also for a tenant whose events this engine has not seen, and for one that sent none"""
        self.blocked()
        self.job.tenant("never", plan="free", limits={"api_calls": 0})
        self.gateway.await_denied("never", "plan_allowance_exhausted")
        self.check_quick("never")
        self.restart()
        self.set_limit("acme", 200)
        self.gateway.await_allowed("acme")
        self.check_quick("acme")
        self.set_limit("never", 1)
        self.gateway.await_allowed("never")
        self.check_quick("never")

    def test_raised_while_down(self):
        """A limit raised while no engine runs acts as soon as one does"""
        self.blocked()
        self.assertEqual(0, self.engine.stop())
        self.job.tenant("acme", plan="free", limits={"api_calls": 1000})
        self.start()
        self.gateway.await_allowed("acme")

    def test_refund(self):
        """A refund below the limit lifts the block at once; to block again is no news"""
        self.begin()
        self.job.tenant("rich", plan="money")
        self.start()
        for cost in ("4.00", "6.00"):
            self.calls("rich", 1, cost=cost)
        self.gateway.await_denied("rich", "plan_allowance_exhausted")
        self.await_webhooks(1)
        self.await_idle()
        told = len(self.webhooks())
        self.job.produce([event("x1", "rich", now(), "refund", refund_of={"id": "record-1"},
                                cost="-0.10", usage=None)])
        self.gateway.await_allowed("rich")
        self.calls("rich", 1, cost="0.20")
        self.gateway.await_denied("rich", "plan_allowance_exhausted")
        self.await_idle()
        self.assertEqual(told, len(self.webhooks()))
        self.assertEqual(1, self.job.one("SELECT count(*) FROM tripmeter.episode"))
        self.assertEqual(Decimal("10.10"), self.job.one(
            "SELECT sum(cost) FROM tripmeter.tenant_fact WHERE tenant = 'rich'"))

    def test_project(self):
        """A project's budget goes down with the tenant's, and blocks the project alone"""
        self.begin()
        self.job.say("tenant", "set", "acme", "--plan", "free", "--limit", "api_calls=1000",
                     "--project", "api:api_calls=500", "--project", "web")
        self.start()
        self.calls("acme", 50, project="api")
        self.await_idle()
        self.assertEqual((450, 950), (self.quota("acme", project="api")["remaining"],
                                      self.quota("acme")["remaining"]))
        self.calls("acme", 450, project="api")
        http = self.gateway.await_denied("acme", "project_budget_exhausted", project="api")
        self.assertEqual(402, http["status"])
        self.assertIsNone(self.gateway.answer("acme", project="web"))
        self.assertEqual({"project/acme/api"}, {one["key"] for one in self.gateway.records()})
        self.await_idle()
        self.assertEqual([("api", 100)], [(one["labels"]["project"], one["step"])
                                          for one in self.webhooks() if one["step"] == 100])


class UnknownProjectTest(LimitStory):
    POLICY = "unknown_project: block\n" + POLICY

    def test_block(self):
        """unknown_project: block: counted, then refused at the gateways until it is declared"""
        self.begin()
        self.job.say("tenant", "set", "acme", "--plan", "free", "--project", "web")
        self.start()
        self.calls("acme", 1, project="web")
        self.calls("acme", 1, project="nobody")
        http = self.gateway.await_denied("acme", "unknown_project", project="nobody")
        self.assertEqual(403, http["status"])
        self.assertIsNone(self.gateway.answer("acme", project="web"))
        self.assertIsNone(self.gateway.answer("acme"))
        self.await_idle()
        self.assertEqual([("unassigned", 1), ("web", 1)], self.job.rows(
            "SELECT project, sum(requests)::int FROM tripmeter.tenant_fact GROUP BY 1 ORDER BY 1"))
        self.restart()
        self.engine.await_log("event=caught_up")
        self.calls("acme", 1, project="nobody")
        self.await_idle()
        self.assertIsNotNone(self.gateway.answer("acme", project="nobody"))
        self.job.say("tenant", "set", "acme", "--project", "nobody")
        self.gateway.await_allowed("acme", project="nobody")
        self.calls("acme", 1, project="nobody")
        self.await_idle()
        self.assertEqual(1, self.job.one(
            "SELECT sum(requests)::int FROM tripmeter.tenant_fact WHERE project = 'nobody'"))


class TurnTest(unittest.TestCase):
    """The end of the month comes a few seconds after the start."""

    AHEAD_S = 10

    def begin(self, zone, midnight):
        story = LimitStory()
        self.addCleanup(story.doCleanups)
        story.zone = zone
        story.midnight = datetime.datetime.fromisoformat(midnight)
        # When, by the clock on the wall, the engine's clock shows midnight.
        story.turn = time.time() + self.AHEAD_S
        shift = round((story.midnight.timestamp() - story.turn) * 1000)
        story.begin(time="trust_producers", clock_offset=f"{shift}ms")
        story.gateway.shift = datetime.timedelta(milliseconds=shift)
        story.job.tenant("quiet", plan="free", zone=zone)
        story.start()
        before = story.midnight - datetime.timedelta(seconds=60)
        story.job.produce([story.call("quiet", before) for _ in range(100)])
        return story

    def check(self, story):
        story.gateway.await_allowed("quiet", deadline_s=40)
        scope = story.gateway.records("tenant/quiet")
        late = scope[-1]["timestamp_ms"] / 1000 - story.turn
        self.assertGreaterEqual(late, 0.0)
        self.assertLess(late, 2.0)
        restriction, = json.loads(scope[0]["value"])["data"]["restrictions"]
        self.assertEqual(story.midnight,
                         datetime.datetime.fromisoformat(restriction["resets_at"]))
        story.await_idle()
        last = story.webhooks()[-1]
        self.assertEqual(("resolved", "period_rollover"),
                         (last["status"], last["resolvedReason"]))
        quota = story.quota("quiet")
        self.assertEqual((0, "ok"), (quota["used"], quota["level"]))
        story.engine.stop()

    def test_turn(self):
        """At local midnight a silent tenant is allowed within 2 s, and billing hears why"""
        stories = [self.begin("UTC", "2026-03-01T00:00:00+00:00"),
                   self.begin("Asia/Kolkata", "2026-03-31T18:30:00+00:00")]
        for story in stories:
            story.gateway.await_denied("quiet", "plan_allowance_exhausted", deadline_s=self.AHEAD_S)
        for story in stories:
            with self.subTest(story.zone):
                self.check(story)


if __name__ == "__main__":
    unittest.main()
