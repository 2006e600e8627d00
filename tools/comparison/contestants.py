"""Who takes part in which workload, with which settings."""

from __future__ import annotations

import os

from comparison.model import FLOOR, Contestant, Runs, Workload
from comparison.peers import PEERS
from comparison.workloads import Sizes

# With their defaults: huge pages, and keeping what is free, made none of them faster.
_MALLOCS = ("glibc", "tcmalloc", "jemalloc", "mimalloc")
_COLLECTORS = {"serial": "-XX:+UseSerialGC", "parallel": "-XX:+UseParallelGC",
               "G1": "-XX:+UseG1GC", "ZGC": "-XX:+UseZGC"}
# What the log calls the marking of a whole collection, and its milliseconds.
_JAVA_MARKS = {"serial": r"Phase 1: Mark live objects ([0-9.]+)ms",
               "parallel": r"Marking Phase ([0-9.]+)ms",
               "G1": r"Phase 1: Mark live objects ([0-9.]+)ms",
               "ZGC": r"Concurrent Mark ([0-9.]+)ms"}
_BDWGC_FAST = {"GC_FREE_SPACE_DIVISOR": "1"}
_CPPGC_FAST = {"CPPGC_ATOMIC": "1", "CPPGC_INITIAL_HEAP_MIB": "64"}
# The nursery's words, and how much may be garbage, in percent of what is alive.
_OCAML_TREES = "s=4M,o=200"
_OCAML_FAST = "s=1M,o=200"
_V8_YOUNG = ["--min-semi-space-size=64", "--max-semi-space-size=64"]


class Field:
    """All contestants of a comparison, by workload."""

    def __init__(self, sizes: Sizes, benchmarks: str, programs: dict[str, list[str]],
                 unavailable: dict[str, str]) -> None:
        """`benchmarks` is the folder of Bibop's programs, `programs` the peers' command
        lines, and `unavailable` why those that have none have none."""
        self._sizes = sizes
        self._benchmarks = benchmarks
        self._programs = programs
        self._unavailable = unavailable

    def of(self, workload: Workload) -> list[Contestant | Runs]:
        """Returns the contestants of a workload; a Runs is one that is not there."""
        sizes = self._sizes
        if workload.name in ("binary_trees", "gcbench"):
            return self._trees(workload.name)
        if workload.name == "alloc":
            return self._alloc()
        if workload.name.startswith("handles_"):
            return self._handles(workload.name.removeprefix("handles_"))
        if workload.name.startswith("persistent"):
            return self._persistents(workload.name)
        if workload.name == "barrier":
            return self._barrier()
        if workload.name == "mark_rate":
            return self._mark_rate()
        nodes = int(workload.name.removeprefix("latency_"))
        assert nodes in sizes.live, workload.name
        return self._latency(nodes)

    # ---- the workloads ----

    def _trees(self, name: str) -> list[Contestant | Runs]:
        flags = [f"--depth={self._sizes.depth}"]
        shared = ([self._own("shared_ptr, glibc", name, f"{name}/shared_ptr", flags, "glibc")]
                  if name == "binary_trees" else [])
        work = [name, str(self._sizes.depth)]
        return [
            self._own("bibop", name, f"{name}/bibop", flags),
            self._own("bibop, generations", name, f"{name}/bibop",
                      [*flags, "--generations=true"]),
            self._own("bibop, generations, soft limit 40 MiB", name, f"{name}/bibop",
                      [*flags, "--generations=true", "--soft_limit_mib=40"]),
            *self._mallocs("new/delete", name, name, flags),
            self._own("unique_ptr, glibc", name, f"{name}/unique_ptr", flags, "glibc"),
            *shared,
            self._peer("bdwgc", "bdwgc", work, _BDWGC_FAST),
            self._peer("cppgc", "cppgc", work, _CPPGC_FAST),
            self._v8(_V8_YOUNG, work),
            self._peer("spidermonkey", "spidermonkey", work),
            self._peer("go", "go", work),
            self._peer("go, GOGC=400", "go", work, {"GOGC": "400"}),
            self._java("serial", "64m", work),
            *(self._java(collector, "256m", work) for collector in _COLLECTORS),
            self._peer("ocaml", "ocaml", work),
            self._peer(f"ocaml, {_OCAML_TREES}", "ocaml", work, {"OCAMLRUNPARAM": _OCAML_TREES}),
        ]

    def _alloc(self) -> list[Contestant | Runs]:
        flags = ["--threads=1", f"--objects={self._sizes.objects}"]
        contest = "32_bytes_1_thread"
        work = ["alloc", str(self._sizes.objects)]
        return [
            self._own("bibop", "alloc", f"{contest}/bibop", flags),
            self._own("bump pointer, no collector", "alloc", f"{contest}/bump", flags, FLOOR),
            *self._mallocs("new/delete", "alloc", contest, flags),
            self._peer("bdwgc", "bdwgc", work, _BDWGC_FAST),
            self._peer("cppgc", "cppgc", work, _CPPGC_FAST),
            self._v8([], work),
            self._peer("spidermonkey", "spidermonkey", work),
            self._peer("go", "go", work),
            self._peer("go, GOGC=400", "go", work, {"GOGC": "400"}),
            *(self._java(collector, "256m", work) for collector in _COLLECTORS),
            self._peer("ocaml", "ocaml", work),
        ]

    def _handles(self, contest: str) -> list[Contestant | Runs]:
        flags = [f"--operations={self._sizes.operations}"]
        work = [f"handles_{contest}", str(self._sizes.operations)]
        rooted = [self._peer("spidermonkey Rooted", "spidermonkey", work)]
        return [
            self._own("bibop", "handles", f"{contest}/bibop", flags),
            self._own("slots in an array", "handles", f"{contest}/slot", flags, FLOOR),
            self._v8([], work, name="v8 HandleScope, Local"),
            *(rooted if contest == "scope" else []),
        ]

    def _persistents(self, name: str) -> list[Contestant | Runs]:
        operations = str(self._sizes.persistents)
        flags = [f"--operations={operations}"]
        work = [name, operations]
        return [
            self._own("bibop", "handles", f"{name}/bibop", flags),
            self._own("slots in a free list", "handles", f"{name}/pool", flags, FLOOR),
            *self._mallocs("shared_ptr", "handles", name, flags),
            self._peer("cppgc Persistent", "cppgc", work),
            self._v8([], work, name="v8 Global"),
            self._peer("spidermonkey PersistentRooted", "spidermonkey", work),
            self._peer("go cgo.Handle", "go", work),
        ]

    def _barrier(self) -> list[Contestant | Runs]:
        flags = [f"--operations={self._sizes.operations}"]
        work = ["barrier", str(self._sizes.operations)]
        return [
            self._own("bibop", "barrier", "barrier/bibop", flags),
            self._own("pointer", "barrier", "barrier/pointer", flags, "pointers"),
            self._own("std::atomic, release", "barrier", "barrier/atomic", flags, "pointers"),
            self._peer("cppgc Member", "cppgc", work),
            self._v8([], work),
            self._peer("spidermonkey", "spidermonkey", work),
            self._peer("go", "go", work),
            *(self._java(collector, "256m", work) for collector in _COLLECTORS),
            self._peer("ocaml", "ocaml", work),
        ]

    def _latency(self, nodes: int) -> list[Contestant | Runs]:
        sizes = self._sizes
        flags = [f"--nodes={nodes}", f"--operations={sizes.timed}", f"--warm_up={sizes.warm_up}"]
        work = ["latency", str(nodes), str(sizes.timed), str(sizes.warm_up)]
        # In MiB, some four times what is alive: with less ZGC waits for memory most of the
        # time, and cppgc collects most of the time.
        tight = max(64, nodes * 256 // 1_000_000)
        touched = ["-XX:+AlwaysPreTouch"]
        return [
            self._own("bibop", "op_latency", "operations/concurrent", flags),
            self._own("bibop, stop the world", "op_latency", "operations/stop_the_world", flags),
            *self._mallocs("new/delete", "op_latency", "operations", flags),
            self._peer("bdwgc", "bdwgc", work, _BDWGC_FAST),
            self._peer("cppgc", "cppgc", work, {"CPPGC_INITIAL_HEAP_MIB": str(tight)}),
            self._v8([*_V8_YOUNG, "--max-old-space-size=4096"], work),
            self._peer("go", "go", work),
            self._peer("go, GOGC=400", "go", work, {"GOGC": "400"}),
            self._peer("spidermonkey", "spidermonkey", work),
            self._java("parallel", "2g", work, touched),
            self._java("G1", "2g", work, touched),
            self._java("ZGC", f"{tight}m", work, touched),
            self._java("ZGC", "2g", work, touched),
            self._peer(f"ocaml, {_OCAML_FAST}", "ocaml", work, {"OCAMLRUNPARAM": _OCAML_FAST}),
        ]

    def _mark_rate(self) -> list[Contestant | Runs]:
        sizes = self._sizes
        flags = [f"--objects={sizes.marked}", f"--marks={sizes.marks}"]
        work = ["mark_rate", str(sizes.marked), str(sizes.marks)]
        return [
            self._own("bibop", "mark_rate", "random/bibop", flags),
            self._own("ideal: an array, a bitmap", "mark_rate", "random/ideal", flags, FLOOR),
            self._peer("bdwgc", "bdwgc", work, {"GC_MARKERS": "1"}, "one marker; marking alone"),
            self._peer("cppgc", "cppgc", work, settings="whole collections"),
            self._v8(["--single-threaded-gc", "--max-old-space-size=4096"], work,
                     "one thread; marking alone, by its trace"),
            self._peer("spidermonkey", "spidermonkey", work, settings="whole collections"),
            self._peer("go", "go", work, {"GODEBUG": "gctrace=1"},
                       "processor time of marking, by its trace"),
            *(self._java_marks(collector, work) for collector in _COLLECTORS),
            self._peer("ocaml", "ocaml", work, settings="whole collections"),
        ]

    # ---- their command lines ----

    def _own(self, name: str, program: str, run: str, flags: list[str],
             peer: str = "bibop") -> Contestant:
        command = (os.path.join(self._benchmarks, program), f"--run={run}", *flags)
        return Contestant(name, peer, command)

    def _mallocs(self, does: str, program: str, contest: str,
                 flags: list[str]) -> list[Contestant | Runs]:
        contestants: list[Contestant | Runs] = []
        for malloc in _MALLOCS:
            name = f"{does}, {malloc}"
            if malloc in self._unavailable:
                contestants.append(Runs(name, malloc, left_out=self._unavailable[malloc]))
                continue
            preload = (("LD_PRELOAD", PEERS[malloc].libraries[0]),) if malloc in PEERS else ()
            own = self._own(name, program, f"{contest}/{malloc}", flags)
            contestants.append(Contestant(name, malloc, own.command, preload))
        return contestants

    def _peer(self, name: str, peer: str, arguments: list[str],
              environment: dict[str, str] | None = None,
              settings: str = "") -> Contestant | Runs:
        environment = environment or {}
        said = " ".join(f"{k}={v}" for k, v in environment.items())
        said = ", ".join(part for part in (said, settings) if part)
        if peer in self._unavailable:
            return Runs(name, peer, said, left_out=self._unavailable[peer])
        return Contestant(name, peer, (*self._programs[peer], *arguments),
                          tuple(environment.items()), said)

    def _v8(self, flags: list[str], work: list[str], settings: str = "",
            name: str = "v8") -> Contestant | Runs:
        said = ", ".join(part for part in (" ".join(flags), settings) if part)
        if "v8" in self._unavailable:
            return Runs(name, "v8", said, left_out=self._unavailable["v8"])
        program, script = self._programs["v8"]
        return Contestant(name, "v8", (program, *flags, script, *work), (), said)

    def _java(self, collector: str, memory: str, work: list[str],
              flags: list[str] | None = None, name: str = "",
              settings: str = "") -> Contestant | Runs:
        name = name or f"java {collector}, {memory}"
        options = [_COLLECTORS[collector], f"-Xms{memory}", f"-Xmx{memory}",
                   "-XX:+UseTransparentHugePages", *(flags or [])]
        said = ", ".join(part for part in (" ".join(options), settings) if part)
        if collector == "ZGC":
            options.append("-Dpeer.pss=true")
        if "java" in self._unavailable:
            return Runs(name, "java", said, left_out=self._unavailable["java"])
        java, *rest = self._programs["java"]
        return Contestant(name, "java", (java, *options, *rest, "Peer", *work), (), said)

    def _java_marks(self, collector: str, work: list[str]) -> Contestant | Runs:
        contestant = self._java(
            collector, "2g", work,
            ["-XX:ParallelGCThreads=1",
             *(["-XX:ConcGCThreads=1"] if collector in ("G1", "ZGC") else [])],
            f"java {collector}", "marking alone, by its log")
        if isinstance(contestant, Runs):
            return contestant
        java, *rest = contestant.command
        classes = self._programs["java"][-1]
        log = os.path.join(classes, "gc.log")
        return Contestant(contestant.name, contestant.peer,
                          (java, f"-Xlog:gc*:file={log}", f"-Dgc.log={log}",
                           f"-Dgc.mark={_JAVA_MARKS[collector]}", *rest), (), contestant.settings)
