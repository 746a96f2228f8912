"""A deletion curve as SVG: what is left of a class's probability while more of the picture is hidden."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from casebase.explain import map_words
from casebase.explanations import Deletion
from casebase.reading import printable

WIDTH, HEIGHT = 320, 150
LEFT, RIGHT, TOP, BOTTOM = 34, 244, 22, 120
APART = 13
"""Labels at the ends of two curves keep this distance, in units of the drawing."""
CLEAR = 4
"""And this much from the axis, below which its own labels stand."""
CEILINGS = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Where the axis may end; it begins at 0."""


def curve_svg(check: Deletion) -> Markup:
    """The curve, its random band, and numbers enough to read it; empty where only one share was tried."""
    if len(check.shares) < 2:
        return Markup("")
    values = (*check.marked_curve, *check.random_high)
    ceiling = next((one for one in CEILINGS if one >= max(values)), CEILINGS[-1])
    widest = check.shares[-1]

    def x(share: float) -> float:
        return LEFT + (RIGHT - LEFT) * share / widest

    def y(value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * min(1.0, max(0.0, value / ceiling))

    def line(shares: Sequence[float], values: Sequence[float]) -> str:
        return " ".join(f"{x(share):.1f},{y(value):.1f}" for share, value in zip(shares, values, strict=True))

    band = f"{line(check.shares, check.random_high)} {line(check.shares[::-1], check.random_low[::-1])}"
    dots = "".join(
        f'<circle class="marked" cx="{x(share):.1f}" cy="{y(value):.1f}" r="3"/>'
        for share, value in zip(check.shares, check.marked_curve, strict=True)
    )
    ends = _apart(y(check.marked_curve[-1]), y(check.random_curve[-1]))
    ticks = "".join(
        f'<text class="tick-x" x="{x(share):.1f}" y="{BOTTOM + 14}">{f"{100 * share:.0f}"}</text>'
        for share in check.shares
    )
    levels = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        f'<text class="tick-y" x="{LEFT - 6}" y="{y(value) + 4:.1f}">{f"{value:.3g}"}</text>'
        for value in (0.0, ceiling / 2, ceiling)
    )
    alt = escape(map_words.curve_alt(check))
    # Every value in it is a number of ours or escaped.
    return Markup(  # noqa: S704
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{alt}">'
        f'<text class="axis" x="0" y="11">P({escape(_short(printable(check.target)))}) left</text>{levels}{ticks}'
        f'<text class="axis end" x="{RIGHT + 8}" y="{BOTTOM + 14}">% hidden</text>'
        f'<polygon class="band" points="{band}"/>'
        f'<polyline class="random" points="{line(check.shares, check.random_curve)}"/>'
        f'<polyline class="marked" points="{line(check.shares, check.marked_curve)}"/>{dots}'
        f'<text class="name marked" x="{RIGHT + 8}" y="{ends[0] + 4:.1f}">this map</text>'
        f'<text class="name" x="{RIGHT + 8}" y="{ends[1] + 4:.1f}">at random</text></svg>'
    )


def _apart(one: float, other: float) -> tuple[float, float]:
    """Two heights, moved apart where labels there would touch, neither below the axis."""
    gap = APART - abs(one - other)
    if gap <= 0:
        return one, other
    up, down = min(one, other) - gap / 2, max(one, other) + gap / 2
    over = max(0.0, down - BOTTOM + CLEAR)
    up, down = up - over, down - over
    return (up, down) if one <= other else (down, up)


def _short(name: str, most: int = 28) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
