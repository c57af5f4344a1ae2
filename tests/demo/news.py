"""What arrives while the story goes on: messages of the inbox, records of the control topic."""

import json
import queue
import subprocess
import threading
import time


class Inbox:
    """New lines of inbox.jsonl at each look."""

    def __init__(self, path):
        self.path = path
        self.read_to = 0

    def news(self):
        try:
            with open(self.path, encoding="utf-8") as lines:
                lines.seek(self.read_to)
                text = lines.read()
        except OSError:
            return []
        whole = text[:text.rfind("\n") + 1]
        self.read_to += len(whole.encode())
        return [json.loads(line) for line in whole.splitlines()]


class ControlTopic(threading.Thread):
    """Follows the control topic as a gateway does; on_state is called at once, in this thread."""

    def __init__(self, world, on_state):
        super().__init__(daemon=True)
        self.on_state = on_state
        self.states = queue.SimpleQueue()  # (when it was seen, event), for who looks later
        self.seqs = {}
        self.process = world.spawn(
            # The embedded broker answers late by the whole time that a reader would wait.
            world.broker.command("-X", f"client.id={world.path('follower')}",
                                 "-X", "fetch.wait.max.ms=5", "consume", "tripmeter.control"),
            world.path("follower.log"), stdout=subprocess.PIPE, text=True)

    def run(self):
        for line in self.process.stdout:
            record = json.loads(line)
            scope = record["key"]
            if scope.startswith("engine/") or record["value"] is None:
                continue
            event = json.loads(record["value"])
            if event["data"]["seq"] <= self.seqs.get(scope, 0):
                continue  # written late by an engine that had lost its work
            self.seqs[scope] = event["data"]["seq"]
            self.on_state(event)
            self.states.put((time.monotonic(), event))

    def news(self):
        out = []
        while not self.states.empty():
            out.append(self.states.get())
        return out

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
