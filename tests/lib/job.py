"""One engine's worth of set-up: a topic, a database, a configuration, and what came of it.

    job = Job(env, partitions=4, time="trust_producers")
    job.tenant("acme", plan="starter", zone="Asia/Kolkata")
    engine = job.engine().start()
    job.produce(events)
    job.await_settled()
    job.rows("SELECT ...")
"""

import json
import os

from tests.lib.engine import Engine, tripmeter
from tests.lib.postgres import query
from tests.lib.wait import wait_until

POLICY = """
fallback_plan: free
defaults: {zone: UTC, currency: USD}
plans:
  free:
    quotas:
      api_calls: {meter: requests, limit: 1000, steps: [50, 75, 90, 100], on_exceed: block}
      spend: {meter: cost, limit: "1000.00", steps: [50, 75, 90, 100], on_exceed: alert}
  open:
    quotas:
      api_calls: {meter: requests, unlimited: true}
"""


def alerts_to(env, name):
    """Settings of a Job whose alerts reach env.receivers: webhooks at /NAME.billing, mail to
    NAME.billing@example.com, and the same for engineering; nothing waits for others."""
    host, port = env.receivers.smtp.rsplit(":", 1)
    return {"smtp_host": host, "smtp_port": int(port), "smtp_tls": "off",
            "smtp_from": "Tripmeter <alerts@example.com>", "alerts_group_wait": "0s",
            "alerts_allow_http": True, "alerts_allow_private": True,
            "alerts_receivers": {
                team: {"email": [f"{name}.{team}@example.com"],
                       "webhooks": [{"url": f"{env.receivers.webhook}/{name}.{team}",
                                     "secret": env.receivers.secret}]}
                for team in ("billing", "engineering")}}


class Job:
    def __init__(self, env, partitions=4, policy=POLICY, topics=1, time="append", **settings):
        """topics: how many to create, or the names of some that exist.
        settings: "settle.interval" as settle_interval="100ms", ... (the first _ is the dot)."""
        self.env = env
        self.partitions = partitions
        exist = isinstance(topics, list)
        self.topics = topics if exist else [env.name("usage") for _ in range(topics)]
        self.control = env.name("control")
        self.dead = env.name("dead")
        self.database = env.postgres.create_database()
        self.settings = settings
        self.time = time
        self.config_path = env.path("tripmeter.yaml")
        self.directory = os.path.dirname(self.config_path)
        self.receivers = {}
        self.engines = []
        for topic in [] if exist else self.topics:
            if time == "append":
                env.kafka.create_topic(topic, partitions, message_timestamp_type="LogAppendTime")
            else:
                env.kafka.create_usage_topic(topic, partitions)
        self.set_policy(policy)
        self.write_config(self.config_path, "state")
        self.run("migrate", "-c", self.config_path)

    # ---- files ------------------------------------------------------------------------------

    def set_policy(self, text):
        with open(os.path.join(self.directory, "policy.yaml"), "w", encoding="utf-8") as out:
            out.write(text)

    def write_config(self, path, state):
        tree = {"state_dir": os.path.join(self.directory, state), "policy": "policy.yaml",
                "workers": 1,
                "kafka": {"brokers": [self.env.kafka.bootstrap], "topics": self.topics,
                          "group": f"group-{self.control}", "control_topic": self.control,
                          "dead_letter_topic": self.dead, "time": self.time},
                "postgres": {"url": self.database}, "settle": {"interval": "100ms"},
                "record": {"keep": "3650d"},  # the records of many tests are old
                "status": {"port": 0}, "log": {"level": "debug"}}
        for name, value in self.settings.items():
            section, _, key = name.partition("_")
            if key:
                tree.setdefault(section, {})[key] = value
            else:
                tree[section] = value
        # JSON is YAML.
        with open(path, "w", encoding="utf-8") as out:
            json.dump(tree, out, indent=2)

    def engine(self):
        """A further engine of the same group, with a state directory of its own."""
        number = len(self.engines) + 1
        path = os.path.join(self.directory, f"engine-{number}.yaml")
        self.write_config(path, f"state-{number}")
        self.engines.append(Engine(path, os.path.join(self.directory, f"engine-{number}.log")))
        return self.engines[-1]

    # ---- in ---------------------------------------------------------------------------------

    def run(self, *words, **more):
        answer = tripmeter(*words, **more)
        assert answer.returncode == 0, f"{words}: {answer.stdout}{answer.stderr}"
        return answer.stdout

    def say(self, *words, status=0):
        """What an operator types, with this job's configuration; all that is printed."""
        answer = tripmeter(*words, "-c", self.config_path)
        text = answer.stdout + answer.stderr
        assert answer.returncode == status, f"{words} ended with {answer.returncode}: {text}"
        return text

    def tenant(self, name, **spec):
        columns = {"plan": None, "zone": None, "currency": None, "limits": {}, "projects": {}}
        columns.update(spec)
        query(self.database, """
            INSERT INTO tripmeter.tenant_version
                (tenant, actor, reason, plan, zone, currency, limits, projects)
            VALUES (%s, 'test', 'test', %s, %s, %s, %s, %s)""",
              (name, columns["plan"], columns["zone"], columns["currency"],
               json.dumps(columns["limits"]), json.dumps(columns["projects"])))

    def produce(self, events, *options, topic=0):
        self.env.kafka.produce_events(self.topics[topic], events, *options)

    # ---- out --------------------------------------------------------------------------------

    def rows(self, sql, parameters=()):
        return query(self.database, sql, parameters)

    def one(self, sql, parameters=()):
        return self.rows(sql, parameters)[0][0]

    def settled_offsets(self):
        return {(topic, shard): offset for topic, shard, offset in self.rows(
            "SELECT topic, partition, next_offset FROM tripmeter.progress")}

    def lag(self):
        settled = self.settled_offsets()
        return sum(high - settled.get((topic, partition), low)
                   for topic in self.topics
                   for partition, (low, high) in self.env.kafka.watermarks(topic).items())

    def await_settled(self, deadline_s=60, what="everything is settled"):
        def settled():
            running = [one for one in self.engines if one.running()]
            assert running, f"no engine is running:\n{self.engines[-1].tail()}"
            return self.lag() == 0

        wait_until(settled, deadline_s, lambda: f"{what}; the log:\n{self.engines[-1].tail()}")

    def sessions(self):
        """What Postgres is doing, for the message of a failure."""
        return "".join(f"{row}\n" for row in self.rows("""
            SELECT pid, application_name, state, wait_event, pg_blocking_pids(pid),
                   now() - xact_start, left(query, 100)
            FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"""))

    def log_events(self):
        """What is in the usage topics now, in the order of each partition."""
        for topic in self.topics:
            for message in self.env.kafka.consume(topic):
                yield json.loads(message["value"])

    def totals(self):
        """Tenant facts as the recount has them: key -> (events, requests, in, out, cost)."""
        return self.grouped("tripmeter.tenant_fact", "tenant, project, feature")

    def key_totals(self):
        return self.grouped("tripmeter.key_fact", "tenant, key")

    def recorded(self):
        """The record of settled events, grouped as the tenant facts are."""
        return self.grouped("""(SELECT e.*, (NOT reversal)::int AS events
                               FROM tripmeter.settled_event e) e""", "tenant, project, feature")

    def recorded_keys(self):
        return self.grouped("""(SELECT e.*, (NOT reversal)::int AS events
                               FROM tripmeter.settled_event e WHERE key <> '') e""",
                            "tenant, key")

    def grouped(self, table, names):
        width = names.count(",") + 3
        return {tuple(row[:width]): tuple(row[width:]) for row in self.rows(f"""
            SELECT {names}, to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI') AS h,
                   to_char(period AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI') AS p,
                   sum(events)::bigint, coalesce(sum(requests), 0)::bigint,
                   coalesce(sum(input_tokens), 0)::bigint,
                   coalesce(sum(output_tokens), 0)::bigint, sum(cost)
            FROM {table} GROUP BY {names}, h, p""")}
