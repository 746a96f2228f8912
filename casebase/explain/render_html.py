"""The report as one HTML page that loads nothing: styles, pictures and numbers are inside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from casebase.explain.cae.drawing import curve_svg as walk_curve
from casebase.explain.encoding import Encoded, shown
from casebase.explain.pages import environment, framed, inert, own, policy, trusted, written
from casebase.explain.render_curve import curve_svg
from casebase.explain.render_json import dumps
from casebase.explanations import Pixels, Report

LIMIT = 5_000_000
"""A page above this many bytes is made again with smaller pictures."""
_STEPS = ((512, 85), (256, 80), (160, 70))  # longest side in pixels, JPEG quality


class HtmlRenderer:
    """Reports as self-contained pages: no script is needed to read one, and none but its own may run in it."""

    def page(self, report: Report) -> str:
        """The page as text; its pictures shrink until it has less than 5 MB, as far as that goes."""
        text = ""
        for side, quality in _STEPS:
            encoded = Encoded(side, quality)
            encoded.prepare(shown(report))
            text = self._page(report, encoded)
            if len(text) <= LIMIT:  # nearly all of it is base64, so characters are bytes
                break
        return text

    def render(self, report: Report, target: Path) -> Path:
        """Write the page to ``target``, whose folder must exist, and return it; all or nothing.

        Raises ``StorageFailed`` where the file cannot be written; what was there before stays as it was.
        """
        return written(self.page(report), target, "report")

    def inline(self, report: Report) -> str:
        """The page in a frame of its own, for a notebook cell: neither can touch the other."""
        return framed(self.page(report), report.title)

    def _page(self, report: Report, encoded: Callable[[Pixels, int], str]) -> str:
        style, script = own("report.css"), own("report.js")
        if report.parts is not None:
            style += own("parts.css")
        if report.walk is not None:
            style += own("walk.css")
        data = dumps(report.explanation.to_dict(), indent=None)
        return (
            environment()
            .get_template("report.html.j2")
            .render(
                report=report,
                encoded=encoded,
                curve=curve_svg,
                walk_curve=walk_curve,
                style=trusted(style),
                script=trusted(script),
                data=trusted(inert(data)),
                policy=policy(style, script),
            )
        )
