"""The command line of tools/compare."""

from __future__ import annotations

import argparse
import json
import os
import sys

from comparison import machine, packages
from comparison.building import REPOSITORY, Builder, CannotBuild
from comparison.contestants import Field
from comparison.model import Comparison, from_json, to_json
from comparison.peers import PEERS
from comparison.plots import plot, plot_name
from comparison.running import DifferentWork, run_workload
from comparison.tables import report
from comparison.workloads import FULL, QUICK, workloads

_BENCHMARKS = ["alloc", "barrier", "binary_trees", "gcbench", "handles", "mark_rate",
               "op_latency"]
# What tools/compare --write-docs writes, from the root of the repository.
_PAGE = "docs/performance.md"
_PLOTS = "docs/performance"
_BEGIN = "<!-- tools/compare writes what follows -->\n"
_END = "<!-- to here -->\n"


def _parser() -> argparse.ArgumentParser:
    names = ", ".join(w.name for w in workloads(FULL))
    parser = argparse.ArgumentParser(
        prog="tools/compare",
        description="Runs Bibop and other collectors and allocators on the same work, in turn, "
                    "and writes a report (report.md), all figures (report.json) and plots.")
    parser.add_argument("--install", action="store_true",
                        help="install the Debian packages of the peers that are missing")
    parser.add_argument("--only", metavar="NAMES", default="",
                        help=f"workloads, with commas between: {names}")
    parser.add_argument("--peers", metavar="NAMES",
                        help="peers, with commas between, none for Bibop alone; by default "
                             f"all: {', '.join(PEERS)}")
    parser.add_argument("--runs", type=int, default=5, metavar="N",
                        help="rounds; of the latencies and the mark rate at most 3")
    parser.add_argument("--quick", action="store_true",
                        help="next to no work, to see whether everything runs")
    parser.add_argument("--out", metavar="DIR", help="where the report goes: build/compare/report")
    parser.add_argument("--work", metavar="DIR", default=os.path.join(REPOSITORY, "build/compare"),
                        help="where programs are built: build/compare")
    parser.add_argument("--bazel", metavar="PROGRAM", default=os.path.join(REPOSITORY, "bazelw"),
                        help="the Bazel that builds Bibop's benchmarks: ./bazelw")
    parser.add_argument("--from", dest="recorded", metavar="FILE",
                        help="run nothing: report on the figures of a report.json")
    parser.add_argument("--write-docs", action="store_true",
                        help=f"write the report into {_PAGE} too, and its plots to {_PLOTS}")
    return parser


def _write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _write_plots(comparison: Comparison, folder: str) -> None:
    for runs in comparison.workloads:
        for figure in runs.workload.figures:
            if figure.plotted and any(figure.name in one.figures for one in runs.contestants):
                _write(os.path.join(folder, plot_name(runs.workload, figure)), plot(runs, figure))


def write_report(comparison: Comparison, folder: str) -> None:
    """Writes report.md, report.json and the plots."""
    _write(os.path.join(folder, "report.md"), report(comparison, "plots"))
    _write(os.path.join(folder, "report.json"), json.dumps(to_json(comparison), indent=1) + "\n")
    _write_plots(comparison, os.path.join(folder, "plots"))


def write_docs(comparison: Comparison, repository: str) -> None:
    """Replaces the report in the page, its plots and its figures."""
    page = os.path.join(repository, _PAGE)
    with open(page, encoding="utf-8") as file:
        text = file.read()
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        sys.exit(f"{_PAGE} has no place for the report")
    plots = os.path.join(repository, _PLOTS)
    os.makedirs(plots, exist_ok=True)
    for file in os.listdir(plots):
        if file.endswith(".svg"):
            os.remove(os.path.join(plots, file))
    _write_plots(comparison, plots)
    _write(os.path.join(plots, "report.json"), json.dumps(to_json(comparison), indent=1) + "\n")
    _write(page, before + begin + "\n" + report(comparison, os.path.basename(_PLOTS)) + "\n"
           + end + after)


def _names(text: str, known: list[str], what: str) -> list[str]:
    """Returns the names in a list with commas, or ends the program if one is not known."""
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            print(f"there is no {what} {name}, only {', '.join(known)}", file=sys.stderr)
            sys.exit(2)
    return names


def _compare(arguments: argparse.Namespace) -> Comparison:
    sizes = QUICK if arguments.quick else FULL
    todo = workloads(sizes)
    if arguments.only:
        chosen = _names(arguments.only, [w.name for w in todo], "workload")
        todo = [w for w in todo if w.name in chosen]
    wanted = (list(PEERS) if arguments.peers is None
              else _names(arguments.peers, list(PEERS), "peer"))
    builder = Builder(arguments.work, arguments.bazel)
    benchmarks = builder.benchmarks(_BENCHMARKS)
    if arguments.install:
        packages.update()
    programs: dict[str, list[str]] = {}
    unavailable = {name: "not asked for" for name in PEERS if name not in wanted}
    for name in wanted:
        try:
            programs[name] = builder.peer(name, arguments.install)
        except CannotBuild as error:
            unavailable[name] = str(error)
            print(f"left out: {name}: {error}", file=sys.stderr)
    field = Field(sizes, benchmarks, programs, unavailable)
    others = machine.Others()
    runs = []
    for workload in todo:
        slow = workload.name.startswith("latency") or workload.name == "mark_rate"
        rounds = min(arguments.runs, 3) if slow else arguments.runs
        contestants = [c for c in field.of(workload)
                       if unavailable.get(c.peer) != "not asked for"]
        runs.append(run_workload(workload, contestants, rounds))
    versions = {name: builder.version(name) for name in programs}
    versions |= {name: why for name, why in unavailable.items() if why != "not asked for"}
    facts = machine.facts()
    facts["taken by others"] = f"{others.share():.0%} of the processors' time, meanwhile"
    return Comparison(facts, versions, runs)


def main() -> None:
    """Does what the command line says. Exits with 2 for a wrong one, with 1 if the figures
    cannot be had or compared."""
    arguments = _parser().parse_args()
    if arguments.runs < 1:
        print("--runs may be 1 or more", file=sys.stderr)
        sys.exit(2)
    if arguments.write_docs and (arguments.quick or arguments.only):
        print("--write-docs takes all workloads, in full", file=sys.stderr)
        sys.exit(2)
    try:
        if arguments.recorded:
            with open(arguments.recorded, encoding="utf-8") as file:
                comparison = from_json(json.load(file))
        else:
            comparison = _compare(arguments)
    except (CannotBuild, DifferentWork) as error:
        sys.exit(f"tools/compare: {error}")
    folder = arguments.out or os.path.join(arguments.work, "report")
    write_report(comparison, folder)
    print(f"{folder}/report.md")
    if arguments.write_docs:
        write_docs(comparison, REPOSITORY)
