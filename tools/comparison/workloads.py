"""The workloads, their sizes, and the figures that are compared."""

from __future__ import annotations

import dataclasses

from comparison.model import Figure, Workload


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much work there is."""

    depth: int = 18
    objects: int = 16_000_000  # allocated
    operations: int = 20_000_000  # with handles and stores of references
    persistents: int = 4_000_000
    live: tuple[int, ...] = (1_000_000, 4_000_000)  # nodes, of a workload each
    timed: int = 2_000_000  # operations on them
    warm_up: int = 500_000
    marked: int = 4_000_000  # objects
    marks: int = 5


FULL = Sizes()
# To see whether everything runs: the figures mean nothing.
QUICK = Sizes(depth=12, objects=640_000, operations=200_000, persistents=100_000,
              live=(20_000, 50_000), timed=50_000, warm_up=10_000, marked=100_000, marks=2)

_TIME = Figure("wall_s", "time", "s")
_CPU = Figure("cpu_s", "processor time", "s", plotted=False)
_PEAK = Figure("peak_mib", "peak memory", "MiB")
_NS = Figure("ns_per_operation", "processor time an operation", "ns", logarithmic=True)
_LATENCY = (
    Figure("max_us", "longest operation", "us", logarithmic=True),
    Figure("p9999_us", "p99.99", "us", logarithmic=True),
    Figure("p999_us", "p99.9", "us", plotted=False),
    Figure("p50_us", "median", "us", plotted=False),
    Figure("operations_per_s", "operations a second", "1000/s", more_is_better=True),
    _PEAK,
)


def count(number: int) -> str:
    """Returns a number for a reader: 4 M, 20,000."""
    if number % 1_000_000 == 0:
        return f"{number // 1_000_000} M"
    return f"{number:,}"


def workloads(sizes: Sizes) -> list[Workload]:
    """Returns all workloads, in the order in which they run."""
    small = [
        Workload("binary_trees", f"Binary trees {sizes.depth}",
                 f"Complete binary trees of 4 to {sizes.depth + 1} levels below the root, built "
                 f"and dropped beside one of {sizes.depth}; a node is two references.",
                 "nodes", (_TIME, _PEAK, _CPU)),
        Workload("gcbench", f"GCBench {sizes.depth}",
                 "Trees built top down and bottom up, beside a tree and an array of 500,000 "
                 "doubles that live long; a node is two references and two int32.",
                 "nodes", (_TIME, _PEAK, _CPU)),
        Workload("alloc", "Allocation",
                 f"{count(sizes.objects)} objects of 32 bytes, 64 of which live at a time: from "
                 "an allocation to the reuse of its memory.",
                 "objects", (Figure("ns_per_object", "time an object", "ns", logarithmic=True),)),
    ]
    for contest, what in [
            ("scope", "A scope is opened, a handle made in it, the scope closed"),
            ("handle", "One of a thousand handles in a scope"),
            ("escape", "An inner scope whose handle escapes to the outer one")]:
        small.append(Workload(f"handles_{contest}", f"Handles: {contest}", what + ".",
                              "operations", (_NS,)))
    small += [
        Workload("persistent", "Persistent handles",
                 "A reference from outside the heap is made and dropped.", "operations", (_NS,)),
        Workload("persistent_thousand", "A thousand persistent handles",
                 "A thousand are made, and then dropped in another order.", "operations", (_NS,)),
        Workload("barrier", "Barrier",
                 "A reference is stored into each of 1000 elements, over and over, while nothing "
                 "collects. Bibop, cppgc and pointers store one by one; compilers of Java and "
                 "JavaScript may store several at once.", "stores", (_NS,)),
    ]
    latencies = [
        Workload(f"latency_{nodes}", f"Latency, {count(nodes)} live nodes",
                 f"{count(nodes)} nodes of 48 bytes refer to each other at random. An operation "
                 "makes 32 objects of 32 bytes, which die, and four references refer elsewhere; "
                 f"{count(sizes.timed)} of them, one after the other, after {count(sizes.warm_up)} "
                 "to warm up.", "operations", _LATENCY)
        for nodes in sizes.live]
    return [
        *small,
        *latencies,
        Workload("mark_rate", "Mark rate",
                 f"One thread marks {count(sizes.marked)} objects of 48 bytes that refer to each "
                 "other at random, those of them that can be reached.", "objects",
                 (Figure("mobjects_per_s", "objects marked a second", "M/s", more_is_better=True),
                  Figure("ns_per_object", "time an object", "ns", plotted=False), _PEAK)),
    ]
