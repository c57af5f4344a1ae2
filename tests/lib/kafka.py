"""A broker and the command-line client that talks to it (tests/tools, `kafka_tool --help`)."""

import json
import os
import signal
import subprocess

from tests.lib.server import ROOT, read_env, script

TOOL = os.environ.get("KAFKA_TOOL", os.path.join(ROOT, "build", "cc-release", "kafka_tool"))


class Broker:
    """What can be done with any broker that listens at `bootstrap`."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap

    def command(self, *words):
        return [TOOL, "-b", self.bootstrap, *map(str, words)]

    def tool(self, *words, stdin=""):
        """Runs a command to its end; the objects it prints, one a line."""
        done = subprocess.run(self.command(*words), input=stdin, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"kafka_tool {' '.join(map(str, words))}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def create_topic(self, topic, partitions, **config):
        """Config names have _ for . here: retention_ms=-1.  A broker that has just begun may not say
        who is the controller, and the client does not ask again: another one does."""
        words = ["create-topic", topic, partitions,
                 *(f"{name.replace('_', '.')}={value}" for name, value in config.items())]
        for _ in range(2):
            try:
                return self.tool(*words)
            except RuntimeError as why:
                if "waiting for controller" not in str(why):
                    raise
        return self.tool(*words)

    def create_usage_topic(self, topic, partitions):
        """For events with their producers' times, however old (`time: trust_producers`)."""
        self.create_topic(topic, partitions, message_timestamp_type="CreateTime", retention_ms=-1)

    def produce(self, topic, messages, *options):
        """Messages are dicts as kafka_tool reads them: key, value, headers, timestamp_ms."""
        return self.tool("produce", topic, *options,
                         stdin="".join(json.dumps(message) + "\n" for message in messages))

    def produce_events(self, topic, events, *options):
        """Native events, dicts or lines of JSON: keyed by subject, at their own time."""
        lines = (event if isinstance(event, str) else json.dumps(event) for event in events)
        return self.tool("produce", topic, "--raw-events", *options,
                         stdin="".join(line + "\n" for line in lines))

    def produce_file(self, topic, path, *options, raw_events=True):
        """Starts to send a file; the process, to be waited for or killed."""
        raw = ["--raw-events"] if raw_events else []
        with open(path, "rb") as lines:
            return subprocess.Popen(self.command("produce", topic, *raw, *options), stdin=lines,
                                    stdout=subprocess.PIPE)

    def consume(self, topic, *options, start="beginning"):
        """Everything that is in the topic now, or from an offset on."""
        return self.tool("consume", topic, "--from", start, "--until-end", *options)

    def watermarks(self, topic):
        """{partition: (low, high)}"""
        return {row["partition"]: (row["low"], row["high"])
                for row in self.tool("high-watermarks", topic)}

    def latest(self, topic):
        """A compacted topic as a reader from its beginning sees it: {key: message}."""
        out = {}
        for message in self.consume(topic):
            out[message["key"]] = message
        return {key: message for key, message in out.items() if message["value"] is not None}


class Kafka(Broker):
    """The real one, tests/env/kafka.sh."""

    def __init__(self, directory):
        self.directory = directory
        script("kafka.sh", "start", directory)
        super().__init__(read_env(directory)["bootstrap"])

    def pid(self):
        return int(read_env(self.directory)["pid"])

    def start(self):
        script("kafka.sh", "start", self.directory)

    def stop(self):
        script("kafka.sh", "stop", self.directory)

    def kill(self):
        script("kafka.sh", "kill", self.directory)

    def restart(self):
        script("kafka.sh", "restart", self.directory)

    def pause(self):
        """It is there and says nothing."""
        os.kill(self.pid(), signal.SIGSTOP)

    def resume(self):
        os.kill(self.pid(), signal.SIGCONT)


class MockCluster(Broker):
    """librdkafka's embedded broker; topics are (name, partitions)."""

    def __init__(self, directory, *topics):
        from tests.lib.wait import wait_until

        os.makedirs(directory, exist_ok=True)
        self.process = subprocess.Popen(
            [TOOL, "mock-cluster", directory, *(f"{name}:{count}" for name, count in topics)],
            stdin=subprocess.DEVNULL)
        env = os.path.join(directory, "env")
        wait_until(lambda: os.path.exists(env) and read_env(directory)["pid"] == str(self.process.pid),
                   10, "the embedded broker's address")
        super().__init__(read_env(directory)["bootstrap"])

    def stop(self):
        self.process.terminate()
        self.process.wait()
