"""The story the demo tells, and how it is told."""

import json
import os
import re
import time
import urllib.error
import zoneinfo

from tests.demo import totals
from tests.demo.news import ControlTopic, Inbox
from tests.demo.traffic import (CLIMBER, LOOP_FEATURE, RUNAWAY, SLEEPER, SLEEPER_CALLS, TENANTS,
                                Gateway, month_turn)
from tests.demo.world import Trouble
from tests.lib.postgres import query
from tests.lib.wait import wait_until

ZONE = "Europe/Berlin"  # the zone of most tenants; the clock of the story
NEW_LIMIT = "5000000"
# Seconds between the engine's start and midnight.  When starting takes so long that the story would
# not fit, it is begun again with more.
LEADS_S = (31, 60, 120)
STORY_S = 21  # what it needs before midnight
REST_S = 15  # from the block to midnight
RAISE_AFTER_S = 3
AFTER_MIDNIGHT_S = 6
LATEST_S = 30  # after midnight: what has not come by then does not come

INTRO = """A gateway will send about {rate} usage events a second to tripmeter through an embedded
Kafka broker. It is the last evening of {month} for its tenants in {zone}. {sleeper} (plan free)
uses up its allowance early and goes home; {climber} (plan starter, 1 M tokens a month) climbs
through 50, 75, 90 and 100 %, is cut off, and gets a higher limit. Then it is midnight, the month
turns, and what was blocked is free again. Meanwhile a loop in one feature of {runaway} is cut,
probed and released by its breaker (which waits 4 seconds here, not 15 minutes). At the end the totals in Postgres are held against a
recount of every event that was sent. (The embedded broker answers who waits for records only every
100 ms, so blocks come later here than from Apache Kafka.)"""

MAIL_LINES = ("Used", "Last period", "Steps", "Blocked", "Resets")
ADDRESSES = {"finance@example.com": "billing", "oncall@example.com": "engineering"}


def counter(metrics, name):
    """The sum of a metric's series; name may have labels."""
    found = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", metrics, re.MULTILINE)
    return sum(float(value) for value in found)


class Rate:
    """Events a second, as the engine counts them."""

    def __init__(self, world):
        self.world = world
        self.at_s = self.events = self.per_second = 0.0
        self.text = ""

    def look(self, now_s):
        if now_s - self.at_s < 0.5:
            return
        try:
            metrics = self.world.fetch("/metrics")
        except (urllib.error.URLError, OSError):
            return
        events = counter(metrics, "tripmeter_events_total")
        if self.events:  # the first ones were made while the producer connected
            fresh = (events - self.events) / (now_s - self.at_s)
            self.per_second = fresh if not self.per_second else (self.per_second + fresh) / 2
        self.at_s, self.events = now_s, events
        lag = counter(metrics, "tripmeter_lag_records")
        self.text = (f"{self.per_second:,.0f} events/s, {events:,.0f} so far, "
                     f"{lag:,.0f} waiting")


class Story:
    def __init__(self, world, screen, keep):
        self.world, self.screen, self.keep = world, screen, keep
        self.zone = zoneinfo.ZoneInfo(ZONE)
        self.midnight = None
        self.gateway = self.control = self.inbox = None
        self.rate = Rate(world)
        self.happened = {}  # milestone -> monotonic time
        self.mails = self.webhooks = 0

    # ---- setting the stage ----------------------------------------------------------------------

    def play(self):
        began_s = time.monotonic()
        self.aim(LEADS_S[0])
        self.screen.paragraph(" ".join(INTRO.format(
            rate=600, month=self.clock("%B"), zone=ZONE, sleeper=SLEEPER.name,
            climber=CLIMBER.name, runaway=RUNAWAY.name).split()))
        self.screen.line()
        self.prepare()
        self.run_engine()
        self.screen.line(f"{'ready':<9}after {time.monotonic() - began_s:.1f} s; the engine's log is "
                         f"{self.world.shown('engine.log')}, its page {self.world.status_url}")
        self.screen.line()
        self.tell()
        self.screen.end_rate()
        return self.compare()

    def aim(self, lead_s):
        """Shifts the clock so that the month turns in lead_s seconds."""
        self.world.offset_ms = 0
        now = self.world.now()
        self.midnight = month_turn(now, self.zone)
        left_s = (self.midnight - now).total_seconds()
        self.world.offset_ms = int((left_s - lead_s) * 1000)

    def clock(self, form="%H:%M:%S"):
        return self.world.now().astimezone(self.zone).strftime(form)

    def prepare(self):
        self.screen.line("starting an embedded Kafka broker, a private Postgres, an inbox for mail "
                         "and webhooks")
        self.world.start_servers()
        self.world.write_configuration()
        self.shown_command("migrate")
        path = self.world.path("tenants.jsonl")
        with open(path, "w", encoding="utf-8") as out:
            for tenant in TENANTS:
                out.write(json.dumps({"tenant": tenant.name, "plan": tenant.plan,
                                      "zone": tenant.zone}) + "\n")
        self.shown_command("tenant", "import", path, "--no-wait")

    def run_engine(self):
        for lead_s in LEADS_S:
            self.aim(lead_s)
            self.world.write_configuration()
            self.show_command("run", "")
            self.world.start_engine()
            wait_until(self.world.ready, 90, "the engine is ready")
            if (self.midnight - self.world.now()).total_seconds() >= STORY_S:
                return
            self.screen.line("that took too long for the story; once more, with more time")
            self.world.stop_engine()
        raise Trouble(f"the engine was not ready within {LEADS_S[-1] - STORY_S} s")

    def show_command(self, words, answer):
        words = words.replace(self.world.directory, self.world.shown())
        self.screen.line(self.screen.style(f"$ tripmeter {words} -c {self.world.shown('tripmeter.yaml')}",
                                           "bold"))
        for line in answer.splitlines():
            self.screen.line("  " + self.screen.style(line, "dim"))

    def shown_command(self, *words):
        self.show_command(" ".join(words), self.world.tripmeter(*words))

    # ---- what happens ---------------------------------------------------------------------------

    def tell(self):
        world = self.world
        climb_s = max(6.0, (self.midnight - world.now()).total_seconds() - REST_S)
        self.gateway = Gateway(world, climb_s, SLEEPER_CALLS)
        self.inbox = Inbox(world.path("inbox", "inbox.jsonl"))
        self.control = ControlTopic(world, self.gateway.heed)
        self.control.start()
        self.gateway.start()
        turned = False
        while not self.is_over():
            world.check_engine()
            if self.gateway.failure:
                raise Trouble(self.gateway.failure)
            self.look()
            if not turned and world.now() >= self.midnight:
                turned = True
                self.event("clock", "blue", f"midnight in {ZONE}: {self.clock('%B')} begins")
            if self.since("cut off") > RAISE_AFTER_S and "raised" not in self.happened:
                self.raise_limit()
            time.sleep(0.05)
        self.gateway.finish()
        self.await_settled()
        self.look()
        self.control.stop()

    def look(self):
        for seen_s, state in self.control.news():
            self.tell_state(seen_s, state)
        for message in self.inbox.news():
            (self.tell_mail if message["kind"] == "mail" else self.tell_webhook)(message)
        now_s = time.monotonic()
        self.rate.look(now_s)
        self.screen.rate(now_s, f"{self.clock()}  {self.rate.text}")

    def event(self, source, colour, text, *more):
        self.screen.event(self.clock(), source, colour, text, *more)

    def since(self, milestone):
        """Seconds; negative before it."""
        return time.monotonic() - self.happened[milestone] if milestone in self.happened else -1

    MILESTONES = ("step 50", "step 75", "step 90", "step 100", "cut off", "mail of the block",
                  "raised", "let through", "asleep", "woken", "loop cut", "loop probed",
                  "loop released", "mail of the month's turn")

    def is_over(self):
        """A few seconds into the first; or it is clear that something does not come."""
        missing = [name for name in self.MILESTONES if name not in self.happened]
        after_s = (self.world.now() - self.midnight).total_seconds()
        if missing and after_s > LATEST_S:
            raise Trouble(f"this did not happen: {', '.join(missing)}")
        return not missing and after_s >= AFTER_MIDNIGHT_S

    def reach(self, milestone):
        self.happened.setdefault(milestone, time.monotonic())

    def tell_state(self, seen_s, event):
        data = event["data"]
        if data["scope"].startswith("feature/"):
            self.tell_feature(seen_s, data)
        elif data["outcome"] == "block":
            self.tell_block(seen_s, data)
        elif data["tenant"] == CLIMBER.name:
            self.reach("let through")
            took = f", {seen_s - self.happened['raised']:.1f} s after the command began" \
                if "raised" in self.happened else ""
            refused = self.gateway.refused[CLIMBER.name]
            self.event("control", "green", f"ALLOW {data['scope']}{took}",
                       f"the gateway had answered {refused} calls itself meanwhile")
        elif self.world.now() >= self.midnight:
            self.reach("woken")
            after_s = (self.world.now() - self.midnight).total_seconds()
            self.event("control", "green", f"ALLOW {data['scope']}, {after_s:.1f} s after midnight",
                       "it had sent nothing since it was blocked")

    def tell_feature(self, seen_s, data):
        if data["outcome"] == "allow":
            self.reach("loop probed")
            self.event("control", "green", f"ALLOW {data['scope']}: a probe, then step by step",
                       f"the gateway had answered {self.gateway.refused[LOOP_FEATURE]} calls itself; "
                       f"{self.gateway.chats} of the tenant's other feature went through")
            return
        restriction = data["restrictions"][0]
        sent_s = self.gateway.sent_at.get(data.get("trigger"))
        took = f", {(seen_s - sent_s) * 1000:.0f} ms after the call that was too much" if sent_s else ""
        self.reach("loop cut")
        self.event("control", "red", f"{data['outcome'].upper()} {data['scope']}{took}",
                   f"gateways answer {restriction['http']['status']} {restriction['code']}: "
                   f"{restriction['observed']} {restriction['currency']} in this hour, usual are "
                   f"{restriction['baseline']}")

    def tell_block(self, seen_s, data):
        restriction = data["restrictions"][0]
        sent_s = self.gateway.sent_at.get(data.get("trigger"))
        took = f", {(seen_s - sent_s) * 1000:.0f} ms after the call that used it up" if sent_s else ""
        self.reach("cut off" if data["tenant"] == CLIMBER.name else "asleep")
        until = totals.local(restriction["resets_at"], self.zone)
        self.event("control", "red", f"BLOCK {data['scope']}{took}",
                   f"gateways answer {restriction['http']['status']} {restriction['code']} "
                   f"until {until} or the limit is raised")

    def tell_mail(self, message):
        self.mails += 1
        receiver = ADDRESSES.get(message["to"][0], "?")
        subject = message["subject"].removeprefix("[tripmeter] ")
        lines = [" ".join(line.split()) for line in message["text"].splitlines()
                 if line.strip().startswith(MAIL_LINES) and not line.endswith(" nothing")]
        if "BLOCKED" in subject and CLIMBER.name in subject:
            self.reach("mail of the block")
        if LOOP_FEATURE in subject and subject.startswith("Over"):
            self.reach("loop released")
        if SLEEPER.name in subject and self.world.now() >= self.midnight:
            self.reach("mail of the month's turn")
        self.event("mail", "yellow", f"to {message['to'][0]} ({receiver}): {subject}", *lines)

    def tell_webhook(self, message):
        self.webhooks += 1
        body = message["body"]
        if message["verified"] is not True:
            raise Trouble("a webhook arrived without a valid signature")
        for alert in body["alerts"]:
            if alert["labels"].get("tenant") == CLIMBER.name and body["type"] == "alert.firing":
                self.reach(f"step {alert['step']}")
        self.event("webhook", "magenta",
                   f"to {message['path']}: {body['type']}, {body['commonLabels'].get('severity')}: "
                   f"{body['commonAnnotations'].get('summary', '')}")

    def raise_limit(self):
        self.reach("raised")
        words = ["tenant", "set", CLIMBER.name, "--limit", f"ai_tokens={NEW_LIMIT}",
                 "--reason", "upgrade"]
        answer = self.world.tripmeter(*words)
        self.event("operator", "blue", "$ tripmeter " + " ".join(words), *answer.splitlines())

    # ---- the end --------------------------------------------------------------------------------

    def await_settled(self):
        ends = {row["partition"]: row["high"]
                for row in self.world.broker.tool("high-watermarks", "usage")}

        def settled():
            self.world.check_engine()
            rows = dict(query(self.world.database,
                              "SELECT partition, next_offset FROM tripmeter.progress"))
            return all(rows.get(partition, 0) >= end for partition, end in ends.items())

        wait_until(settled, 30, "everything that was sent is settled")

    def compare(self):
        world, screen = self.world, self.screen
        postgres = totals.settled(world.database)
        recount = totals.recounted(self.gateway.events_path,
                                   {tenant.name: tenant.zone for tenant in TENANTS})
        differing = totals.differences(world.database, postgres, recount)
        screen.line()
        totals.print_table(screen, postgres, recount)
        screen.line()
        screen.paragraph(
            f"{self.gateway.sent:,} events were sent: {postgres.counted:,} counted, "
            f"{postgres.duplicates:,} duplicates recognised, {postgres.dead:,} unreadable ones kept "
            f"aside; {self.mails} mails and {self.webhooks} webhooks came. The recount read "
            f"{world.shown('events.jsonl')} and compared events, requests, tokens and cost of "
            f"{len(recount.rows):,} rows (tenant, project, feature, hour, month).")
        for sentence in differing[:10]:
            screen.line(screen.style("  " + sentence, "red"))
        screen.line()
        word = "different" if differing else "equal"
        screen.line("Postgres and the recount are " +
                    screen.style(word, "bold", "red" if differing else "green"))
        if self.keep:
            self.world.keep()
            self.print_how_to_look()
        return not differing

    def print_how_to_look(self):
        world, screen = self.world, self.screen
        config = world.shown("tripmeter.yaml")
        binary = os.path.relpath(os.environ.get("TRIPMETER_BIN", "build/cc-release/tripmeter"))
        screen.line()
        screen.line("Everything is still running. To look at it:")
        for what, how in (
                ("status page", world.status_url),
                ("how a tenant stands", f"{binary} status {CLIMBER.name} -c {config}"),
                ("decisions, alerts", f"{binary} watch -c {config}"),
                ("Postgres", f"psql {world.database}"),
                ("", "  SELECT * FROM tripmeter.v_spend_week ORDER BY cost DESC;"),
                ("", "  SELECT * FROM tripmeter.v_blocked ORDER BY blocked_cost DESC NULLS LAST;"),
                ("", "  SELECT * FROM tripmeter.v_provider_day;"),
                ("inbox", world.shown("inbox", "inbox.jsonl")),
                ("events", world.shown("events.jsonl")),
                ("more calls", "tests/demo/demo.py --calls"),
                ("stop it", "make demo-stop")):
            screen.line(f"  {what:<20} {how}")
