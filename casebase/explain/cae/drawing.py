"""Curve and map as SVG that needs neither script nor style of its own. Every value in it is a number or escaped."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup, escape

from casebase.association_pages import Curve, MapSection, Spot

WIDTH, HEIGHT = 560, 262
LEFT, RIGHT, TOP, BOTTOM = 44, 538, 48, 212
MAP_WIDTH, EDGE = 640, 14
_Point = tuple[float, float]


def curve_svg(curve: Curve) -> Markup:
    """The probabilities of both classes along the way, the flip marked by a line."""

    def x(at: float) -> float:
        return LEFT + (RIGHT - LEFT) * at

    def y(value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * min(1.0, max(0.0, value))

    def line(values: Sequence[float], name: str) -> str:
        points = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in zip(curve.at, values, strict=True))
        return f'<polyline class="{name}" points="{points}"/>'

    levels = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y(one):.1f}" y2="{y(one):.1f}"/>'
        f'<text class="tick-y" x="{LEFT - 7}" y="{y(one) + 4:.1f}">{one:g}</text>'
        for one in (0.0, 0.5, 1.0)
    )
    ticks = "".join(
        f'<text class="tick-x" x="{x(one):.1f}" y="{BOTTOM + 20}">{100 * one:.0f}</text>'
        for one in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    rivals = "".join(
        f'<circle class="rival" cx="{x(at):.1f}" cy="{y(value):.1f}" r="2.6"/>'
        for at, value in zip(curve.at, curve.of_rival, strict=True)
    )
    return Markup(  # noqa: S704
        f'<svg class="walk-curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(curve.alt)}">'
        f'{levels}{ticks}{_flip(curve, x)}'
        f'{line(curve.of_predicted, "predicted")}{line(curve.of_rival, "rival")}{rivals}'
        f'<text class="name" x="0" y="12">{_key(curve)}</text>'
        f'<text class="tick-x" x="{(LEFT + RIGHT) / 2}" y="{BOTTOM + 43}">% of the way</text></svg>'
    )  # fmt: skip


def _key(curve: Curve) -> Markup:
    """The two lines by their names: dots mark the rival's, dashes the answer's, so that colour is not needed."""
    return Markup(  # noqa: S704
        f'<tspan class="rival">●─● P({escape(short(curve.rival))})</tspan>'
        f'<tspan class="predicted" dx="18">- - P({escape(short(curve.predicted))})</tspan>'
    )


def _flip(curve: Curve, x: Callable[[float], float]) -> str:
    if curve.flip is None:
        return ""
    at = x(curve.flip)
    left = curve.flip > 0.5
    return (
        f'<line class="flip" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 4}" y2="{BOTTOM}"/>'
        f'<text class="flip" x="{at + (-2 if left else 2):.1f}" y="{TOP - 7}" '
        f'text-anchor="{"end" if left else "start"}">flip at {100 * curve.flip:.0f} %</text>'
    )


def map_svg(found: MapSection) -> Markup:
    """The map: a dot for each case, a cross where the network errs, the walk as a line from a ring to a diamond."""
    high = round((MAP_WIDTH - 2 * EDGE) * found.aspect) + 2 * EDGE

    def at(point: _Point) -> _Point:
        return EDGE + (MAP_WIDTH - 2 * EDGE) * point[0], EDGE + (high - 2 * EDGE) * point[1]

    layers = "".join(_spot(one, at) for one in found.spots)
    walk = ""
    if found.path:
        points = [at(one) for one in found.path]
        walk += f'<polyline class="way" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'
        x, y = points[-1]
        walk += f'<path class="end" d="M{x:.1f} {y - 8:.1f}l8 8-8 8-8-8z"/>'
    if found.query is not None:
        x, y = at(found.query)
        walk += f'<circle class="asked" cx="{x:.1f}" cy="{y:.1f}" r="8"/>'
    return Markup(  # noqa: S704
        f'<svg class="manifold" viewBox="0 0 {MAP_WIDTH} {high}" role="img" aria-label="{escape(found.alt)}">'
        f'<rect class="ground" x="0" y="0" width="{MAP_WIDTH}" height="{high}"/>{layers}{walk}</svg>'
    )


def _spot(one: Spot, at: Callable[[_Point], _Point]) -> str:
    """All points of a class in two paths: dots are lines of no length with round ends."""
    dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in map(at, one.points))
    crosses = "".join(f"M{x - 4:.1f} {y - 4:.1f}l8 8m0-8l-8 8" for x, y in map(at, one.wrong))
    drawn = f'<path class="dots {one.kind}" d="{dots}"/>' if dots else ""
    return drawn + (f'<path class="crosses {one.kind}" d="{crosses}"/>' if crosses else "")


def short(name: str, most: int = 24) -> str:
    """A name that fits beside a drawing."""
    return name if len(name) <= most else f"{name[: most - 1]}…"
