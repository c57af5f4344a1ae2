#!/usr/bin/python3
"""The settlement campaign: disrupts workers that settle made logs, and compares every total.

    tests/env/with_postgres.sh tests/campaign/campaign.py [--disruptions N] [--seed S] [--no-dedupe]

Several workers (tests/campaign/worker.c: the real store and rules) share a few shards, so that a
shard often has two owners at once. Each worker has a plan of disruptions, drawn from the seed: it is
killed or stopped at a failpoint, loses its connection there, is cut by a proxy in the middle of a
transfer, is held in COMMIT by a lock in the server, loses its backend. The server is Postgres as it
is; the logs are files that grow as long as there is something to disrupt.

At the end everything is read to the end of the logs, and facts, totals, positions, counts, dead
letters and alerts must equal those of tests/campaign/model.py. Exit status 0 only then.
"""

import argparse
import collections
import datetime
import json
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import psycopg2  # noqa: E402

from tests.campaign.model import Log, Model  # noqa: E402
from tests.lib.engine import tripmeter  # noqa: E402
from tests.lib.postgres import query  # noqa: E402
from tests.lib.proxy import Proxy  # noqa: E402
from tests.lib.server import ROOT  # noqa: E402
from tests.lib.wait import wait_until  # noqa: E402

WORKER = os.environ.get("CAMPAIGN_WORKER",
                        os.path.join(ROOT, "build", "cc-release", "campaign_worker"))
WORKERS = 4
SHARDS = 3
LIMIT = 400  # requests a tenant may make in a month
WINDOW = datetime.timedelta(minutes=15)
RECORDS = 40
STEPS_OF_A_SETTLEMENT = 22
AHEAD = 300  # records that wait in a log
ANSWER_S = 60  # the longest wait for something that must happen

POLICY = f"""
fallback_plan: free
defaults: {{zone: UTC, currency: USD}}
plans:
  free:
    quotas:
      calls: {{meter: requests, limit: {LIMIT}, steps: [50, 75, 90, 100], on_exceed: block}}
"""

# A worker's COMMIT waits while somebody holds the lock of its name: a backend held in commit.
HOLD = """
    CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock(4711, hashtext(current_setting('application_name')));
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER hold AFTER UPDATE ON tripmeter.shard DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION public.hold();"""

# place, how often, and whether the outcome of a COMMIT is unknown when it is lost there
PLACES = [("claim_before", 1, False), ("claim_after", 3, False), ("settle_begin", 2, False),
          ("settle_record", 4, False), ("settle_rows", 5, False), ("settle_commit", 5, False), ("settle_commit_sent", 26, True),
          ("settle_commit_answered", 10, True)]


def plan_of(seed, worker, count):
    """The disruptions of one worker, in order: (kind, words)."""
    draw = random.Random(f"{seed}/plan/{worker}")
    made = []
    while len(made) < count:
        kind = draw.choices(("error", "kill", "stop", "held", "cut", "terminate"),
                            (52, 16, 8, 14, 6, 4))[0]
        place, _, unknown = draw.choices(PLACES, [one[1] for one in PLACES])[0]
        number = (draw.randrange(STEPS_OF_A_SETTLEMENT) if place == "settle_rows"
                  else draw.randrange(1, 4))
        made.append({"kind": kind, "place": place, "number": number, "unknown": unknown,
                     "held": draw.choice(("released", "cut", "cut", "killed")),
                     "bytes": draw.randrange(1, 8000), "pause": draw.randrange(5, 150) / 1000})
    return made


class Worker(threading.Thread):
    """One worker and the one who disrupts it."""

    def __init__(self, campaign, number, plan):
        super().__init__(name=f"w{number}", daemon=True)
        self.campaign = campaign
        self.number = number
        self.plan = plan
        self.lives = 0
        self.process = None
        self.reader = None
        self.stumbles = queue.Queue()
        self.counts = collections.Counter()
        self.done = collections.Counter()
        self.unknown = 0
        self.item = None  # under way
        self.trouble = None
        host, port = campaign.address
        self.proxy = Proxy(host, port)

    def title(self):
        return f"w{self.number}-{self.lives}"

    def start_process(self):
        self.lives += 1
        self.process = subprocess.Popen(
            [WORKER, self.campaign.config_of(self), self.campaign.directory, str(SHARDS),
             str(RECORDS), self.title(), str(self.campaign.seed * 1000003 + self.number * 10007 + self.lives)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.reader = threading.Thread(target=self.read, args=(self.process,), daemon=True)
        self.reader.start()

    def read(self, process):
        for line in process.stdout:
            word = line.split()[0] if line.strip() else ""
            self.counts[word] += 1
            if word == "broken":
                self.trouble = line.strip()
            if word in ("unknown", "later", "load"):
                self.stumbles.put(word)

    def order(self, words):
        try:
            self.process.stdin.write(words + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it died; whoever waits for it will see

    def check(self):
        if self.campaign.over.is_set():
            raise AssertionError("the campaign is over")
        if self.trouble:
            raise AssertionError(self.trouble)

    def await_stumble(self):
        def heard():
            self.check()
            try:
                return self.stumbles.get(timeout=0.2)
            except queue.Empty:
                return None

        wait_until(heard, ANSWER_S, f"{self.name} stumbles")

    def await_state(self, wanted):
        """Until it is stopped ("T") or has died ("Z")."""

        def reached():
            self.check()
            with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as stat:
                return stat.read().rsplit(")", 1)[1].split()[0] == wanted

        wait_until(reached, ANSWER_S, lambda: f"{self.name} in state {wanted}")

    def bury(self):
        self.process.wait()
        self.reader.join()
        self.process.stdin.close()
        self.process.stdout.close()
        self.check()
        self.start_process()

    def kill(self):
        self.process.kill()
        self.bury()

    # ---- kinds ------------------------------------------------------------------------------

    def forget(self):
        while not self.stumbles.empty():
            self.stumbles.get()

    def arm(self, item, action):
        self.forget()
        self.order(f"{item['place']}={action}@{item['number']}")

    def do_error(self, item):
        self.arm(item, "error")
        self.await_stumble()
        self.order("")

    def do_kill(self, item):
        self.arm(item, "kill")
        self.await_state("Z")
        self.bury()

    def do_stop(self, item):
        with self.campaign.sleepers:
            self.arm(item, "stop")
            self.await_state("T")
            self.order("")
            settled = self.campaign.settled()
            # Others go on meanwhile: what it wakes up with may be a dead owner's.
            wait_until(lambda: self.campaign.settled() > settled + 3, ANSWER_S, "others go on")
            self.process.send_signal(signal.SIGCONT)

    def do_held(self, item):
        with Held(self.campaign, self.title()):
            wait_until(lambda: self.check() or self.campaign.is_held(self.title()), ANSWER_S,
                       f"{self.name} waits in COMMIT")
            self.forget()
            if item["held"] == "cut":
                self.proxy.tell("cut")
                self.await_stumble()
            if item["held"] == "killed":
                self.process.kill()
            time.sleep(item["pause"])  # how long the server stays so, not a wait for anything
        if item["held"] == "killed":
            self.bury()

    def do_cut(self, item):
        self.forget()

        # A connection that it has left already may be the one that is cut.
        def cut():
            self.check()
            self.proxy.tell("cut-after", "up", item["bytes"])
            try:
                return self.stumbles.get(timeout=1)
            except queue.Empty:
                return None

        wait_until(cut, ANSWER_S, f"{self.name} is cut")
        self.proxy.tell("open")

    def do_terminate(self, item):
        self.forget()
        # One that it has left already may still be there.
        wait_until(lambda: self.check() or self.campaign.terminate(self.title()) and
                   not self.stumbles.empty(), ANSWER_S, f"{self.name} misses its backend")

    # ---- all of it --------------------------------------------------------------------------

    def run(self):
        try:
            self.start_process()
            for item in self.plan:
                self.item = item
                getattr(self, "do_" + item["kind"])(item)
                self.check()
                self.done[item["kind"]] += 1
                if item["kind"] == "held":
                    self.unknown += item["held"] != "released"
                elif item["kind"] in ("error", "kill"):
                    self.unknown += item["unknown"]
            self.order("")
        except BaseException as trouble:  # noqa: B902 -- told by the main thread
            self.trouble = self.trouble or (f"{self.title()} at disruption "
                                            f"{sum(self.done.values())} {self.item}: "
                                            f"{type(trouble).__name__}: {trouble}")

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.proxy.stop()


class Held:
    """While it is open, no settlement of this worker gets through its COMMIT."""

    def __init__(self, campaign, title):
        self.campaign = campaign
        self.title = title
        self.connection = None

    def __enter__(self):
        self.connection = psycopg2.connect(self.campaign.url)
        self.connection.autocommit = True
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(4711, hashtext(%s))", (self.title,))

    def __exit__(self, *trouble):
        self.connection.close()


class Campaign:
    def __init__(self, server, seed, disruptions, dedupe):
        self.seed = seed
        self.dedupe = dedupe
        self.over = threading.Event()
        self.asking = threading.Lock()
        self.sleepers = threading.Semaphore(WORKERS // 2)  # somebody must go on
        self.directory = tempfile.mkdtemp(prefix="campaign.", dir=os.path.join(ROOT, "build"))
        name = f"campaign_{os.getpid()}_{'on' if dedupe else 'off'}"
        query(server, f"CREATE DATABASE {name}")
        self.url = server.rsplit("/", 1)[0] + "/" + name
        place = self.url.rsplit("/", 1)[0].rsplit("@", 1)[-1]
        self.address = (place.rsplit(":", 1)[0], int(place.rsplit(":", 1)[1]))
        self.logs = [Log(seed, shard) for shard in range(SHARDS)]
        for shard in range(SHARDS):
            open(self.log_path(shard), "w", encoding="utf-8").close()
        with open(os.path.join(self.directory, "policy.yaml"), "w", encoding="utf-8") as out:
            out.write(POLICY)
        self.write_config("migrate.yaml", self.url)
        answer = tripmeter("migrate", "-c", os.path.join(self.directory, "migrate.yaml"))
        assert answer.returncode == 0, answer.stdout + answer.stderr
        query(self.url, HOLD)
        self.sql = psycopg2.connect(self.url)
        self.sql.autocommit = True
        each = [disruptions // WORKERS + (i < disruptions % WORKERS) for i in range(WORKERS)]
        self.workers = [Worker(self, i, plan_of(seed, i, each[i])) for i in range(WORKERS)]

    def write_config(self, name, url):
        tree = {"policy": "policy.yaml", "state_dir": self.directory,
                "kafka": {"brokers": ["127.0.0.1:1"], "topics": ["usage"], "group": "campaign",
                          "control_topic": "control"},
                "postgres": {"url": url},
                "dedupe": {"enabled": self.dedupe, "window": "15m"}}
        with open(os.path.join(self.directory, name), "w", encoding="utf-8") as out:
            json.dump(tree, out)

    def config_of(self, worker):
        """Its own, for its proxy."""
        host, port = self.address
        name = f"worker-{worker.number}.yaml"
        self.write_config(name, self.url.replace(f"@{host}:{port}/",
                                                 f"@127.0.0.1:{worker.proxy.port}/"))
        return os.path.join(self.directory, name)

    # ---- the server -------------------------------------------------------------------------

    def rows(self, sql, parameters=()):
        with self.asking, self.sql.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall()

    def settled(self):
        return self.rows("SELECT coalesce(sum(settle_seq), 0) FROM tripmeter.shard")[0][0]

    def is_held(self, title):
        return self.rows("""SELECT count(*) FROM pg_stat_activity
            WHERE application_name = %s AND wait_event = 'advisory'""", (title,))[0][0] > 0

    def terminate(self, title):
        return self.rows("""SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE application_name = %s""", (title,))[0][0] > 0

    # ---- the logs ---------------------------------------------------------------------------

    def log_path(self, shard):
        return os.path.join(self.directory, f"shard-{shard}.log")

    def progress(self):
        known = dict(self.rows("SELECT partition, next_offset FROM tripmeter.progress"))
        return [known.get(shard, 0) for shard in range(SHARDS)]

    def grow(self):
        for shard, position in enumerate(self.progress()):
            log = self.logs[shard]
            missing = position + AHEAD - len(log.records)
            if missing > 0:
                with open(self.log_path(shard), "a", encoding="utf-8") as out:
                    out.write("".join(log.record() for _ in range(missing + AHEAD)))

    # ---- run --------------------------------------------------------------------------------

    def trouble(self):
        return next((worker.trouble for worker in self.workers if worker.trouble), None)

    def run(self):
        self.grow()
        for worker in self.workers:
            worker.start()
        while any(worker.is_alive() for worker in self.workers) and not self.trouble():
            self.grow()
            time.sleep(0.05)  # how often the logs are looked at
        assert not self.trouble(), self.trouble()
        ends = [len(log.records) for log in self.logs]
        wait_until(lambda: self.trouble() or self.progress() == ends, ANSWER_S,
                   lambda: f"the logs are settled: {self.progress()} of {ends}")
        assert not self.trouble(), self.trouble()

    def close(self):
        self.over.set()
        for worker in self.workers:
            worker.end()
        for worker in self.workers:
            worker.join(10)
        self.sql.close()
        query(self.url.rsplit("/", 1)[0] + "/postgres",
              f"DROP DATABASE {self.url.rsplit('/', 1)[1]} WITH (FORCE)")
        shutil.rmtree(self.directory)

    # ---- what came of it --------------------------------------------------------------------

    def compare(self):
        """Every difference, as text."""
        models = []
        for log in self.logs:
            models.append(Model(LIMIT, self.dedupe, WINDOW, RECORDS))
            for time_ms, _, value in log.records:
                models[-1].add_record(time_ms, value)
        found = []
        for what, wanted, real in [self.facts(models), self.keys(models), self.positions(models),
                                   self.alerts(models)]:
            for key in sorted(set(wanted) | set(real), key=str):
                if wanted.get(key) != real.get(key):
                    found.append(f"{what} {key}: expected {wanted.get(key)}, is {real.get(key)}")
        found += [f"facts and totals differ: {row}" for row in self.rows("""
            SELECT tenant, period, f.e, p.e, f.r, p.r, f.c, p.c FROM
                (SELECT tenant, period, sum(events) e, sum(requests) r, sum(cost) c
                 FROM tripmeter.tenant_fact GROUP BY 1, 2) f
            FULL JOIN (SELECT tenant, period, events e, requests r, cost c
                       FROM tripmeter.period_total WHERE project = '') p USING (tenant, period)
            WHERE (f.e, f.r, f.c) IS DISTINCT FROM (p.e, p.r, p.c)""")]
        found += [f"facts and record differ: {row}" for row in self.rows("""
            SELECT * FROM
                (SELECT tenant, project, feature, hour, period, events e, requests r, cost c
                 FROM tripmeter.tenant_fact) f
            FULL JOIN (SELECT tenant, project, feature, hour, period, count(*) e,
                              coalesce(sum(requests), 0) r, sum(cost) c
                       FROM tripmeter.settled_event GROUP BY 1, 2, 3, 4, 5) s
                USING (tenant, project, feature, hour, period)
            WHERE (f.e, f.r, f.c) IS DISTINCT FROM (s.e, s.r, s.c)""")]
        return found

    def grouped(self, table, names):
        width = names.count(",") + 3
        return {row[:width]: row[width:] for row in self.rows(f"""
            SELECT {names}, to_char(hour, 'YYYY-MM-DD"T"HH24:MI'),
                   to_char(period, 'YYYY-MM-DD"T"HH24:MI'), events, requests, input_tokens,
                   output_tokens, cost
            FROM (SELECT {names}, hour AT TIME ZONE 'UTC' AS hour,
                         period AT TIME ZONE 'UTC' AS period, sum(events)::bigint AS events,
                         sum(requests)::bigint AS requests,
                         sum(input_tokens)::bigint AS input_tokens,
                         sum(output_tokens)::bigint AS output_tokens, sum(cost) AS cost
                  FROM tripmeter.{table} GROUP BY {names}, hour, period) AS f""")}

    def facts(self, models):
        wanted = {}
        for model in models:
            wanted.update(model.fact_rows())
        return "fact", wanted, self.grouped("tenant_fact", "tenant, project, feature")

    def keys(self, models):
        wanted = {}
        for model in models:
            wanted.update(model.key_rows())
        return "key fact", wanted, self.grouped("key_fact", "tenant, key")

    def positions(self, models):
        wanted = {shard: (len(self.logs[shard].records), model.counted, model.duplicates,
                          model.dead, model.ignored, model.dead)
                  for shard, model in enumerate(models)}
        real = {row[0]: row[1:] for row in self.rows("""
            SELECT partition, processed, counted, duplicates, dead, ignored,
                   (SELECT count(*) FROM tripmeter.dead_letter l WHERE l.partition = p.partition)
            FROM tripmeter.progress p WHERE next_offset = processed""")}
        return "position", wanted, real

    def alerts(self, models):
        """Each step of each period once, whatever was read twice."""
        wanted = {}
        for model in models:
            for (tenant, period), steps in model.alerts.items():
                wanted[tenant, period.strftime("%Y-%m")] = sorted(steps)
        real = collections.defaultdict(list)
        for tenant, month, crossed in self.rows("""
                SELECT t.tenant, to_char(t.at AT TIME ZONE 'UTC', 'YYYY-MM'), t.crossed
                FROM tripmeter.transition t
                WHERE t.rule = 'quota/calls' AND t.move IN ('fire', 'step')"""):
            real[tenant, month] = sorted(real[tenant, month] + list(crossed))
        return "alert", wanted, dict(real)


def report(campaign, began):
    done = sum((worker.done for worker in campaign.workers), collections.Counter())
    heard = sum((worker.counts for worker in campaign.workers), collections.Counter())
    unknown = sum(worker.unknown for worker in campaign.workers)
    print(f"campaign: dedupe {'on' if campaign.dedupe else 'off'}, "
          f"{sum(done.values())} disruptions ({', '.join(f'{n} {k}' for k, n in done.items())}), "
          f"{unknown} unknown commits, "
          f"{sum(worker.lives for worker in campaign.workers)} lives of {WORKERS} workers, "
          f"{sum(len(log.records) for log in campaign.logs)} records; "
          f"heard {', '.join(f'{n} {k}' for k, n in sorted(heard.items()))}; "
          f"{time.monotonic() - began:.1f} s")


def run(server, seed, disruptions, dedupe):
    began = time.monotonic()
    campaign = Campaign(server, seed, disruptions, dedupe)
    try:
        campaign.run()
        found = campaign.compare()
    except AssertionError as trouble:
        found = [str(trouble)]
    report(campaign, began)
    for line in found[:40]:
        print(f"campaign: {line}")
    campaign.close()
    return not found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--disruptions", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    words = parser.parse_args()
    server = os.environ["TRIPMETER_TEST_POSTGRES"]
    print(f"campaign: seed {words.seed}", flush=True)
    first = words.disruptions // 2
    good = [run(server, words.seed, first, True),
            run(server, words.seed + 1, words.disruptions - first, False)]
    print(f"campaign: {'every total is as recounted' if all(good) else 'FAILED'}; "
          f"again: SEED={words.seed} DISRUPTIONS={words.disruptions} make campaign")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
