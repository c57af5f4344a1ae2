"""What a gateway of a job's tenants knows and would answer; tests/gateway/follower.py judges.

    gateway = Gateway(job)
    http = gateway.await_denied("acme", "plan_allowance_exhausted", project="web")
    gateway.await_allowed("acme")
"""

from datetime import datetime, timedelta, timezone
from urllib.parse import quote

from tests.gateway.follower import View
from tests.lib.wait import wait_until


def scope_of(kind, *parts):
    return "/".join([kind, *(quote(part, safe="") for part in parts)])


class Gateway:
    def __init__(self, job, shift=timedelta()):
        """shift: how far its clock is ahead, for engines with clock.offset."""
        self.job = job
        self.shift = shift

    def messages(self):
        """The whole control topic; nothing before the engine has made it."""
        try:
            return self.job.env.kafka.consume(self.job.control)
        except RuntimeError as why:
            if "Unknown topic" in str(why):
                return []
            raise

    def records(self, scope=None):
        """Messages of the control topic in order, heartbeats left out."""
        return [message for message in self.messages()
                if (message["key"] == scope if scope else not message["key"].startswith("engine/"))]

    def view(self):
        """As of a gateway that starts now."""
        view = View()
        for message in self.messages():
            view.apply(message["key"], message["value"])
        return view

    def answer(self, tenant, **parts):
        """{"status", "headers", "body"} for a request it refuses, None for one it lets through."""
        return self.view().answer(tenant, datetime.now(timezone.utc) + self.shift, **parts)

    def await_denied(self, tenant, code, deadline_s=20, **parts):
        def denied():
            http = self.answer(tenant, **parts)
            return http if http and http["body"]["error"]["code"] == code else None

        return wait_until(denied, deadline_s, lambda: self.trouble(f"{tenant} denied: {code}"))

    def await_allowed(self, tenant, deadline_s=20, **parts):
        wait_until(lambda: self.answer(tenant, **parts) is None, deadline_s,
                   lambda: self.trouble(f"{tenant} allowed"))

    def last_at(self, scope):
        """When the last record of the scope was written, seconds since 1970 by the wall clock."""
        return self.records(scope)[-1]["timestamp_ms"] / 1000

    def trouble(self, what):
        last = "".join(f"\n  {message['key']}: {message['value']}" for message in self.records()[-5:])
        return f"{what}; the control topic ends with:{last}\n{self.job.engines[-1].tail()}"
