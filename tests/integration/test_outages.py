"""Servers go away and come back: everything arrives, once, and decisions do not wait."""

import os
import signal
import time
import unittest

import psycopg2

from tests.lib.audit import (await_denied, check_gateways, check_steps, check_totals, recount_log)
from tests.lib.env import environment
from tests.lib.generate import event, now
from tests.lib.job import POLICY, Job
from tests.lib.load import Load
from tests.lib.proxy import Proxy
from tests.lib.server import read_env
from tests.lib.wait import wait_until

RATE = 600


class Outage(unittest.TestCase):
    def set_up(self, **settings):
        self.env = environment()
        self.job = Job(self.env, **settings)
        self.addCleanup(self.end)

    def start(self):
        self.engine = self.job.engine().start()
        wait_until(self.all_claimed, 30, lambda: f"it runs:\n{self.engine.tail()}")

    def all_claimed(self):
        return self.job.partitions == self.job.one(
            "SELECT count(*) FROM tripmeter.shard WHERE owner IS NOT NULL AND shard < 100000")

    def end(self):
        for engine in self.job.engines:
            engine.kill()

    def load(self, seed):
        """Events of tenants that climb to their limits; what must have come of them: check()."""
        self.under = Load(self.job, seed, RATE)
        self.addCleanup(self.under.kill)
        self.limits = {}
        for number, (tenant, zone) in enumerate(self.under.made.zones.items()):
            self.limits[tenant] = [50, 500, 5000][number % 3]
            self.job.tenant(tenant, plan="free", zone=zone,
                            limits={"api_calls": self.limits[tenant]})
        self.under.start()
        self.await_settlements()

    def settled(self):
        return sum(self.job.settled_offsets().values())

    def await_settlements(self, records=RATE):
        before = self.settled()
        wait_until(lambda: self.settled() > before + records, 40,
                   lambda: f"settlements go on:\n{self.job.sessions()}{self.engine.tail()}")

    def check(self):
        self.under.stop()
        self.job.await_settled()
        recount = recount_log(self.job, self.under.made.zones)
        check_totals(self, self.job, recount)
        check_steps(self, self.job, recount, "api_calls", "requests", self.limits, 1000)
        check_gateways(self, self.job, recount, self.limits, 1000)
        self.assertEqual(0, self.engine.stop())


class PostgresTest(Outage):
    def test_restarted_as_after_a_crash_under_load(self):
        self.set_up()
        self.start()
        self.load(31)
        for _ in range(3):
            self.env.postgres.immediate()
            self.env.postgres.start()
            self.await_settlements()
        self.check()

    def test_decisions_do_not_wait_and_strangers_are_parked(self):
        """Away: a tenant in memory is blocked all the same, another one has to wait."""
        self.set_up(policy=POLICY.replace("limit: 1000,", "limit: 10,"))
        self.start()
        self.job.produce([event(0, "known", now())])
        self.job.await_settled()
        await_denied(self.job, set())
        self.env.postgres.stop()
        self.addCleanup(self.env.postgres.start)
        self.job.produce(event(number, tenant, now())
                         for number in range(1, 12) for tenant in ("known", "stranger"))
        await_denied(self.job, {"tenant/known"}, 5)
        self.engine.await_log("settlement_unknown")
        self.env.postgres.start()
        await_denied(self.job, {"tenant/known", "tenant/stranger"})
        self.job.await_settled()
        check_totals(self, self.job, recount_log(self.job))

    def through_a_proxy(self):
        port = self.env.postgres.port
        proxy = Proxy("127.0.0.1", port)
        self.addCleanup(proxy.stop)
        self.job.settings["postgres_url"] = self.job.database.replace(f":{port}/", f":{proxy.port}/")
        self.start()
        return proxy

    def test_connections_are_cut_anywhere_in_a_settlement(self):
        """The outcome of a COMMIT is unknown when its answer is lost: it is sent again, not twice."""
        self.set_up()
        proxy = self.through_a_proxy()
        self.load(32)
        for size in range(20):
            # An answer to a settlement is some hundred bytes, what asks for it some thousand.
            proxy.tell("cut-after", *(("down", 40 * size) if size % 2 else ("up", 900 * size)))
            self.await_settlements(RATE // 4)
        self.assertIn("settlement_unknown", self.engine.log_text())
        self.check()

    def test_a_frozen_connection(self):
        self.set_up()
        proxy = self.through_a_proxy()
        self.load(33)
        proxy.tell("freeze")
        before = self.job.lag()
        wait_until(lambda: self.job.lag() > before + RATE, 20, "nothing is settled any more")
        proxy.tell("open")
        proxy.tell("cut")  # as when either end gives up
        self.await_settlements()
        self.check()


class KafkaTest(Outage):
    def test_killed_and_restarted(self):
        self.set_up()
        self.start()
        self.load(34)
        self.env.kafka.kill()
        self.env.kafka.start()
        self.await_settlements()
        self.check()


class StopTest(Outage):
    def test_sigterm_while_nobody_answers(self):
        """Kafka and Postgres are there and say nothing: it ends all the same, in ten seconds."""
        self.set_up()
        self.start()
        self.load(35)
        self.under.kill()
        with open(os.path.join(read_env(self.env.postgres.directory)["place"], "data",
                               "postmaster.pid"), encoding="utf-8") as pid:
            postgres = int(pid.readline())
        backends = [pid for pid, in self.job.rows("SELECT pid FROM pg_stat_activity")]
        frozen = [self.env.kafka.pid(), postgres, *backends]
        for pid in frozen:
            self.send(pid, signal.SIGSTOP)
        try:
            self.engine.stop(10)
        finally:
            for pid in frozen:
                self.send(pid, signal.SIGCONT)
        self.env.kafka.restart()  # its controller has thrown it out: when it is back is its affair
        wait_until(self.kafka_leads, 30, "Kafka leads its partitions")
        again = self.job.engine().start()
        self.job.await_settled()
        check_totals(self, self.job, recount_log(self.job, self.under.made.zones))
        self.assertEqual(0, again.stop())

    def kafka_leads(self):
        try:
            return self.env.kafka.watermarks(self.job.topics[0])
        except RuntimeError:
            return None

    @staticmethod
    def send(pid, number):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass  # a backend that has ended meanwhile


class DeliveryTest(Outage):
    def test_receivers_fail_and_recover(self):
        """500, then 200; 451, then 250: each alert arrives once, under the id it has."""
        env = environment()
        env.receivers.control(webhook_status=500, times=2, path="/billing")
        env.receivers.control(smtp_code=451, times=2)
        self.addCleanup(env.receivers.control, reset=True)
        host, port = env.receivers.smtp.split(":")
        endpoints = {"email": ["finance@example.com"],
                     "webhooks": [{"url": env.receivers.webhook + "/billing",
                                   "secret": env.receivers.secret}]}
        self.set_up(smtp_host=host, smtp_port=int(port), smtp_tls="off",
                    smtp_from="tripmeter@example.com", alerts_allow_http=True,
                    alerts_allow_private=True, alerts_group_wait="0s",
                    alerts_receivers={"billing": endpoints, "engineering": endpoints})
        before = len(env.receivers.inbox("webhook")), len(env.receivers.inbox("mail"))
        self.start()
        tenants = [f"t{number}" for number in range(5)]
        for tenant in tenants:
            self.job.tenant(tenant, plan="free", limits={"api_calls": 10})
        self.job.produce(event(number, tenant, now())
                         for tenant in tenants for number in range(11))
        self.job.await_settled()
        wait_until(lambda: self.job.rows("SELECT 1 FROM tripmeter.outbox") and not self.job.rows(
            "SELECT 1 FROM tripmeter.outbox WHERE finished_at IS NULL"
            " UNION ALL SELECT 1 FROM tripmeter.transition WHERE routed_at IS NULL"), 60,
            lambda: "all is delivered: " + str(self.job.rows("""
                SELECT endpoint, state, attempts, next_at - now(), last_error
                FROM tripmeter.outbox WHERE finished_at IS NULL""")))
        hooks = [m["headers"]["webhook-id"] for m in env.receivers.inbox("webhook")[before[0]:]]
        mails = [m["headers"]["message-id"] for m in env.receivers.inbox("mail")[before[1]:]]
        # Four steps each by webhook, the three that are warnings or worse by mail as well.
        self.assertEqual((4 * len(tenants), 3 * len(tenants)), (len(hooks), len(mails)))
        self.assertEqual(sorted(hooks), self.ids("webhook"))
        self.assertEqual(sorted(mails), [f"<{name}@example.com>" for name in self.ids("email")])
        self.assertEqual([("email", 2), ("webhook", 2)], self.job.rows(
            "SELECT kind, sum(attempts - 1)::bigint FROM tripmeter.outbox GROUP BY 1 ORDER BY 1"))
        self.assertEqual(0, self.engine.stop())

    def ids(self, kind):
        return [name for name, in self.job.rows(
            "SELECT id FROM tripmeter.outbox WHERE kind = %s AND state = 'delivered' ORDER BY 1",
            (kind,))]


class ClaimTest(Outage):
    def test_a_broker_that_is_silent_at_the_claim(self):
        """It is said once what is waited for, the claim stands, and a stop is heard."""
        self.set_up(settle_interval="1s")
        self.start()
        self.job.produce([event(number, f"t{number}", now()) for number in range(40)])
        self.job.await_settled()
        self.assertEqual(0, self.engine.stop())
        # Its first claim is to be that of a shard: nobody leads the fleet meanwhile.
        leader = psycopg2.connect(self.job.database)
        self.addCleanup(leader.close)
        leader.cursor().execute("SELECT pg_advisory_lock(hashtext('tripmeter.fleet'))")
        os.environ["TRIPMETER_FAILPOINTS"] = "claim_after=stop@1"
        self.addCleanup(os.environ.pop, "TRIPMETER_FAILPOINTS", None)
        for stops in (True, False):
            before = self.epochs()
            self.engine.start()
            wait_until(self.is_stopped, 30, "a claim")
            self.env.kafka.pause()
            self.addCleanup(self.env.kafka.resume)
            self.engine.resume()
            wait_until(lambda: self.engine.log_text().count("event=claim ") > 0
                       and all(after > epoch for after, epoch in zip(self.epochs(), before)), 20,
                       lambda: f"it says that it waits:\n{self.engine.tail()}")
            claimed = self.epochs()
            if stops:
                began = time.monotonic()
                self.engine.stop()
                self.assertLess(time.monotonic() - began, 12)
            self.env.kafka.resume()
        self.job.produce([event(number, f"t{number}", now()) for number in range(40, 80)])
        self.job.await_settled()
        # Each shard was claimed once: waiting does not make owners that ended without a settlement.
        self.assertEqual(claimed, self.epochs())
        self.assertNotIn("event=careful", self.engine.log_text())
        self.assertEqual(80, self.job.one("SELECT sum(events) FROM tripmeter.tenant_fact"))
        self.assertEqual(0, self.engine.stop())

    def is_stopped(self):
        with open(f"/proc/{self.engine.process.pid}/stat", encoding="utf-8") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "T"

    def epochs(self):
        return [epoch for epoch, in self.job.rows("SELECT epoch FROM tripmeter.shard"
                                                  " WHERE shard < 100000 ORDER BY shard")]


class RefusedTest(Outage):
    def test_a_record_that_the_database_refuses(self):
        """It is singled out and becomes a dead letter; all others are settled."""
        self.set_up()
        self.start()
        self.job.rows("ALTER TABLE tripmeter.tenant_fact ADD CHECK (feature <> 'poison')")
        events = [event(number, f"t{number % 7}", now(),
                        feature="poison" if number in (50, 51, 120) else "chat")
                  for number in range(200)]
        self.job.produce(events)
        self.job.await_settled()
        self.assertEqual([("refused_by_database", "record-120"), ("refused_by_database", "record-50"),
                          ("refused_by_database", "record-51")], self.job.rows(
                              "SELECT reason, id FROM tripmeter.dead_letter ORDER BY 2"))
        self.assertEqual(197, self.job.one("SELECT sum(events) FROM tripmeter.tenant_fact"))
        self.job.produce([event(number, f"t{number % 7}", now()) for number in range(1000, 1100)])
        self.job.await_settled()
        self.assertEqual(297, self.job.one("SELECT sum(events) FROM tripmeter.tenant_fact"))
        self.check_again()
        self.assertEqual(0, self.engine.stop())

    def check_again(self):
        """Read again they are refused again, each for itself, and nothing else is; until they fit."""
        again = ("dead", "retry", "--reason", "refused_by_database")
        self.job.produce([event(number, f"t{number % 7}", now()) for number in range(2000, 2100)])
        self.assertIn("3 refused again", self.job.say(*again, status=1))
        self.job.produce([event(number, f"t{number % 7}", now()) for number in range(3000, 3100)])
        self.job.await_settled()
        self.assertEqual((497, 3), self.job.rows(
            "SELECT (SELECT sum(events)::int FROM tripmeter.tenant_fact),"
            " (SELECT count(*)::int FROM tripmeter.dead_letter)")[0])
        self.job.rows("ALTER TABLE tripmeter.tenant_fact DROP CONSTRAINT tenant_fact_feature_check")
        self.assertIn("3 counted", self.job.say(*again))
        self.assertEqual(500, self.job.one("SELECT sum(events) FROM tripmeter.tenant_fact"))


if __name__ == "__main__":
    unittest.main()
