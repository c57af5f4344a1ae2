#!/usr/bin/python3
"""A gateway's view of the control topic: what it knows, and what it answers.

    follower.py BOOTSTRAP TOPIC --until-end   the view at the topic's end, a JSON line a scope
    follower.py BOOTSTRAP TOPIC --watch       a line for each change, until it is stopped
"""

import json
import sys
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

UNAVAILABLE = {"status": 503, "headers": {"Retry-After": "10"},
               "body": {"error": {"code": "quota_state_unavailable"}}}


class View:
    def __init__(self, on_stale="open"):
        self.on_stale = on_stale
        self.events = {}  # scope -> the event with the highest seq

    def apply(self, scope, value):
        """A record of the topic; no value: a tombstone. True when it changes the view."""
        if value is None:
            return self.events.pop(scope, None) is not None
        event = json.loads(value)
        known = self.events.get(scope)
        if known and known["data"]["seq"] >= event["data"]["seq"]:
            return False  # written late by an engine that had lost its work
        self.events[scope] = event
        return True

    def denial(self, scopes, now):
        """Among all unexpired restrictions of the scopes that deny, the lowest rank answers."""
        denying = [restriction for scope in scopes if scope in self.events
                   for restriction in self.events[scope]["data"].get("restrictions", [])
                   if restriction["outcome"] in ("block", "throttle")
                   and datetime.fromisoformat(restriction["expires_at"]) > now]
        return min(denying, key=lambda restriction: restriction["rank"], default=None)

    def is_stale(self, now):
        """An engine that has not been heard for a minute may have missed a limit."""
        beats = [datetime.fromisoformat(event["time"]) for scope, event in self.events.items()
                 if scope.startswith("engine/")]
        return not beats or min(beats) < now - timedelta(seconds=60)

    def answer(self, tenant, now, **parts):
        """What to answer a request with; None: let it through.
        parts: project=, key=, feature=, model=, ip= of the request, where they are known."""
        scopes = ["tenant/" + quote(tenant, safe="")]
        scopes += [f"{kind}/{quote(tenant, safe='')}/{quote(name, safe='')}"
                   for kind, name in parts.items()]
        if "feature" in parts:
            scopes.append("feature/*/" + quote(parts["feature"], safe=""))
        denial = self.denial(scopes, now)
        if denial is not None:
            return denial["http"]
        return UNAVAILABLE if self.on_stale == "closed" and self.is_stale(now) else None


def records(bootstrap, topic, until_end):
    """(scope, value) of every partition from its beginning."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "gateway",
                         "enable.auto.commit": False, "enable.partition.eof": True})
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    ended = set()
    while not (until_end and len(ended) == len(partitions)):
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error() and message.error().code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition())
        elif not message.error():
            yield message.key().decode(), message.value()
    consumer.close()


def line(view, scope):
    denial = view.denial([scope], datetime.now(timezone.utc))
    seq = view.events[scope]["data"]["seq"] if scope in view.events else None
    return json.dumps({"scope": scope, "seq": seq,
                       "outcome": denial["outcome"] if denial else "allow",
                       "code": denial["code"] if denial else None,
                       "status": denial["http"]["status"] if denial else None},
                      separators=(",", ":"))


def main(bootstrap, topic, mode):
    view = View()
    for scope, value in records(bootstrap, topic, mode == "--until-end"):
        if view.apply(scope, value) and mode == "--watch" and not scope.startswith("engine/"):
            print(line(view, scope), flush=True)
    for scope in sorted(view.events):
        if not scope.startswith("engine/"):
            print(line(view, scope))


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[3] not in ("--until-end", "--watch"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
