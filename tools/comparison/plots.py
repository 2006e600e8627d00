"""Plots, drawn as SVG: a bar for each contestant's median, a whisker from the least to the
most."""

from __future__ import annotations

import html
import math

from comparison.model import FLOOR, Figure, Runs, Workload, WorkloadRuns

# A card of its own colour: to be read on any background.
_CARD, _FRAME = "#ffffff", "#c8ccd2"
_TEXT, _FAINT, _GRID = "#1f2328", "#59636e", "#e3e6ea"
_THEIRS, _WHISKER = "#8aa4c8", "#1f2328"
_COLOURS = {"bibop": "#1a7f6b", FLOOR: "#d0d4da"}
_FONT = "font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\""

_WIDTH, _LABELS, _VALUES, _MARGIN = 760, 190, 76, 16
_HEAD, _ROW, _BAR, _FOOT = 56, 22, 13, 34


def plot_name(workload: Workload, figure: Figure) -> str:
    """Returns the name of a plot's file."""
    return f"{workload.name}_{figure.name}.svg"


def _short(value: float) -> str:
    """Returns a value as its label shows it."""
    if value >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def ticks(low: float, high: float, logarithmic: bool) -> list[float]:
    """Returns the values at which an axis from `low` to `high` has lines."""
    if logarithmic:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        decades = [10.0 ** e for e in range(first, last + 1)]
        steps = [d * f for d in decades for f in (1, 2, 5)] if high / low <= 200 else decades
        return [tick for tick in steps if low <= tick <= high * 1.0001]
    step = 10 ** math.floor(math.log10(high / 4)) if high > 0 else 1
    step *= next(f for f in (1, 2, 2.5, 5, 10) if high / (step * f) <= 6)
    return [i * step for i in range(int(high / step + 1e-9) + 1)]


class _Axis:
    """Where on a plot a value is."""

    def __init__(self, figure: Figure, shown: list[Runs]) -> None:
        values = [v for one in shown for v in one.figures[figure.name]]
        high = max(values)
        positive = [v for v in values if v > 0]
        self.logarithmic = figure.logarithmic and bool(positive)
        self.low = min(positive) / 2 if self.logarithmic else 0.0
        self.high = high if high > self.low else self.low + 1
        self._left = _MARGIN + _LABELS
        self._width = _WIDTH - self._left - _VALUES - _MARGIN

    def x(self, value: float) -> float:
        """Returns the x of a value."""
        if self.logarithmic:
            value = max(value, self.low)
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = value / self.high
        return self._left + part * self._width


def _text(x: float, y: float, text: str, size: int, colour: str, anchor: str = "start",
          weight: str = "normal") -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" '
            f'text-anchor="{anchor}" font-weight="{weight}">{html.escape(text)}</text>')


def _bar(one: Runs, figure: Figure, axis: _Axis, top: float) -> list[str]:
    values = one.figures[figure.name]
    median = one.median(figure.name)
    middle = top + _ROW / 2
    colour = _COLOURS.get(one.peer, _THEIRS)
    start, end = axis.x(axis.low), axis.x(median)
    low, high = axis.x(min(values)), axis.x(max(values))
    parts = [
        _text(_MARGIN + _LABELS - 8, middle + 4, one.name, 12, _TEXT, "end",
              "bold" if one.name == "bibop" else "normal"),
        f'<rect x="{start:.1f}" y="{middle - _BAR / 2:.1f}" width="{max(end - start, 1):.1f}" '
        f'height="{_BAR}" rx="2" fill="{colour}"/>',
    ]
    if high - low > 0.5:
        parts.append(f'<path d="M{low:.1f} {middle:.1f}H{high:.1f}M{low:.1f} {middle - 3:.1f}v6'
                     f'M{high:.1f} {middle - 3:.1f}v6" stroke="{_WHISKER}" fill="none"/>')
    parts.append(_text(max(end, high) + 6, middle + 4, _short(median), 12, _TEXT))
    return parts


def plot(runs: WorkloadRuns, figure: Figure) -> str:
    """Returns a plot of a figure of those contestants that have it, as SVG.

    REQUIRES: there is one."""
    shown = [one for one in runs.contestants if one.figures.get(figure.name)]
    shown.sort(key=lambda one: one.median(figure.name), reverse=figure.more_is_better)
    axis = _Axis(figure, shown)
    height = _HEAD + _ROW * len(shown) + _FOOT
    title = f"{runs.workload.title}: {figure.title}, {figure.unit}"
    hint = ("more is better" if figure.more_is_better else "less is better")
    if axis.logarithmic:
        hint += "; logarithmic"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img" {_FONT}>',
        f"<title>{html.escape(title)}</title>",
        f'<rect x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="8" '
        f'fill="{_CARD}" stroke="{_FRAME}"/>',
        _text(_MARGIN, 26, title, 15, _TEXT, weight="bold"),
        _text(_MARGIN, 44, f"{hint}; medians, and the least to the most of all runs", 12, _FAINT),
    ]
    bottom = _HEAD + _ROW * len(shown)
    for tick in ticks(axis.low, axis.high, axis.logarithmic):
        x = axis.x(tick)
        parts.append(f'<path d="M{x:.1f} {_HEAD}V{bottom}" stroke="{_GRID}"/>')
        parts.append(_text(x, bottom + 18, _short(tick), 11, _FAINT, "middle"))
    for row, one in enumerate(shown):
        parts += _bar(one, figure, axis, _HEAD + row * _ROW)
    parts.append("</svg>\n")
    return "\n".join(parts)
