"""On what it was measured."""

import os
import platform


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        model = next((line.split(":", 1)[1].strip() for line in lines
                      if line.startswith("model name")), platform.machine())
    with open("/proc/loadavg", encoding="ascii") as load:
        return {"cores": len(os.sched_getaffinity(0)), "cpu": model, "kernel": platform.release(),
                "load_before": float(load.read().split()[0])}


def machine_line(host=None):
    host = host or machine()
    return (f"{host['cores']} cores, {host['cpu']}, Linux {host['kernel']}, "
            f"load {host['load_before']:.1f} before")
