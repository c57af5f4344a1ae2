"""Which stage of an event's way a function belongs to, by its name.

A function of ours belongs to the stage of the file it stands in; the object files say where that is.
What libraries and the kernel do counts for the stage of the library, or of the thread that asked for
it: a thread of the engine is known by the functions of ours that it runs most.
"""

import glob
import os
import re
import subprocess
from collections import Counter, defaultdict, namedtuple

# ns: DESIGN's budget for an event; files: beginnings of paths; libraries: beginnings of names.
Stage = namedtuple("Stage", "name ns files libraries")

KAFKA = Stage("librdkafka", 620, (), ("librdkafka", "liblz4", "libzstd", "libz.so", "libsnappy"))
HASHES = Stage("hashes of names and identities", None, ("core/identity", "core/partitioner"), ())
SETTLE = Stage("settlement", 60,
               ("sinks/store", "sinks/freeze", "sinks/pg", "sinks/writer", "engine/settle",
                "engine/settling", "core/settlement"), ("libpq",))
OUT = Stage("decisions and alerts", None, ("sinks/",), ("libjansson", "libcurl"))
REST = Stage("kernel, memory, rest in the worker", 30, ("engine/", "ingest/", "main", "config/"), ())
# The first that fits is taken.
STAGES = [
    KAFKA,
    Stage("parse to fields", 300,
          ("ingest/decode", "ingest/json", "ingest/member", "ingest/usage_data", "ingest/vocabulary",
           "ingest/explain", "core/money", "core/clock"), ()),
    HASHES,
    SETTLE,
    Stage("looking up, meters, rows and rules", 230, ("core/", "rules/"), ()),
    OUT,
    REST,
]
# Threads that do nothing for the stages of the worker: all they do is theirs.
ALONE = (SETTLE, OUT)


def files_of(directory):
    """function -> "room/file" where one file only has a function of that name."""
    objects = [path for room in ("core", "rules", "ingest", "sinks", "engine", "config")
               for path in glob.glob(os.path.join(directory, room, "*.o"))]
    found = defaultdict(set)
    lines = subprocess.run(["nm", "-A", "--defined-only", *objects], capture_output=True, text=True,
                           check=True).stdout
    for path, kind, name in re.findall(r"^(.*)\.o:\S+ (\w) (\S+)$", lines, re.MULTILINE):
        if kind in "tTwW":
            found[name.split(".")[0]].add(os.path.relpath(path, directory))
    return {name: files.pop() for name, files in found.items() if len(files) == 1}


def stage_of_file(path):
    return next((stage for stage in STAGES if path.startswith(stage.files)), None) if path else None


def stage_of_thread(name, samples, files):
    """Where all of this thread belongs to, or None: it is a worker."""
    if name.startswith("rdk:"):
        return KAFKA
    mine = Counter()
    for (library, function), weight in samples.items():
        stage = stage_of_file(files.get(function.split(".")[0]))
        if library.startswith("tripmeter") and stage:
            mine[stage] += weight
    most = mine.most_common(1)
    return most[0][0] if most and most[0][0] in ALONE else None


def stage_of(library, function, files):
    for stage in STAGES:
        if library.startswith(stage.libraries):
            return stage
    if not library.startswith("tripmeter"):
        return REST
    if function.startswith("XXH"):  # compiled into every file that hashes
        return HASHES
    return stage_of_file(files.get(function.split(".")[0])) or REST


def by_stage(samples, directory):
    """samples: (thread's number, its name) -> Counter of (library, function).
    Stage -> Counter of (library, function)."""
    files = files_of(directory)
    out = {stage: Counter() for stage in STAGES}
    for (_, name), of_thread in samples.items():
        alone = stage_of_thread(name, of_thread, files)
        for what, weight in of_thread.items():
            out[alone or stage_of(*what, files)][what] += weight
    return out


def table(stages, ns):
    """The table of docs/speed.md; ns: what an event costs in all."""
    whole = sum(sum(each.values()) for each in stages.values()) or 1
    lines = ["| stage | budget | found |", "|---|---|---|"]
    for stage, functions in stages.items():
        found = ns * sum(functions.values()) / whole
        lines.append(f"| {stage.name} | {stage.ns or '-'} | {found:,.0f} |")
    lines.append(f"| the whole, ns an event | {sum(stage.ns or 0 for stage in stages):,} | {ns:,.0f} |")
    return lines


def functions(stages, ns, count=12):
    """The dearest functions of each stage."""
    whole = sum(sum(each.values()) for each in stages.values()) or 1
    lines = []
    for stage, each in stages.items():
        lines += ["", stage.name]
        lines += [f"{ns * weight / whole:8.1f} ns  {name} ({library})"
                  for (library, name), weight in each.most_common(count)]
    return lines
