"""Foretold against happened as an SVG: three squares, a diagonal, one numbered dot per run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, isnan, log10
from xml.sax.saxutils import escape

from app.foresight import Trial

SIDE = 220
"""Of a square, pixels."""
GAP = 70
TOP = 34
LEGEND_LINE = 18
BLUE, GREY, INK = "#2b6cb0", "#b8bec6", "#24292f"


@dataclass(frozen=True, slots=True)
class Panel:
    """One quantity: (foretold, happened) per run; NaN where there is none."""

    title: str
    points: tuple[tuple[float, float], ...]
    is_share: bool


def draw_foresight(trials: Sequence[Trial]) -> str:
    """The figure as SVG text. A dot on the diagonal was foretold rightly."""
    panels = _panels(trials)
    width = len(panels) * (SIDE + GAP) + 20
    legend_top = TOP + SIDE + 58
    height = legend_top + LEGEND_LINE * len(trials)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="12" fill="{INK}">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *(
            _draw_panel(panel, GAP - 10 + index * (SIDE + GAP))
            for index, panel in enumerate(panels)
        ),
        *(
            _text(GAP - 10, legend_top + LEGEND_LINE * index, f"{index + 1}  {_legend(trial)}")
            for index, trial in enumerate(trials)
        ),
        "</svg>\n",
    ]
    return "\n".join(parts)


def axis_limits(values: Sequence[float]) -> tuple[float, float]:
    """Round numbers around values >= 0; (0, 1) without any. Equal values get room on both sides."""
    known = [value for value in values if not isnan(value)]
    if not known or max(known) == 0:
        return 0.0, 1.0
    low, high = min(known), max(known)
    unit = 10 ** floor(log10(max(high - low, high / 10)))
    room = unit if high == low else 0.0
    return max(0.0, floor(low / unit) * unit - room), ceil(high / unit) * unit + room


def _panels(trials: Sequence[Trial]) -> list[Panel]:
    pairs = [(one.foresight.foretold, one.foresight.happened) for one in trials]
    return [
        Panel("labels kept", tuple((a.kept, b.kept) for a, b in pairs), is_share=False),
        Panel("precision", tuple((a.precision, b.precision) for a, b in pairs), is_share=True),
        Panel("recall", tuple((a.recall, b.recall) for a, b in pairs), is_share=True),
    ]


def _draw_panel(panel: Panel, left: float) -> str:
    low, high = axis_limits([value for pair in panel.points for value in pair])
    bottom = TOP + SIDE

    def place(value: float) -> float:
        return SIDE * (value - low) / (high - low)

    parts = [
        _text(left + SIDE / 2, TOP - 12, panel.title, anchor="middle", weight="bold"),
        f'<rect x="{left}" y="{TOP}" width="{SIDE}" height="{SIDE}" fill="none" stroke="{GREY}"/>',
        f'<line x1="{left}" y1="{bottom}" x2="{left + SIDE}" y2="{TOP}" stroke="{GREY}"/>',
    ]
    for value in (low, (low + high) / 2, high):
        at, name = place(value), _tick(value, panel.is_share)
        parts.append(_text(left + at, bottom + 16, name, anchor="middle"))
        parts.append(_text(left - 6, bottom - at + 4, name, anchor="end"))
    parts.append(_text(left + SIDE / 2, bottom + 34, "foretold", anchor="middle"))
    parts.append(_text(left + 6, TOP + 16, "happened ↑"))
    for index, (foretold, happened) in enumerate(panel.points):
        if not isnan(foretold) and not isnan(happened):
            x, y = left + place(foretold), bottom - place(happened)
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{BLUE}"/>')
            parts.append(_text(x + 6, y - 5, str(index + 1)))
    return "\n".join(parts)


def _legend(trial: Trial) -> str:
    score = "" if isnan(trial.ap) else f", AP {trial.ap:.1f}"
    return f"{trial.thresholds} ({trial.name}{score})"


def _tick(value: float, is_share: bool) -> str:
    return f"{100 * value:.3g} %" if is_share else f"{value:g}"


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{escape(text)}</text>"
    )
