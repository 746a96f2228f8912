"""The report as one HTML page that loads nothing: styles, pictures and numbers are inside it."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from collections.abc import Callable
from functools import cache
from html import escape
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from casebase.errors import StorageFailed
from casebase.explain.encoding import Encoded, shown
from casebase.explain.render_json import dumps
from casebase.explanations import Pixels, Report
from casebase.reading import percent

TEMPLATES = Path(__file__).parent / "templates"
LIMIT = 5_000_000
"""A page above this many bytes is made again with smaller pictures."""
_STEPS = ((512, 85), (256, 80), (160, 70))  # longest side in pixels, JPEG quality
_FRAME_HEIGHT = 900


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
        data = self.page(report).encode("utf-8")
        aside = target.with_name(f".{target.name[:80]}.{secrets.token_hex(4)}.part")
        try:
            try:
                with aside.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                aside.replace(target)
            finally:
                aside.unlink(missing_ok=True)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise StorageFailed(f"the report could not be written to {target} ({reason}); name another file") from None
        return target

    def inline(self, report: Report) -> str:
        """The page in a frame of its own, for a notebook cell: neither can touch the other."""
        page, title = escape(self.page(report), quote=True), escape(report.title, quote=True)
        return (
            f'<iframe title="{title}" srcdoc="{page}" sandbox="allow-modals" width="100%" height="{_FRAME_HEIGHT}" '
            'frameborder="0" loading="lazy"></iframe>'
        )

    def _page(self, report: Report, encoded: Callable[[Pixels, int], str]) -> str:
        style, script = (own(name) for name in ("report.css", "report.js"))
        data = dumps(report.explanation.to_dict(), indent=None)
        return (
            environment()
            .get_template("report.html.j2")
            .render(
                report=report,
                encoded=encoded,
                style=trusted(style),
                script=trusted(script),
                data=trusted(inert(data)),
                policy=policy(style, script),
            )
        )


@cache
def environment() -> Environment:
    """The templates, compiled once: every name is escaped, a name that is not there is an error."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_unbroken,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["percent"] = percent
    found.filters["hundredths"] = _hundredths
    return found


def policy(style: str, script: str) -> str:
    """The content security policy of a page with exactly this style and script."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_source_hash(style)}'; script-src '{_source_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _source_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def own(name: str) -> str:
    """A style or script of ours."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def inert(json_text: str) -> str:
    """JSON that cannot end the element it stands in, nor open another."""
    return json_text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def trusted(text: str) -> Markup:
    """The only way round escaping: our own style and script, and JSON without a ``<``."""
    return Markup(text)  # noqa: S704  # every caller stands in this file


def _unbroken(value: object) -> object:
    """Text in which no line break can part a number from its per cent sign."""
    return value.replace(" %", "\u00a0%") if type(value) is str else value


def _hundredths(value: float) -> str:
    """A share in [0, 1] as an SVG length of 0 to 100."""
    return f"{100 * min(1.0, max(0.0, value)):.2f}"
