"""Lets contestants run in turn and sees to it that they do the same work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable

from comparison.model import Contestant, Runs, Workload, WorkloadRuns

_TIMEOUT_S = 300
_CHECKSUM = "checksum"


class DifferentWork(Exception):
    """A contestant did not do what the others did: no figure of theirs can be compared."""


class RunFailed(Exception):
    """A contestant did not come to its end, or printed nothing of use."""


def _parse(output: str) -> tuple[int, dict[str, float]]:
    """Returns the units and figures that a program printed: a line of JSON, or, from the
    programs in //benchmarks, a line for each figure."""
    line = output.strip()
    try:
        if line.startswith("{"):
            data = json.loads(line)
            return int(data["units"]), {k: float(v) for k, v in data["figures"].items()}
        words = dict(one.split(" ", 1) for one in line.splitlines())
        return int(words.pop("units")), {name: float(value) for name, value in words.items()}
    except (ValueError, KeyError) as error:
        raise RunFailed(f"it printed {line[:200]!r}") from error


def run_once(contestant: Contestant) -> tuple[int, dict[str, float]]:
    """Runs a contestant, as a process of its own, and returns its units and figures, with
    peak_mib, the most memory that it had resident. (The system does not count below what
    this process had when it started the other one, some 20 MiB.)"""
    environment = {**os.environ, **dict(contestant.environment)}
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        try:
            process = subprocess.Popen(contestant.command, stdin=subprocess.DEVNULL,
                                       stdout=output, stderr=errors, env=environment)
        except OSError as error:
            raise RunFailed(str(error)) from error
        timer = threading.Timer(_TIMEOUT_S, process.kill)
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        finally:
            timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            said = errors.read().strip().splitlines()
            raise RunFailed(f"exit status {process.returncode}"
                            + (f": {said[-1][:300]}" if said else ""))
        output.seek(0)
        units, figures = _parse(output.read())
    if "operations_s" in figures:
        figures["operations_per_s"] = units / figures.pop("operations_s") / 1000
    # Some know better: whose memory is mapped several times, that is counted as often.
    figures.setdefault("peak_mib", usage.ru_maxrss / 1024)
    return units, figures


def _check_same(workload: Workload, runs: Runs, expected: dict[str, tuple[float, str]],
                what: str, value: float) -> None:
    """Raises DifferentWork if `value` is not what the first one with such a value had."""
    first, name = expected.setdefault(what, (value, runs.name))
    if value != first:
        raise DifferentWork(f"{workload.name}: {runs.name} did different work: "
                            f"{what} {value:.17g}, but {first:.17g} of {name}")


def run_workload(workload: Workload, contestants: list[Contestant | Runs], rounds: int,
                 say: Callable[[str], None] = lambda text: print(text, file=sys.stderr)
                 ) -> WorkloadRuns:
    """Runs all contestants once, then all once more, and so on: `rounds` times.

    A Runs among the contestants is one that cannot run, and stays as it is. Who fails is
    left out from then on. Raises DifferentWork if units, or checksums where contestants
    have one, are not all the same."""
    entries = [(c, Runs(c.name, c.peer, c.settings)) if isinstance(c, Contestant) else (None, c)
               for c in contestants]
    expected: dict[str, tuple[float, str]] = {}
    for number in range(rounds):
        for contestant, runs in entries:
            if contestant is None or runs.left_out:
                continue
            start = time.monotonic()
            try:
                units, figures = run_once(contestant)
            except RunFailed as error:
                runs.left_out = f"failed: {error}"
                runs.figures = {}
                say(f"{workload.name}: {runs.name} {runs.left_out}")
                continue
            _check_same(workload, runs, expected, workload.unit, units)
            checksum = figures.pop(_CHECKSUM, None)
            if checksum is not None:
                _check_same(workload, runs, expected, _CHECKSUM, checksum)
            runs.units = units
            for name, value in figures.items():
                runs.figures.setdefault(name, []).append(value)
            say(f"{workload.name}, round {number + 1} of {rounds}: {runs.name}: "
                f"{time.monotonic() - start:.1f} s")
    return WorkloadRuns(workload, [runs for _, runs in entries])
