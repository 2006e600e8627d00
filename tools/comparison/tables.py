"""The report, as Markdown."""

from __future__ import annotations

from comparison.model import FLOOR, Comparison, Figure, Runs, WorkloadRuns
from comparison.peers import PEERS
from comparison.plots import plot_name

REFERENCE = "bibop"


def number(value: float | None) -> str:
    """Returns a number with about three digits."""
    if value is None:
        return ""
    for limit, decimals in ((1, 3), (10, 2), (100, 1)):
        if abs(value) < limit:
            return f"{value:.{decimals}f}"
    return f"{value:,.0f}"


def _cell(runs: Runs, figure: Figure) -> str:
    """Returns the median of a figure, with the least and the most in brackets."""
    values = runs.figures.get(figure.name)
    if not values:
        return ""
    median = number(runs.median(figure.name))
    if len(values) == 1:
        return median
    return f"{median} ({number(min(values))} to {number(max(values))})"


def _ratio(runs: Runs, reference: Runs | None, figure: Figure) -> str:
    """Returns the median of a figure over the reference's."""
    ours = reference.median(figure.name) if reference else None
    theirs = runs.median(figure.name)
    if not ours or theirs is None:
        return ""
    return f"{theirs / ours:.2f}" if theirs < 10 * ours else f"{theirs / ours:.0f}"


def _best(runs: WorkloadRuns, figure: Figure) -> float | None:
    medians = [m for m in (one.median(figure.name) for one in runs.contestants) if m is not None]
    if not medians:
        return None
    return max(medians) if figure.more_is_better else min(medians)


def workload_table(runs: WorkloadRuns) -> str:
    """Returns the table of a workload: the best median of each column is bold."""
    figures = [f for f in runs.workload.figures
               if any(f.name in one.figures for one in runs.contestants)]
    if not figures:
        figures = list(runs.workload.figures[:1])
    reference = next((one for one in runs.contestants if one.name == REFERENCE), None)
    best = {figure.name: _best(runs, figure) for figure in figures}
    main = figures[0]
    heads = ["", f"{main.title}, {main.unit}", f"/ {REFERENCE}",
             *(f"{figure.title}, {figure.unit}" for figure in figures[1:])]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    for one in runs.contestants:
        name = f"**{one.name}**" if one.peer == "bibop" and one.name == REFERENCE else one.name
        if one.left_out:
            cells = [name, one.left_out.replace("|", "\\|"), *[""] * (len(heads) - 2)]
        else:
            cells = [name]
            for figure in figures:
                text = _cell(one, figure)
                if text and one.median(figure.name) == best[figure.name]:
                    median, _, rest = text.partition(" ")
                    text = f"**{median}**" + (f" {rest}" if rest else "")
                cells.append(text)
                if figure is main:
                    cells.append(_ratio(one, reference, main))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _overview(comparison: Comparison) -> str:
    """Returns a table of all workloads: Bibop beside the best of the others."""
    lines = ["| | figure | bibop | best other | | bibop / it |", "|---|---|---:|---:|---|---:|"]
    for runs in comparison.workloads:
        for figure in runs.workload.figures:
            if not figure.plotted:
                continue
            ours = next((one.median(figure.name) for one in runs.contestants
                         if one.name == REFERENCE), None)
            others = [(one.median(figure.name), one.name) for one in runs.contestants
                      if one.peer not in ("bibop", FLOOR) and one.median(figure.name) is not None]
            if ours is None or not others:
                continue
            best, name = (max if figure.more_is_better else min)(others)
            ratio = ours / best if best else float("nan")
            lines.append(f"| {runs.workload.title} | {figure.title}, {figure.unit}"
                         f"{' (more is better)' if figure.more_is_better else ''} | "
                         f"{number(ours)} | {number(best)} | {name} | {ratio:.2f} |")
    return "\n".join(lines) + "\n"


def _settings(comparison: Comparison) -> str:
    lines = ["| peer | version | |", "|---|---|---|"]
    for key, version in comparison.peers.items():
        peer = PEERS.get(key)
        title = peer.title if peer else key
        lines.append(f"| {title} | {version} | {peer.note if peer else ''} |")
    lines += ["", "Settings besides the defaults, and what is measured otherwise:", "",
              "| contestant | settings | in |", "|---|---|---|"]
    used: dict[tuple[str, str], list[str]] = {}
    for runs in comparison.workloads:
        for one in runs.contestants:
            if one.settings:
                used.setdefault((one.name, one.settings), []).append(runs.workload.title)
    for (name, settings), titles in used.items():
        lines.append(f"| {name} | `{settings}` | {'; '.join(titles)} |")
    return "\n".join(lines) + "\n"


def report(comparison: Comparison, plots: str) -> str:
    """Returns the whole report; its plots are in the folder `plots`, as seen from it."""
    parts = ["### The machine\n", "| | |\n|---|---|"]
    parts[-1] += "".join(f"\n| {name} | {fact} |" for name, fact in comparison.machine.items())
    parts += ["\n\n### In short\n\nMedians; of the others the best one, whichever it is.\n\n",
              _overview(comparison)]
    for runs in comparison.workloads:
        workload = runs.workload
        units = next((one.units for one in runs.contestants if one.units is not None), None)
        done = f" Everybody did {units:,} {workload.unit}." if units is not None else ""
        parts.append(f"\n### {workload.title}\n\n{workload.what}{done}\n\n")
        parts.append(workload_table(runs))
        for figure in workload.figures:
            if figure.plotted and any(figure.name in one.figures for one in runs.contestants):
                parts.append(f"\n![{workload.title}: {figure.title}]"
                             f"({plots}/{plot_name(workload, figure)})\n")
    parts += ["\n### Peers and settings\n\n", _settings(comparison)]
    return "".join(parts)
