"""The demo's servers: embedded broker, Postgres, inbox and engine, in a directory of their own.

A directory (build/demo, or build/demo-2 while that is in use) belongs to who holds the lock on its
file `lock`.  The broker inherits the lock, so a world that is left running keeps its directory.
`pids` names what was started; whatever a killed demo left is ended before the directory is used anew.
"""

import datetime
import fcntl
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from tests.lib.engine import BINARY
from tests.lib.kafka import TOOL, Broker
from tests.lib.receivers import SECRET
from tests.lib.server import ROOT, SCRIPTS, read_env, script, tail
from tests.lib.wait import wait_until

BUILD = os.path.join(ROOT, "build")
PARTITIONS = 4
STOP_S = 12  # the engine takes at most 10


class Trouble(Exception):
    """Ends the demo: what went wrong, in a sentence."""


# ---- directories ---------------------------------------------------------------------------------


def take_directory():
    """The first directory nobody uses, empty but for its lock; and the lock."""
    for number in range(1, 100):
        directory = os.path.join(BUILD, "demo" if number == 1 else f"demo-{number}")
        os.makedirs(directory, exist_ok=True)
        lock = open(os.path.join(directory, "lock"), "w", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        end_processes(directory)
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            elif name != "lock":
                os.remove(path)
        return directory, lock
    raise Trouble(f"all of {BUILD}/demo-* are in use; `make demo-stop` ends what KEEP=1 left")


def kept_directories():
    """Those that `make demo KEEP=1` left running."""
    names = [name for name in os.listdir(BUILD) if re.fullmatch(r"demo(-\d+)?", name)] \
        if os.path.isdir(BUILD) else []
    return sorted(os.path.join(BUILD, name) for name in names
                  if os.path.exists(os.path.join(BUILD, name, "kept")))


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as line:
            return line.read()
    except OSError:
        return ""


def end_processes(directory):
    """Ends what `pids` names, in the opposite order of starting; the number alone proves nothing."""
    try:
        with open(os.path.join(directory, "pids"), encoding="utf-8") as lines:
            pids = [int(line) for line in lines]
    except OSError:
        pids = []
    for pid in reversed(pids):
        for number, patience_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, STOP_S)):
            if directory + os.sep not in command_line(pid):
                break
            os.kill(pid, number)
            end = time.monotonic() + patience_s
            while command_line(pid) and time.monotonic() < end:
                reap(pid)
                time.sleep(0.02)
    postgres = os.path.join(directory, "postgres")
    if os.path.exists(os.path.join(postgres, "env")):
        script("postgres.sh", "destroy", postgres)
    for name in ("pids", "kept"):
        if os.path.exists(os.path.join(directory, name)):
            os.remove(os.path.join(directory, name))


def reap(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass  # started by an earlier demo


# ---- configuration -------------------------------------------------------------------------------


def with_setting(text, section, key, value):
    """The example's text with one key set, whether it stands there or behind a '#'."""
    indent = "  " if section else ""
    start = text.index(f"\n{section}:\n") if section else 0
    pattern = re.compile(rf"^{indent}#?{re.escape(key)}:.*$", re.MULTILINE)
    match = pattern.search(text, start)
    if not match:
        raise Trouble(f"config/tripmeter.example.yaml has no {section}.{key}")
    return text[:match.start()] + f"{indent}{key}: {value}" + text[match.end():]


def example_with(settings, replacements):
    with open(os.path.join(ROOT, "config", "tripmeter.example.yaml"), encoding="utf-8") as example:
        text = "\n" + example.read()
    for (section, key), value in settings.items():
        text = with_setting(text, section, key, value)
    for before, after in replacements.items():
        if before not in text:
            raise Trouble(f"config/tripmeter.example.yaml has no {before!r}")
        text = text.replace(before, after)
    return text.lstrip("\n")


def free_port():
    """Below the range the kernel gives to outgoing connections, so that it stays free."""
    for _ in range(1000):
        port = random.randrange(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise Trouble("no free port on 127.0.0.1")


# ---- the world -----------------------------------------------------------------------------------


class World:
    def __init__(self, directory, lock=None):
        self.directory, self.lock = directory, lock
        self.config = self.path("tripmeter.yaml")
        self.engine_log = self.path("engine.log")
        self.engine = self.broker = self.database = self.inbox = self.status_url = None
        self.offset_ms = 0

    @classmethod
    def new(cls):
        return cls(*take_directory())

    @classmethod
    def kept(cls):
        """The first that was left running, to send more calls to."""
        directories = kept_directories()
        if not directories:
            raise Trouble("nothing was left running; start it with: make demo KEEP=1")
        world = cls(directories[0])
        with open(world.config, encoding="utf-8") as config:
            world.offset_ms = int(re.search(r"^  offset: (\d+)ms$", config.read(), re.M).group(1))
        world.broker = Broker(read_env(world.path("broker"))["bootstrap"])
        return world

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def shown(self, *names):
        """A path as people type it, from the checkout."""
        return os.path.relpath(self.path(*names), ROOT)

    def spawn(self, words, log, **more):
        """In a session of its own: Ctrl-C is for us, who end things in order."""
        with open(log, "ab") as out:
            more.setdefault("stdout", out)
            process = subprocess.Popen(words, stderr=out, start_new_session=True,
                                       **{"stdin": subprocess.DEVNULL, **more})
        with open(self.path("pids"), "a", encoding="utf-8") as pids:
            pids.write(f"{process.pid}\n")
        return process

    def serving(self, process, name):
        """The NAME=value lines of a server that says where it listens once it does."""

        def ready():
            if process.poll() is not None:
                raise Trouble(f"the {name} ended:\n{tail(self.path(name + '.log'))}")
            try:
                env = read_env(self.path(name))
            except OSError:
                return None
            return env if env.get("pid") == str(process.pid) else None

        return wait_until(ready, 30, f"the {name} listens")

    def start_servers(self):
        os.makedirs(self.path("broker"))
        broker = self.spawn(
            [TOOL, "mock-cluster", self.path("broker"), f"usage:{PARTITIONS}",
             "tripmeter.control:1", "tripmeter.dead:1"],
            self.path("broker.log"), pass_fds=(self.lock.fileno(),))
        inbox = self.spawn([os.path.join(SCRIPTS, "receivers.py"), self.path("inbox")],
                           self.path("inbox.log"), env={**os.environ, "WEBHOOK_SECRET": SECRET})
        script("postgres.sh", "start", self.path("postgres"), FAST="1")
        self.database = read_env(self.path("postgres"))["postgres"]
        self.broker = Broker(self.serving(broker, "broker")["bootstrap"])
        self.inbox = self.serving(inbox, "inbox")

    def write_configuration(self):
        """The example's, with the demo's addresses; and the example policy, with a budget
        for the feature that runs away, whose breaker waits seconds instead of minutes."""
        port = free_port()
        smtp_host, smtp_port = self.inbox["smtp"].rsplit(":", 1)
        self.status_url = f"http://127.0.0.1:{port}/status"
        with open(os.path.join(ROOT, "config", "policy.example.yaml"), encoding="utf-8") as example, \
                open(self.path("policy.yaml"), "w", encoding="utf-8") as out:
            out.write(example.read().replace("  features:\n", "  features:\n"
                                             "    geocode: {budget: 50.00, open: 4s}\n", 1))
        text = example_with({
            ("", "policy"): "policy.yaml",
            ("", "state_dir"): self.path("state"),
            ("", "workers"): 1,
            ("kafka", "brokers"): f"[{self.broker.bootstrap}]",
            ("kafka", "time"): "trust_producers",
            # The embedded broker has no admin calls; its topics are there from the start.
            ("kafka", "create_topics"): "false",
            ("postgres", "url"): self.database,
            ("smtp", "host"): smtp_host,
            ("smtp", "port"): smtp_port,
            ("smtp", "tls"): "off",
            ("alerts", "group_wait"): "500ms",
            ("alerts", "link"): self.status_url,
            ("alerts", "allow_http"): "true",
            ("alerts", "allow_private"): "true",
            ("status", "port"): port,
            ("clock", "offset"): f"{self.offset_ms}ms",
        }, {
            "https://billing.example.com/hooks/tripmeter": self.inbox["webhook"] + "/billing",
            "whsec_ZXhhbXBsZSBvbmx5LCBtYWtlIHlvdXIgb3duIQ==": SECRET,
        })
        with open(self.config, "w", encoding="utf-8") as out:
            out.write(text)

    def start_engine(self):
        self.engine = self.spawn([BINARY, "run", "-c", self.config], self.engine_log)

    def stop_engine(self):
        self.engine.terminate()
        self.engine.wait(STOP_S)

    def ready(self):
        """/readyz answers 200: all partitions are claimed and read."""
        self.check_engine()
        try:
            self.fetch("/readyz")
        except (urllib.error.URLError, OSError):
            return False
        return True

    def fetch(self, path):
        url = self.status_url.removesuffix("/status") + path
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()

    def check_engine(self):
        if self.engine.poll() is not None:
            status = self.engine.returncode
            raise Trouble("the engine ended by itself, " +
                          (f"exit status {status}" if status >= 0 else f"by signal {-status}"))

    def tripmeter(self, *words):
        """A sub-command to its end; its output."""
        done = subprocess.run([BINARY, *words, "-c", self.config], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60)
        if done.returncode != 0:
            raise Trouble(f"tripmeter {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def now(self):
        """The story's time."""
        return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(
            milliseconds=self.offset_ms)

    def keep(self):
        with open(self.path("kept"), "w", encoding="utf-8") as out:
            out.write("")

    def stop(self):
        end_processes(self.directory)
