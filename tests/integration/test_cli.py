"""What an operator types, against a real Postgres and a real Kafka, mostly without the engine."""

import hashlib
import json
import os
import socket
import subprocess
import unittest
from datetime import datetime, timedelta, timezone

import psycopg2

from tests.lib.engine import BINARY, tripmeter
from tests.lib.env import environment
from tests.lib.job import Job
from tests.lib.postgres import query
from tests.lib.wait import wait_until

POLICY = """
fallback_plan: free
plans:
  free:
    quotas:
      api_calls: {meter: requests, limit: 1_000}
  starter:
    quotas:
      api_calls: {meter: requests, limit: 50k}
      spend: {meter: cost, limit: 250.00, on_exceed: alert}
"""

CONFIG = """
policy: policy.yaml
state_dir: state
workers: 1
kafka:
  brokers: [{brokers}]
  group: {control}
  topics: [{topic}]
  control_topic: {control}
  dead_letter_topic: none
postgres:
  url: {database}
status:
  port: {port}
alerts:
  allow_http: true
  allow_private: true
  receivers:
    billing:
      webhooks: [{{url: "http://127.0.0.1:1/", secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}]
    engineering:
      webhooks: [{{url: "http://127.0.0.1:1/", secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}]
"""

COMMANDS = ["run", "check", "migrate", "status", "watch", "tenant set", "tenant show", "tenant list",
            "tenant import", "allow", "block", "enforce", "dead list", "dead show", "dead retry",
            "decode", "detect", "report increase", "prices import", "prices load", "prices rerate"]

# The columns of period_total that a row must name, all zero.
TOTALS = ("events", "requests", "attempts", "failed", "input_tokens", "cache_read_tokens",
          "cache_write_tokens", "output_tokens", "reasoning_tokens", "images", "audio_ms", "bytes",
          "unpriced", "unverified", "estimated", "clamped", "cost", "charge", "refunded")


def write_config(database, brokers="127.0.0.1:1", control="control", topic="usage", port=1):
    path = environment().path("tripmeter.yaml")
    with open(path, "w", encoding="utf-8") as config:
        config.write(CONFIG.format(database=database, brokers=brokers, control=control, topic=topic,
                                   port=port))
    with open(os.path.join(os.path.dirname(path), "policy.yaml"), "w", encoding="utf-8") as policy:
        policy.write(POLICY)
    return path


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Case(unittest.TestCase):
    def say(self, *words, status=0, stdin=""):
        """Runs a command; its whole output, after its exit status was checked."""
        done = tripmeter(*words, stdin=stdin)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr


class HelpTest(Case):
    def test_help(self):
        """Every command has a help text that names its exit status, and nothing is contacted"""
        overview = self.say("--help")
        self.assertEqual(overview, self.say("help"))
        for command in COMMANDS:
            self.assertIn(f"  {command} ", overview)
            text = self.say(*command.split(), "--help")
            self.assertTrue(text.startswith(f"usage: tripmeter {command} "), text)
            self.assertIn("exit status:", text)
            self.assertEqual(text, self.say("help", *command.split()))
        self.assertEqual(self.say("help", "tenant"), self.say("tenant", "--help"))
        self.assertRegex(self.say("--version"), r"^tripmeter \d+\.\d+\.\d+\n$")

    def test_usage(self):
        """What cannot be meant is refused with status 2 and a hint"""
        for words, hint in (
                ((), "usage: tripmeter COMMAND"),
                (("statsu",), 'did you mean "status"?'),
                (("tenant", "lits"), 'did you mean "list"?'),
                (("status", "--jsno"), "did you mean --json?"),
                (("status", "a", "b"), "one word too many"),
                (("block", "key/acme/k1", "--for", "2h"), "--reason"),
                (("block", "key/acme/k1", "--reason", "x"), "--for 2h"),
                (("block", "key/acme/k1", "--reason", "x", "--for", "2 h"), "is no duration"),
                (("block", "acme", "--reason", "x", "--for", "2h"), "tenant/T, project/T/P"),
                (("enforce", "maybe", "--reason", "x"), "enforce on, or enforce off?"),
                (("dead", "show", "usage/1"), "TOPIC/PARTITION/OFFSET"),
                (("dead", "retry"), "--reason REASON"),
                (("watch", "--for", "soon"), "is no duration")):
            self.assertIn(hint, self.say(*words, status=2), words)

    def test_config_is_named(self):
        """Without -c the environment names the configuration; without either it is asked for"""
        environment_ = {k: v for k, v in os.environ.items() if k != "TRIPMETER_CONFIG"}
        done = subprocess.run([BINARY, "check"], capture_output=True, text=True, env=environment_)
        self.assertEqual(done.returncode, 2)
        self.assertIn("TRIPMETER_CONFIG", done.stderr)
        environment_["TRIPMETER_CONFIG"] = write_config("postgresql://localhost/nothing")
        done = subprocess.run([BINARY, "check"], capture_output=True, text=True, env=environment_)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class CheckTest(Case):
    def test_check(self):
        """Every error at once, with its place; a summary when there is none"""
        path = write_config("postgresql://localhost/nothing")
        fine = self.say("check", "-c", path)
        self.assertIn("fine", fine)
        self.assertIn("2 plans", fine)
        with open(path, "a", encoding="utf-8") as config:
            config.write("workerz: 3\nsettle:\n  interval: soon\n")
        lines = open(path, encoding="utf-8").read().splitlines()
        text = self.say("check", "-c", path, status=1)
        self.assertRegex(text, rf"(?m)^{path}:{len(lines) - 2}:1: .*workers")
        self.assertRegex(text, rf"(?m)^{path}:{len(lines)}:13: ")
        self.assertIn("workers", self.say("check", "--keys"))

    def test_unreadable(self):
        """A file that is not there is a finding, not a crash"""
        self.assertIn("/nowhere.yaml", self.say("check", "-c", "/nowhere.yaml", status=1))


class DatabaseTest(Case):
    @classmethod
    def setUpClass(cls):
        cls.database = environment().postgres.create_database()
        cls.config = write_config(cls.database)
        done = tripmeter("migrate", "-c", cls.config)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)

    def sql(self, text, *parameters):
        return query(self.database, text, parameters or None)

    def test_migrate(self):
        """Migrating again changes nothing; without the schema every command names the remedy"""
        self.assertIn("0 applied now", self.say("migrate", "-c", self.config))
        empty = write_config(environment().postgres.create_database())
        self.assertIn("tripmeter migrate", self.say("status", "-c", empty, status=1))

    def test_unreached(self):
        """A server that is not there is status 3"""
        path = write_config("postgresql://tripmeter@127.0.0.1:1/nothing")
        for command in ("migrate", "status", "tenant list"):
            self.assertIn("127.0.0.1:1", self.say(*command.split(), "-c", path, status=3))
        self.assertIn("127.0.0.1:1", self.say("watch", "-c", self.config, status=3))

    def versions(self, tenant):
        return self.sql("SELECT version, plan, zone, cycle, currency, limits, projects, actor, reason"
                        " FROM tripmeter.tenant_version WHERE tenant = %s ORDER BY version", tenant)

    def test_set(self):
        """Changes add versions and never overwrite; what is not named stays"""
        common = ("-c", self.config, "--actor", "anna", "--no-wait")
        text = self.say("tenant", "set", "set", "--plan", "starter", "--zone", "Europe/Berlin",
                        "--cycle", "anchor:31", "--limit", "api_calls=60000",
                        "--reason", "order 1", *common)
        self.assertIn("version 1 (new) by anna", text)
        self.say("tenant", "set", "set", "--limit", "spend=250.50", "--project",
                 "web:api_calls=500", "--currency", "EUR", "--reason", "order 2", *common)
        self.assertIn("nothing changed", self.say("tenant", "set", "set", "--plan", "starter", *common))
        self.say("tenant", "set", "set", "--limit", "api_calls=plan", "--no-project", "web", *common)
        limits = {"api_calls": 60000}
        more = {"api_calls": 60000, "spend": "250.50"}
        self.assertEqual(self.versions("set"), [
            (1, "starter", "Europe/Berlin", "anchor:31", None, limits, {}, "anna", "order 1"),
            (2, "starter", "Europe/Berlin", "anchor:31", "EUR", more, {"web": {"limits": {"api_calls": 500}}},
             "anna", "order 2"),
            (3, "starter", "Europe/Berlin", "anchor:31", "EUR", {"spend": "250.50"}, {}, "anna", "")])
        self.assertEqual(self.sql("SELECT count(*) FROM tripmeter.command WHERE tenant = 'set'"
                                  " AND kind = 'tenant' AND actor = 'anna'"), [(3,)])
        shown = json.loads(self.say("tenant", "show", "set", "--json", "-c", self.config))
        self.assertEqual([v["version"] for v in shown["versions"]], [3, 2, 1])
        self.assertIn("order 2", self.say("tenant", "show", "set", "-c", self.config))
        self.assertIn("has no contract", self.say("tenant", "show", "nobody", "-c", self.config,
                                                  status=1))

    def test_set_refused(self):
        """A contract the policy cannot live with is refused, with what is wrong"""
        for words, hint in (
                (("--plan", "startr"), "startr"),
                (("--zone", "Europe/Berln"), "Berln"),
                (("--cycle", "anchor:32"), "1 to 31"),
                (("--limit", "api_cals=5"), "api_cals"),
                (("--limit", "api_calls=many"), "must be a number like 50000, 1_000, 50k"),
                (("--limit", "api_calls=0.5"), "api_calls"),
                (("--no-project", "web"), 'no project "web"')):
            self.assertIn(hint, self.say("tenant", "set", "refused", *words, "-c", self.config,
                                         status=1))
        self.assertEqual(self.versions("refused"), [])

    def test_budgets(self):
        """2,000 with 1,000 + 500 + 300 leaves 200; a further 250 is refused"""
        common = ("-c", self.config, "--no-wait")
        self.say("tenant", "set", "budgets", "--limit", "api_calls=2000", "--project",
                 "a:api_calls=1000", "--project", "b:api_calls=500", "--project",
                 "c:api_calls=300", *common)
        self.assertIn("200 of 2000 not given to projects",
                      self.say("status", "budgets", "-c", self.config))
        self.say("tenant", "set", "budgets", "--project", "d:api_calls=250", *common, status=1)
        self.say("tenant", "set", "budgets", "--project", "d:api_calls=200", *common)
        # The policy of the file beside the contracts there are: check asks only when it is told to.
        self.assertNotIn("UNALLOCATED", self.say("check", "-c", self.config))
        self.assertRegex(self.say("check", "--budgets", "-c", self.config),
                         r"TENANT +QUOTA +PROJECTS +LIMIT +GIVEN TO THEM +UNALLOCATED\n"
                         r"(.*\n)*budgets +api_calls +4 +2000 +2000 +0\n")
        self.say("tenant", "set", "budgets-2", "--project", "a:api_calls=900", *common)
        lower = self.policy_beside("limit: 1_000", "limit: 800")
        text = self.say("check", "--budgets", "-c", lower, status=1)
        self.assertRegex(text, r"budgets-2 +api_calls +1 +800 +900 +-100\n")
        self.assertIn("1 gives away more than there is", text)
        self.assertIn("-100", self.say("check", "--budgets", "-c", self.policy_beside(
            "fallback_plan", "overcommit: allow\nfallback_plan", "limit: 1_000", "limit: 800")))

    def policy_beside(self, *words):
        """The same configuration under another policy: each odd word is replaced by the next."""
        path = write_config(self.database)
        text = POLICY
        for old, new in zip(words[::2], words[1::2]):
            text = text.replace(old, new)
        with open(os.path.join(os.path.dirname(path), "policy.yaml"), "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def test_broken_policy(self):
        """With errors in the file commands go by what is stored, and say so; before it, they name them"""
        broken = self.policy_beside("limit: 1_000", "limit: many")
        words = ("-c", broken, "--reason", "x", "--no-wait")
        stored = self.sql("SELECT count(*) FROM tripmeter.policy")[0][0]
        if stored == 0:
            self.assertIn("policy.yaml:6:", self.say("status", "broken", "-c", broken, status=1))
            self.sql("SELECT * FROM tripmeter.store_policy(sha256(convert_to(%s, 'UTF8')), %s, true,"
                     " false, 'test')", POLICY, POLICY)
        line = (r"tripmeter: .*policy.yaml:6:\d+: .*\(all errors: tripmeter check\); this goes by"
                r" policy 1, as stored in Postgres\n")
        self.say("tenant", "set", "broken", "--limit", "api_calls=77", *words)
        for command in (("status",), ("status", "broken"), ("tenant", "list")):
            self.assertRegex(self.say(*command, "-c", broken), line)
        done = tripmeter("status", "broken", "--json", "-c", broken)
        self.assertRegex(done.stderr, line)
        self.assertEqual(77, json.loads(done.stdout)["quotas"][0]["limit"])
        self.say("block", "tenant/broken", "--for", "1h", *words)
        self.assertIn("nothing was changed", self.say("prices", "load", "-c", broken, status=1))
        self.assertIn("policy.yaml:6:", self.say("check", "-c", broken, status=1))

    def test_currency(self):
        """What is booked in one currency is not added to in another, whoever asks for it"""
        common = ("-c", self.config, "--no-wait")
        self.total("money", "", 5)
        self.say("tenant", "set", "money", "--currency", "EUR", *common)
        self.sql("UPDATE tripmeter.period_total SET cost = 1 WHERE tenant = 'money' RETURNING cost")
        self.assertIn("booked in EUR", self.say("tenant", "set", "money", "--currency", "GBP", *common,
                                                status=1))
        self.assertIn("booked in EUR", self.say("tenant", "import", "-", *common, status=1,
                                                stdin='{"tenant": "money"}\n'))
        with self.assertRaisesRegex(psycopg2.Error, "booked in EUR"):
            self.sql("INSERT INTO tripmeter.tenant_version (tenant, currency) VALUES ('money', 'GBP')")
        self.say("tenant", "set", "money", "--plan", "starter", *common)

    def test_import(self):
        """All lines or none; every bad line is named; the same file again changes nothing"""
        lines = [{"tenant": "imp-1", "plan": "starter", "reason": "from the shop"},
                 {"tenant": "imp-2", "limits": {"api_calls": "unlimited"}, "actor": "bert",
                  "from": "2026-01-01T00:00:00Z"},
                 {"tenant": "imp-3", "projects": {"web": {"limits": {"api_calls": 5}}}}]
        good = "".join(json.dumps(line) + "\n" for line in lines)
        bad = good + '\n{"tenant": "imp-4", "plan": "nope"}\n{"tenant": 5}\nnot json\n' \
            '{"tenant": "imp-1"}\n{"tenant": "imp-5", "plam": "free"}\n'
        text = self.say("tenant", "import", "-", "-c", self.config, stdin=bad, status=1)
        for number in (5, 6, 7, 8, 9):
            self.assertIn(f"stdin:{number}: ", text)
        self.assertIn("5 of the lines", text)
        self.assertEqual(self.versions("imp-1"), [])
        common = ("-c", self.config, "--actor", "carla", "--no-wait")
        self.assertIn("3 tenants: 3 new, 0 changed, 0 as they were",
                      self.say("tenant", "import", "-", *common, stdin=good))
        self.assertEqual([row[7:] for name in ("imp-1", "imp-2") for row in self.versions(name)],
                         [("carla", "from the shop"), ("bert", "import")])
        self.assertEqual(self.sql("SELECT valid_from FROM tripmeter.tenant_version"
                                  " WHERE tenant = 'imp-2'")[0][0].isoformat()[:10], "2026-01-01")
        lines[0]["plan"] = "free"
        path = environment().path("tenants.jsonl")
        with open(path, "w", encoding="utf-8") as out:
            out.writelines(json.dumps(line) + "\n" for line in lines)
        self.assertIn("0 new, 1 changed, 2 as they were", self.say("tenant", "import", path, *common))
        self.assertIn("imp-2", self.say("tenant", "list", "-c", self.config))
        self.say("tenant", "import", "/nowhere", *common, status=1)

    def total(self, tenant, project, requests):
        """A row of use in the present month (UTC), as a settlement writes it."""
        columns = ", ".join(TOTALS)
        values = ", ".join(str(requests) if name in ("events", "requests", "attempts") else "0"
                           for name in TOTALS)
        self.sql(f"INSERT INTO tripmeter.period_total (tenant, project, period, period_end, {columns})"
                 " SELECT %s, %s, m, m + interval '1 month', " + values +
                 " FROM (SELECT date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') x(m)"
                 " ON CONFLICT (tenant, project, period) DO UPDATE SET requests = excluded.requests",
                 tenant, project)

    def test_status(self):
        """Limit 1000, project api 500: after 50 the project has 450 left, the tenant 950"""
        common = ("-c", self.config)
        self.say("tenant", "set", "golden", "--limit", "api_calls=1000", "--project",
                 "api:api_calls=500", "--no-wait", *common)
        self.total("golden", "", 50)
        self.total("golden", "api", 50)
        quotas = json.loads(self.say("status", "golden", "--json", *common))["quotas"]
        self.assertEqual([(q["quota"], q["project"], q["used"], q["limit"], q["remaining"], q["over"],
                           q["percent"], q["level"], q["approaching"]) for q in quotas],
                         [("api_calls", None, 50, 1000, 950, 0, 5, "ok", False),
                          ("api_calls", "api", 50, 500, 450, 0, 10, "ok", False)])
        self.assertRegex(quotas[0]["resets_at"], r"^\d{4}-\d\d-01T00:00:00Z$")
        text = self.say("status", "golden", *common)
        self.assertRegex(text, r"api_calls +50 +1000 +950 +0 +5 % +ok +block +\d{4}-")
        self.assertRegex(text, r"api_calls +api +50 +500 +450 +0 +10 % +ok")
        self.assertIn("nothing of it is restricted", text)
        self.total("golden", "api", 501)
        self.assertRegex(self.say("status", "golden", *common),
                         r"api +501 +500 +0 +1 +100 % +exceeded, approaching")

    def test_status_unknown(self):
        """A tenant without a contract has the fallback plan; one nobody has heard of is refused"""
        self.total("stray", "", 7)
        document = json.loads(self.say("status", "stray", "--json", "-c", self.config))
        self.assertEqual((document["known"], document["plan"], document["quotas"][0]["used"]),
                         (False, "free", 7))
        self.assertRegex(self.say("tenant", "list", "--unknown", "-c", self.config), r"stray +7 ")
        self.say("tenant", "set", "typo-me", "--plan", "free", "-c", self.config, "--no-wait")
        self.assertIn('did you mean "typo-me"?',
                      self.say("status", "tpyo-me", "-c", self.config, status=1))

    def test_overview(self):
        """One page of the engine, from Postgres alone when no engine answers"""
        text = self.say("status", "-c", self.config)
        self.assertIn("no engine answers at 127.0.0.1:1", text)
        self.assertIn("nothing is restricted", text)
        document = json.loads(self.say("status", "--json", "-c", self.config))
        self.assertEqual((document["engine"], document["shards"]), (None, []))

    def test_words(self):
        """allow, block and revoke are kept with who, why and until when, and become commands"""
        common = ("--reason", "leaked", "--actor", "anna", "-c", self.config, "--no-wait")
        text = self.say("block", "key/wordy/k 1", "--for", "2h", *common)
        self.assertIn("key/wordy/k%201: block until", text)
        self.assertIn('tenant "wordy" has no contract', text)
        self.say("allow", "tenant/wordy", "--for", "ever", *common)
        self.say("block", "key/wordy/k 1", "--revoke", *common)
        rows = self.sql("SELECT scope, kind, actor, reason, until_at = 'infinity',"
                        " round(extract(epoch FROM until_at - since_at)) FROM"
                        " tripmeter.operator_word WHERE tenant = 'wordy' AND until_at < 'infinity'")
        self.assertEqual(rows, [("key/wordy/k%201", "block", "anna", "leaked", False, 7200)])
        kinds = self.sql("SELECT kind FROM tripmeter.operator_word WHERE tenant = 'wordy' ORDER BY id")
        self.assertEqual(kinds, [("block",), ("allow",), ("revoke",)])
        self.assertEqual(self.sql("SELECT count(*) FROM tripmeter.command WHERE tenant = 'wordy'"
                                  " AND kind = 'word' AND reason = 'leaked'"), [(3,)])

    def test_enforce(self):
        """enforce off and on are audited and shown first"""
        common = ("--actor", "anna", "-c", self.config)
        text = self.say("enforce", "off", "--reason", "wrong prices", *common)
        self.assertIn("no engine has run on this database yet", text)
        self.assertRegex(self.say("status", "-c", self.config), r"OFF .* anna +wrong prices")
        self.say("enforce", "on", "--reason", "prices are right", "--no-wait", *common)
        self.assertEqual(self.sql("SELECT is_on, actor, reason FROM tripmeter.enforcement ORDER BY id"),
                         [(False, "anna", "wrong prices"), (True, "anna", "prices are right")])


class KafkaTest(Case):
    """With a topic of its own: positions, dead letters, the control topic."""

    @classmethod
    def setUpClass(cls):
        env = environment()
        cls.kafka = env.kafka
        cls.topic, cls.control = env.name("usage"), env.name("control")
        cls.database = env.postgres.create_database()
        cls.config = write_config(cls.database, cls.kafka.bootstrap, cls.control)
        cls.kafka.create_topic(cls.topic, 1)
        cls.kafka.create_topic(cls.control, 1, cleanup_policy="compact")
        done = tripmeter("migrate", "-c", cls.config)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        query(cls.database, "SELECT tripmeter.store_layout(ARRAY[%s], 1)", (cls.topic,))

    def dead(self, offset, value, reason="time_ahead", topic=None):
        query(self.database,
              "INSERT INTO tripmeter.dead_letter (topic, partition, record_offset, event_index, at,"
              " reason, detail, retryable, hash, fingerprint) VALUES (%s, 0, %s, 0, now(), %s,"
              " 'it is', true, %s, 0)",
              (topic or self.topic, offset, reason, hashlib.sha256(value.encode()).hexdigest()))

    def test_dead(self):
        """A dead letter is listed, shown, and its record handed to the engine once"""
        value = '{"specversion":"1.0","id":"1","data":{"cost":"0.10"}}'
        data = '{"cost": 0.10}'
        self.kafka.produce(self.topic, [
            {"key": "acme", "value": value},
            {"key": "acme", "value": data,
             "headers": {"ce_specversion": "1.0", "ce_id": "2", "other": "x"}}])
        self.dead(0, value)
        self.dead(1, data)
        self.dead(2, "gone", reason="quarantined")
        common = ("-c", self.config)
        listed = self.say("dead", "list", "--reason", "time_ahead", *common)
        self.assertIn(f"{self.topic}/0/0/0", listed)
        self.assertNotIn(f"{self.topic}/0/2/0", listed)
        self.assertIn("no such", self.say("dead", "list", "--since", "2090-01-01T00:00:00Z", *common))
        shown = self.say("dead", "show", f"{self.topic}/0/0", "--record", *common)
        self.assertIn("time_ahead", shown)
        self.assertIn(value, shown)
        self.say("dead", "show", f"{self.topic}/0/9", *common, status=1)
        text = self.say("dead", "retry", "--reason", "time_ahead", "--no-wait", "--actor", "anna",
                        *common)
        self.assertEqual(text.count("handed to the engine"), 2)
        rows = query(self.database, "SELECT convert_from(payload, 'UTF8'), body, actor FROM"
                     " tripmeter.command WHERE kind = 'retry' ORDER BY (body ->> 'offset')::int")
        self.assertEqual(rows[0][0], value)
        self.assertEqual(rows[1][0], '{"specversion":"1.0","id":"2","data":{"cost": 0.10}}')
        self.assertEqual((rows[0][1]["key"], rows[0][2]), ("acme".encode().hex(), "anna"))
        self.assertGreater(rows[0][1]["time_ms"], 0)
        self.assertIn("being read again",
                      self.say("dead", "retry", f"{self.topic}/0/0", *common, status=1))

    def test_dead_gone(self):
        """What is not in the topic any more, or is another record now, is not retried"""
        topic = environment().name("usage")
        self.kafka.create_topic(topic, 1)
        self.kafka.produce(topic, [{"key": "acme", "value": "another"}])
        self.dead(0, "what was there", topic=topic)
        self.dead(900, "never there", topic=topic)
        for offset, hint in ((0, "another record"), (900, "not in the topic any more")):
            self.assertIn(hint, self.say("dead", "retry", f"{topic}/0/{offset}", "-c", self.config,
                                         status=1))

    def test_watch(self):
        """Decisions and alerts appear as they come, a line each, and heartbeats do not"""
        watch = subprocess.Popen([BINARY, "watch", "-c", self.config, "--for", "30s"],
                                 stdout=subprocess.PIPE, text=True)
        lines = []
        try:
            os.set_blocking(watch.stdout.fileno(), False)

            def sees(text):
                lines.extend(watch.stdout.readlines())
                return any(text in line for line in lines)

            wait_until(lambda: sees("as they come"), 20, "watch follows")
            restriction = {"code": "plan_allowance_exhausted", "rule": "quota/api_calls",
                           "used": 5, "limit": 5}
            block = {"time": "2026-03-01T00:00:00Z",
                     "data": {"scope": "tenant/acme", "outcome": "block",
                              "restrictions": [restriction]}}

            def blocked():
                self.kafka.produce(self.control, [
                    {"key": "engine/0", "value": '{"data":{"shard":0}}'},
                    {"key": "tenant/acme", "value": json.dumps(block)}])
                return sees("tenant/acme: plan_allowance_exhausted by quota/api_calls, 5 of 5")

            # Until it is seen: the reader's first fetch decides where "from now on" begins.
            wait_until(blocked, 20, lambda: f"the block in {lines}")
            query(self.database, """
                INSERT INTO tripmeter.alert_counter VALUES ('0123456789abcdef', 1, 1);
                INSERT INTO tripmeter.episode (fingerprint, episode, rule, tenant, labels, severity,
                  step, restricts, opened_at, changed_at) VALUES ('0123456789abcdef', 1,
                  'quota/api_calls', 'acme', '{}', 'warning', 75, false, now(), now());
                INSERT INTO tripmeter.transition (fingerprint, episode, seq, move, rule, tenant, labels,
                  severity, at, step, crossed, value, threshold, is_money, unit, restricts)
                  VALUES ('0123456789abcdef', 1, 1, 'fire', 'quota/api_calls', 'acme', '{}',
                  'warning', now(), 75, '{50,75}', 4, 5, false, 'requests', false)""")
            wait_until(lambda: sees("quota/api_calls of acme: 75 %, 4 of 5 requests"), 20,
                       lambda: f"the alert in {lines}")
            self.assertFalse(any("engine/0" in line or "\033" in line for line in lines))
        finally:
            watch.kill()
            watch.wait()
            watch.stdout.close()


class EngineTest(Case):
    """With an engine that applies what is said."""

    def setUp(self):
        self.job = Job(environment(), partitions=2, policy=POLICY, status_port=free_port())
        self.config = self.job.config_path
        self.engine = self.job.engine().start()
        self.addCleanup(self.engine.kill)
        wait_until(lambda: self.job.one("SELECT count(*) FROM tripmeter.shard"
                                        " WHERE shard < 100000 AND owner IS NOT NULL") == 2, 30, lambda: f"the engine claims its shards:\n{self.engine.tail()}")

    def event(self, number, tenant="acme", **members):
        now = datetime.now(timezone.utc) + members.pop("ahead", timedelta(0))
        return {"specversion": "1.0", "id": str(number), "source": "test", "subject": tenant,
                "type": "com.example.usage.record.v1", "time": now.isoformat(),
                "data": {"request_id": str(number), "usage": {"input_tokens": 1}, "cost": "0.01"}}

    def outcome(self, scope):
        message = self.job.env.kafka.latest(self.job.control).get(scope)
        return message and json.loads(message["value"])["data"]["outcome"]

    def await_outcome(self, scope, outcome):
        wait_until(lambda: self.outcome(scope) == outcome, 20,
                   lambda: f"{scope} {outcome}, not {self.outcome(scope)}")

    def status(self):
        return json.loads(self.say("status", "told", "--json", "-c", self.config))

    def test_words(self):
        """What is said is applied while the command waits, and gateways are told"""
        common = ("-c", self.config, "--reason", "test")
        text = self.say("block", "key/told/k1", "--for", "2h", *common)
        self.assertIn("applied by the engine", text)
        self.await_outcome("key/told/k1", "block")
        self.assertRegex(self.say("status", "told", "-c", self.config), r"key/told/k1 +block")
        self.assertIn("applied by the engine", self.say("enforce", "off", *common))
        self.await_outcome("key/told/k1", "allow")
        self.say("enforce", "on", *common)
        self.await_outcome("key/told/k1", "block")
        self.say("block", "key/told/k1", "--revoke", *common)
        self.await_outcome("key/told/k1", "allow")

    def test_limit(self):
        """A limit of 2 blocks at the second event, is seen in status, and lifted when raised"""
        common = ("-c", self.config, "--reason", "test")
        text = self.say("tenant", "set", "told", "--limit", "api_calls=2", *common)
        self.assertIn("applied by the engine", text)
        self.job.produce([self.event(n, "told") for n in range(2)])
        self.await_outcome("tenant/told", "block")
        wait_until(lambda: self.status()["quotas"][0]["used"] == 2, 20, "both events are settled")
        status = self.status()
        self.assertEqual([r["scope"] for r in status["restrictions"]], ["tenant/told"])
        self.assertTrue(status["quotas"][0]["blocked"])
        self.assertTrue(status["settled"])
        overview = self.say("status", "-c", self.config)
        self.assertIn("an engine answers at", overview)
        self.assertRegex(overview, r"tenant/told +block +plan_allowance_exhausted")
        self.assertRegex(overview, r"critical +quota/api_calls +told")
        self.say("tenant", "set", "told", "--limit", "api_calls=5", *common)
        self.await_outcome("tenant/told", "allow")

    def test_retry(self):
        """A dead letter is read again when it is said; what it still is, is said"""
        self.job.produce([self.event(1, "early", ahead=timedelta(hours=1))])
        letter = "SELECT topic || '/' || partition || '/' || record_offset FROM tripmeter.dead_letter"
        position = wait_until(lambda: self.job.rows(letter), 20, "the dead letter")[0][0]
        text = self.say("dead", "retry", position, "-c", self.config, status=1)
        self.assertIn("refused again: ", text)
        self.assertIn("1 refused again", text)


class DecodeTest(Case):
    def test_decode(self):
        """Values that are read are status 0; a refused one is status 1 and says why"""
        event = {"specversion": "1.0", "id": "1", "source": "s", "type": "com.example.usage.record.v1",
                 "time": "2026-03-01T00:00:00Z", "subject": "acme",
                 "data": {"request_id": "r", "usage": {"input_tokens": 5}, "cost": "0.10"}}
        self.assertIn("acme", self.say("decode", "-", stdin=json.dumps(event) + "\n"))
        self.say("decode", "-", stdin="nonsense\n", status=1)
        self.assertIn("no such file", self.say("decode", "/nowhere", status=1))
