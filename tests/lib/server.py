"""What runs beside the engine: directories with an `env` file, and the scripts that make them."""

import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPTS = os.path.join(ROOT, "tests", "env")


def read_env(directory):
    """The NAME=value lines of directory/env."""
    with open(os.path.join(directory, "env"), encoding="utf-8") as lines:
        return dict(line.rstrip("\n").split("=", 1) for line in lines)


def tail(path, lines=40):
    """The end of a log as text; what is wrong with it where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-lines:])
    except OSError as why:
        return f"({why})\n"


def script(name, *words, **environment):
    """Runs one of tests/env; its complaint becomes the exception's text."""
    done = subprocess.run([os.path.join(SCRIPTS, name), *words], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, env={**os.environ, **environment})
    if done.returncode != 0:
        raise RuntimeError(f"{name} {' '.join(words)}: {done.stderr or done.stdout}")
