"""What a process has used, as /proc tells it."""

import os
import time

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Usage:
    def __init__(self, pid):
        self.pid = pid

    def cpu_s(self):
        """User and system time of all its threads, those that ended too, and of its children."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) * TICK_S

    def status_kib(self, name):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(name + ":"))

    def rss_kib(self):
        return self.status_kib("VmRSS")

    def peak_rss_kib(self):
        return self.status_kib("VmHWM")

    def await_idle(self, deadline_s=15):
        """Until it uses less than a tenth of a processor over a second."""
        end = time.monotonic() + deadline_s
        before = self.cpu_s()
        while time.monotonic() < end:
            time.sleep(1)
            now = self.cpu_s()
            if now - before < 0.1:
                return
            before = now
        raise AssertionError("the engine does not come to rest")
