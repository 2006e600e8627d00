"""What a comparison consists of: workloads, contestants, and the figures of their runs."""

from __future__ import annotations

import dataclasses
import statistics


# The peer of a contestant that is none: the least that code could do, as hand-written slots
# do, which nobody could use instead of a collector.
FLOOR = "floor"


@dataclasses.dataclass(frozen=True)
class Figure:
    """A number that runs come to, and how it is shown."""

    name: str  # as the programs print it: "wall_s"
    title: str  # "time"
    unit: str  # "s"
    more_is_better: bool = False
    logarithmic: bool = False  # the axis of its plot
    plotted: bool = True


@dataclasses.dataclass(frozen=True)
class Workload:
    """Work that all contestants do."""

    name: str  # a word: "binary_trees"
    title: str
    what: str  # a sentence or two for the report: the work and its size
    unit: str  # what a run's units count: "nodes"
    figures: tuple[Figure, ...]  # the first is the one that is compared


@dataclasses.dataclass(frozen=True)
class Contestant:
    """A program with the settings with which it does one workload."""

    name: str  # "java serial 1 GiB"
    peer: str  # the key of what it is built from: "java"
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    settings: str = ""  # for the report; empty for none but the defaults


@dataclasses.dataclass
class Runs:
    """The runs of a contestant in a workload."""

    name: str
    peer: str
    settings: str = ""
    units: int | None = None
    figures: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    # Why there are no figures: its peer is not there, or it failed.
    left_out: str = ""

    def median(self, figure: str) -> float | None:
        """Returns the median of a figure, or None if there is no run that has it."""
        values = self.figures.get(figure)
        return statistics.median(values) if values else None


@dataclasses.dataclass
class WorkloadRuns:
    """The runs of all contestants in a workload."""

    workload: Workload
    contestants: list[Runs]


@dataclasses.dataclass
class Comparison:
    """All that is reported."""

    machine: dict[str, str]  # facts, in the order in which they are shown
    peers: dict[str, str]  # a peer's title and version, by its key
    workloads: list[WorkloadRuns]


def to_json(comparison: Comparison) -> dict:
    """Returns the comparison as what json.dump takes."""
    return dataclasses.asdict(comparison)


def from_json(data: dict) -> Comparison:
    """Returns the comparison of which to_json returned `data`."""
    workloads = []
    for runs in data["workloads"]:
        fields = dict(runs["workload"])
        fields["figures"] = tuple(Figure(**figure) for figure in fields["figures"])
        workloads.append(WorkloadRuns(Workload(**fields),
                                      [Runs(**contestant) for contestant in runs["contestants"]]))
    return Comparison(data["machine"], data["peers"], workloads)
