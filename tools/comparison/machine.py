"""What machine this is."""

from __future__ import annotations

import datetime
import os
import platform
import re
import resource
import subprocess
import time

from comparison import packages


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "none"
    return (done.stdout or done.stderr).strip().partition("\n")[0]


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def facts() -> dict[str, str]:
    """Returns what is known of the machine, in the order in which it is shown."""
    model = re.search(r"^model name\s*: (.*)$", _read("/proc/cpuinfo"), re.M)
    memory = re.search(r"^MemTotal:\s*(\d+) kB", _read("/proc/meminfo"), re.M)
    virtual = " hypervisor" in _read("/proc/cpuinfo")
    name = re.search(r'^PRETTY_NAME="(.*)"', _read("/etc/os-release"), re.M)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "processor": (model[1] if model else "unknown")
                     + (", in a virtual machine" if virtual else ""),
        "processors": str(len(os.sched_getaffinity(0))),
        "memory": f"{int(memory[1]) / (1 << 20):.0f} GiB" if memory else "unknown",
        "system": (name[1] if name else "unknown") + ", Linux " + platform.release(),
        "huge pages": _read("/sys/kernel/mm/transparent_hugepage/enabled").strip() or "none",
        "compiler": _first_line("g++", "--version"),
        "C library": packages.version("libc6") or "unknown",
    }


class Others:
    """How much of the processors' time others take: from when it is made."""

    def __init__(self) -> None:
        self._wall, self._taken = time.monotonic(), self._now()

    def share(self) -> float:
        """Returns the share that neither was idle nor went to processes that this one waited
        for: 0 to 1."""
        wall = time.monotonic() - self._wall
        taken = (self._now() - self._taken) / wall / (os.cpu_count() or 1)
        return min(max(taken, 0.0), 1.0)

    @staticmethod
    def _now() -> float:
        # user, nice, system, idle, iowait, irq, softirq, steal
        words = [int(word) for word in _read("/proc/stat").partition("\n")[0].split()[1:9]]
        busy = sum(words) - words[3] - words[4]
        ours = resource.getrusage(resource.RUSAGE_CHILDREN)
        return busy / os.sysconf("SC_CLK_TCK") - ours.ru_utime - ours.ru_stime
