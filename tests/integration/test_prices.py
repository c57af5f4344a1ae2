"""Prices on real servers: the list's, the fallback, what is priced later, and the public list, exactly."""

import json
import os
import re
import subprocess
import tempfile
import unittest
from decimal import Decimal, ROUND_HALF_EVEN

from tests.integration.test_ingest import IngestStory
from tests.lib.audit import check_record, check_sums
from tests.lib.engine import tripmeter
from tests.lib.generate import event, now
from tests.lib.wait import wait_until

SHARED = os.environ.get("TRIPMETER_SHARED", os.path.join(os.path.dirname(__file__), "../../../shared"))
ARCHIVE = os.path.join(SHARED, "data", "usage-traces.tar.zst")
PUBLIC = "prices/weishaw_model_prices_and_context_window.json"

POLICY = """
fallback_plan: free
prices: {providers: prices.yaml}
plans:
  free:
    quotas:
      spend: {meter: cost, limit: 10.00}
  reseller: {charge: 20%, quotas: {}}
"""
OLD = """
providers:
  lab: {cheap-1: {input: 1e-06, output: 2e-06}, dear-1: {input: 5e-06, output: 2e-05}}
"""
NEW = OLD.replace("{cheap-1", "{new-1: {versions: [{input: 2e-07, output: 1e-06}]}, cheap-1")


def used(number, tenant, model, tokens, **data):
    return event(number, tenant, now(), provider="lab", model=model, cost=None,
                 usage={"input_tokens": tokens, "output_tokens": 0}, **data)


class PricesTest(IngestStory):
    def write_prices(self, text):
        with open(os.path.join(self.job.directory, "prices.yaml"), "w", encoding="utf-8") as out:
            out.write(text)

    def cost(self, tenant):
        return self.job.one("SELECT sum(cost) FROM tripmeter.tenant_fact WHERE tenant = %s", (tenant,))

    def waiting(self):
        return self.job.one("SELECT count(*) FROM tripmeter.unpriced WHERE priced_at IS NULL")

    def begin_with_prices(self):
        self.begin(partitions=2, policy=POLICY.replace("prices: {providers: prices.yaml}", ""))
        self.job.set_policy(POLICY)
        self.write_prices(OLD)
        self.job.tenant("shop", plan="reseller")

    def test_priced_later_once(self):
        """What has no price is cut by the fallback, priced when the list has it, once, whoever dies"""
        self.begin_with_prices()
        self.start()
        self.job.produce([used(0, "acme", "cheap-1", 1_000_000), used(1, "shop", "cheap-1", 1_000_000)])
        self.job.produce([used(2, "acme", "new-1", 1_500_000)])
        # 2,500 more of many tenants, so that it takes several pages.
        self.job.produce([used(i, f"t-{i % 40}", "new-1", 1000) for i in range(100, 2600)])
        self.job.await_settled()
        self.assertEqual((Decimal(1), Decimal(1), 2501), (self.cost("acme"), self.cost("shop"), self.waiting()))
        self.assertEqual(Decimal("8.5"), self.job.one(
            "SELECT cost + estimate FROM tripmeter.period_total WHERE tenant = 'acme' AND project = ''"))
        self.assertEqual([("list",)], self.job.rows("""
            SELECT CASE WHEN price_version IS NOT NULL THEN 'list' END
            FROM tripmeter.settled_event WHERE tenant = 'acme' AND model = 'cheap-1'"""))
        # An unlikely price is refused, and the running list stays.
        self.write_prices(OLD.replace("1e-06, output", "0.1, output"))
        self.assertIn("ten thousand times", self.job.say("prices", "load", status=1))
        self.write_prices(NEW)
        os.environ["TRIPMETER_FAILPOINTS"] = "settle_commit_sent=kill@3"
        try:
            self.restart()
        finally:
            os.environ.pop("TRIPMETER_FAILPOINTS")
        wait_until(lambda: not self.engine.running(), 60, lambda: "it dies while it prices")
        self.start()
        wait_until(lambda: self.waiting() == 0, 60, lambda: f"all are priced:\n{self.engine.tail()}")
        self.assertEqual(Decimal("1.3"), self.cost("acme"))
        self.assertEqual(Decimal("0.5"), self.job.one("""
            SELECT sum(cost) FROM tripmeter.tenant_fact WHERE tenant LIKE 't-%%'"""))
        self.assertEqual([(0, 0)], self.job.rows(
            "SELECT sum(unpriced), sum(estimate) FROM tripmeter.period_total"))
        check_sums(self, self.job)
        check_record(self, self.job)
        self.job.say("prices", "rerate", "--reason", "again")
        self.assertEqual(Decimal("1.3"), self.cost("acme"))
        period = now().strftime("%Y-%m")
        text = self.job.say("explain", "charge", "acme", "--period", period)
        self.assertIn("lab/new-1, list providers, policy 2, 1 lines: input 0.0000002,", text)
        self.assertIn("the total, to the nano", text)
        text = self.job.say("explain", "charge", "shop", "--period", period)
        self.assertIn("charged 20%", text)
        self.assertIn("charge 1.200000000, cost 1.000000000", text)


    def booked(self):
        """What each event was booked for, with all that came of it later."""
        return dict(self.job.rows(
            "SELECT id, sum(cost) FROM tripmeter.settled_event GROUP BY id"))

    def test_reload(self):
        """SIGHUP: a changed list holds for what comes then and for what waits; a broken one changes nothing"""
        self.begin_with_prices()
        self.start()
        self.job.produce([used(1, "acme", "cheap-1", 100_000), used(2, "acme", "new-1", 100_000)])
        self.job.await_settled()
        self.assertEqual(1, self.waiting())
        self.write_prices(OLD.replace("input: 1e-06", "inptu: 1e-06"))
        self.engine.reload()
        self.engine.await_log("event=reload result=refused")
        self.assertIn("prices.yaml:3:19", self.engine.log_text())
        self.job.produce([used(3, "acme", "cheap-1", 100_000), used(4, "acme", "new-1", 100_000)])
        # What is given back of an event without a price waits as well, and is limited by what it costs.
        self.job.produce([event(number, "acme", now(), "refund", refund_of={"id": "record-2"},
                                cost="-0.015", usage=None) for number in (7, 8)])
        self.job.await_settled()
        self.assertEqual(4, self.waiting())
        self.write_prices(NEW.replace("cheap-1: {input: 1e-06", "cheap-1: {input: 3e-06"))
        self.assertRegex(self.job.say("status"), r"(?m)^lab +new-1 +4 +2 ")
        self.engine.reload()
        self.engine.await_log("event=reload result=accepted policy=2")
        wait_until(lambda: self.waiting() == 0, 60, lambda: f"all are priced:\n{self.engine.tail()}")
        self.job.produce([used(5, "acme", "cheap-1", 100_000), used(6, "acme", "new-1", 100_000)])
        self.job.await_settled()
        # What had a price keeps it; what had none is priced by an entry of its own.
        old, new, waited = Decimal("0.1"), Decimal("0.3"), Decimal("0.02")
        self.assertEqual({"record-1": old, "record-2": waited, "record-3": old, "record-4": waited,
                          "record-5": new, "record-6": waited, "refund-7": Decimal("-0.015"),
                          "refund-8": Decimal("-0.005")}, self.booked())
        self.assertEqual([("record-2", waited, -1), ("record-4", waited, -1)], self.job.rows(
            "SELECT id, cost, unpriced::int FROM tripmeter.settled_event WHERE kind = 'price' ORDER BY id"))
        self.assertEqual([(Decimal("0.54"), Decimal("-0.02"), 0, Decimal(0), 8)], self.job.rows("""
            SELECT cost, refunded, unpriced::int, estimate, events::int FROM tripmeter.period_total
            WHERE tenant = 'acme' AND project = ''"""))
        check_sums(self, self.job)
        check_record(self, self.job)


class PublicListTest(unittest.TestCase):
    """Every price of the public list comes out of the engine as an independent program has it."""

    PARTS = {"input": ["input_cost_per_token"],
             "cache_read": ["cache_read_input_token_cost", "input_cost_per_token_cache_hit"],
             "cache_write": ["cache_creation_input_token_cost"],
             "output": ["output_cost_per_token"], "reasoning": ["output_cost_per_reasoning_token"]}
    USAGE = {"input": 1_000_003, "cache_read": 500_001, "cache_write": 100_007, "output": 30_011,
             "reasoning": 10_009}

    def price(self, model, part, above=None):
        for name in self.PARTS[part]:
            text = model.get(name if above is None else f"{name}_above_{above}k_tokens")
            if text is not None:
                return Decimal(text)
        return None

    def cost(self, model, scale):
        usage = {part: count // scale for part, count in self.USAGE.items()}
        names = "|".join(base for bases in self.PARTS.values() for base in bases)
        bounds = sorted({int(found.group(1)) for name in model
                         if (found := re.fullmatch(rf"(?:{names})_above_([0-9]+)k_tokens", name))})
        above = max((one for one in bounds if usage["input"] > one * 1000), default=None)

        def paid(part, otherwise):
            for bound in [above, None] if above else [None]:
                if self.price(model, part, bound) is not None:
                    return self.price(model, part, bound)
            return Decimal(0) if otherwise is None else paid(otherwise, None)

        total = ((usage["input"] - usage["cache_read"] - usage["cache_write"]) * paid("input", None) +
                 usage["cache_read"] * paid("cache_read", "input") +
                 usage["cache_write"] * paid("cache_write", "input") +
                 (usage["output"] - usage["reasoning"]) * paid("output", None) +
                 usage["reasoning"] * paid("reasoning", "output"))
        return usage, total.quantize(Decimal("1e-9"), ROUND_HALF_EVEN)

    def test_every_price(self):
        """The public price list through prices import: every model to the nano, below and above its tiers"""
        if not os.path.exists(ARCHIVE):
            self.skipTest(f"{ARCHIVE} is not there")
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["tar", "--zstd", "-xf", ARCHIVE, "-C", folder, PUBLIC], check=True)
            path = os.path.join(folder, PUBLIC)
            answer = tripmeter("prices", "import", path)
            self.assertEqual(0, answer.returncode, answer.stderr)
            with open(path, encoding="utf-8") as source:
                models = json.load(source, parse_float=str, parse_int=str)
            lines = ["policy:", "  fallback_plan: open", "  plans: {open: {}}",
                     "  prices: {providers: public.yaml}", "  --- # public.yaml"]
            lines += ["  " + line for line in answer.stdout.splitlines()]
            counted = 0
            for model, prices in models.items():
                if self.price(prices, "input") is None and self.price(prices, "output") is None:
                    continue
                for scale in (1, 7919):
                    usage, cost = self.cost(prices, scale)
                    counted += 1
                    lines.append(
                        f"2026-03-10 10:00 use t{counted} provider {prices['litellm_provider']} "
                        f'model "{model}" cost none output_tokens {usage["output"]} '
                        f"input_tokens {usage['input']} cache_read_tokens {usage['cache_read']} "
                        f"cache_write_tokens {usage['cache_write']} "
                        f"reasoning_tokens {usage['reasoning']}")
                    if counted == 1:
                        lines.append("expect alert ingest/unknown_tenant fires")
                    lines.append(f"expect total t{counted} cost {cost:f} unpriced 0")
            story = os.path.join(folder, "public.scenario")
            with open(story, "w", encoding="utf-8") as out:
                out.write("\n".join(lines) + "\n")
            answer = tripmeter("test", story)
            self.assertEqual(0, answer.returncode, answer.stdout[:4000])
            self.assertGreater(counted, 400)


if __name__ == "__main__":
    unittest.main()
