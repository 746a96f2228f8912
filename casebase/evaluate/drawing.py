"""Figures of an evaluation: one quiet style, as SVG that follows a light or dark page, and as PNG on paper.

Every colour is a token of ``casebase/explain/templates/report.css``. In the SVG a token's dark value is put in its
place by a style sheet inside the picture, so the same file looks right as ``<img>`` in a light and in a dark page and
needs nothing of the page's content security policy. So draw with the tokens below only; a lighter shade of a token is
the token with an alpha (:func:`shade`), which mixes with whatever ground there is.

Text stays text, in the page's own typeface. No figure uses pyplot; one lock guards matplotlib's process-wide settings,
which are put back afterwards.
"""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from casebase.evaluations import Plot
from casebase.reading import printable

PAPER, RAISED, INK, QUIET, RULE, TRACK = "#fdfcfa", "#f4f2ee", "#1b1d20", "#5b6067", "#dcd8d1", "#e6e2db"
PREDICTED, RIVAL, WARNING = "#1b5e9b", "#c26a00", "#a3123f"
DARK = {
    PAPER: "#141619", RAISED: "#1d2024", INK: "#e8e6e2", QUIET: "#a4a8ae", RULE: "#34383e", TRACK: "#2b2f35",
    PREDICTED: "#74b5ee", RIVAL: "#efa23e", WARNING: "#ff7d9d",
}  # fmt: skip
"""What each token becomes in the dark."""
SERIES = (PREDICTED, RIVAL, INK, WARNING, QUIET)
"""Colours of several lines in one figure, in this order; give each its own marker and dash (``MARKERS``, ``DASHES``):
nothing is told by colour alone."""
MARKERS = ("o", "D", "s", "^", "v")
DASHES = ("solid", "dashed", "dotted", "dashdot", (0, (6, 2, 1, 2, 1, 2)))
DEEPEST = 0.45
"""The strongest shade on which ink can still be read, in the light and in the dark."""
DPI = 200

Size = tuple[float, float]

_TYPEFACE = "-apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
_LOCK = threading.Lock()
_STYLE: dict[str, Any] = {
    "figure.facecolor": PAPER, "figure.constrained_layout.use": True, "figure.constrained_layout.h_pad": 0.1,
    "figure.constrained_layout.w_pad": 0.1, "savefig.facecolor": PAPER, "axes.facecolor": "none",
    "font.family": "DejaVu Sans", "font.size": 12.0, "text.color": INK, "text.parse_math": False,
    "axes.titlesize": 12.0, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.titlecolor": INK,
    "axes.titlepad": 14.0, "axes.labelcolor": QUIET, "axes.labelsize": 12.0, "axes.labelpad": 8.0,
    "axes.edgecolor": RULE, "axes.linewidth": 1.0, "axes.spines.top": False, "axes.spines.right": False,
    "axes.axisbelow": True, "axes.xmargin": 0.02, "grid.color": RULE, "grid.linewidth": 0.8,
    "xtick.color": RULE, "ytick.color": RULE, "xtick.labelcolor": QUIET, "ytick.labelcolor": QUIET,
    "xtick.labelsize": 12.0, "ytick.labelsize": 12.0, "xtick.major.size": 4.0, "ytick.major.size": 0.0,
    "lines.linewidth": 2.0, "lines.markersize": 6.0, "patch.edgecolor": "none", "patch.linewidth": 0.0,
    "legend.frameon": False, "legend.fontsize": 12.0, "legend.labelcolor": INK, "hatch.color": PAPER,
    "svg.fonttype": "none", "image.composite_image": False,
}  # fmt: skip


def plot(key: str, title: str, alt: str, draw: Callable[[Axes], None], *, size: Size = (6.0, 4.0)) -> Plot:
    """A figure with one pair of axes. ``size`` is in inches; 6 inches is a column of the page, and shrinks on a phone.

    ``title`` is set by the page above the figure, not drawn into it. The same ``draw`` gives the same bytes.
    """
    return _drawn(key, title, alt, lambda figure: draw(figure.add_subplot()), size)


def panels(key: str, title: str, alt: str, draw: Callable[[Sequence[Axes]], None], *, size: Size = (9.0, 4.0)) -> Plot:
    """A figure with two pairs of axes side by side, for what must be seen together; ``draw`` is given both."""
    return _drawn(key, title, alt, lambda figure: draw(list(figure.subplots(1, 2))), size)


def whole(key: str, title: str, alt: str, draw: Callable[[Figure], None], *, size: Size) -> Plot:
    """A figure that lays out its own axes, such as many pictures in rows and columns; ``draw`` is given the figure."""
    return _drawn(key, title, alt, draw, size)


def shade(token: str, depth: float) -> tuple[float, float, float, float]:
    """A token at ``depth`` in [0, 1] of the strongest shade that text can stand on."""
    red, green, blue, _ = to_rgba(token)
    return red, green, blue, DEEPEST * min(1.0, max(0.0, depth))


def name_axes(axes: Axes, *, across: str, up: str) -> None:
    """Names under the horizontal axis and, lying, above the vertical one: no head has to be tilted."""
    axes.set_xlabel(printable(across))
    axes.set_title(printable(up), fontweight="normal", color=QUIET)


def in_percent(axis: Axis) -> None:
    """Tick labels of shares in [0, 1] as whole per cent."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))


def shortened(name: str, width: int = 16) -> str:
    """A class name that is safe to draw and at most ``width`` characters long."""
    shown = printable(name)
    return shown if len(shown) <= width else f"{shown[: width - 1]}…"


def _drawn(key: str, title: str, alt: str, draw: Callable[[Figure], None], size: Size) -> Plot:
    with _LOCK, style.context(["default", {**_STYLE, "svg.hashsalt": f"casebase {key}"}]), warnings.catch_warnings():
        # A name in a script that the bundled font lacks: the SVG has it as text, the PNG shows boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=size)
        draw(figure)
        picture, drawing = io.BytesIO(), io.StringIO()
        figure.savefig(picture, format="png", dpi=DPI, metadata={"Software": None})
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(drawing, format="svg", metadata=nothing)
    return Plot(key, title, alt, _for_both_grounds(drawing.getvalue(), title, alt), picture.getvalue())


def _for_both_grounds(svg: str, title: str, alt: str) -> str:
    """Matplotlib's SVG as one element that is described, follows the page's ground, and has no inline style.

    ``style="fill: …"`` becomes the attribute ``fill="…"``: a policy cannot forbid it, and a rule can override it.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<style[^>]*>.*?</style>", "", body, flags=re.DOTALL)  # for all elements; the root passes it on
    body = re.sub(r'\sstyle="([^"]*)"', lambda found: _attributes(found[1]), body)
    rules = "".join(f"[fill='{a}']{{fill:{b}}}[stroke='{a}']{{stroke:{b}}}" for a, b in DARK.items())
    sheet = f"<style>@media screen and (prefers-color-scheme: dark){{{rules}}}</style>"
    said = f"<title>{escape(printable(title))}</title><desc>{escape(printable(alt))}</desc>"
    root, rest = body.split(">", 1)
    return f'{root} role="img" stroke-linejoin="round" stroke-linecap="butt">{said}{sheet}{rest.strip()}\n'


def _attributes(declarations: str) -> str:
    found = []
    for declaration in declarations.split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name:
            found.append(f' {name}="{_TYPEFACE if name == "font-family" else value}"')
    return "".join(found)
