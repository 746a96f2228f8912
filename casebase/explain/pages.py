"""What all pages have in common: templates, the policy that lets nothing in, and the frame for a notebook."""

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
from casebase.reading import percent

TEMPLATES = Path(__file__).parent / "templates"
_FRAME_HEIGHT = 900


@cache
def environment(shown: Callable[[object], object] | None = None) -> Environment:
    """The templates, compiled once: everything is escaped, a name that is not there is an error.

    ``shown`` sees each value before it is escaped; by default it keeps numbers and their per cent signs together.
    """
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=unbroken if shown is None else shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["percent"] = percent
    found.filters["hundredths"] = _hundredths
    return found


def framed(page: str, title: str) -> str:
    """A page in a frame of its own, for a notebook cell: neither can touch the other."""
    return (
        f'<iframe title="{escape(title, quote=True)}" srcdoc="{escape(page, quote=True)}" sandbox="allow-modals" '
        f'width="100%" height="{_FRAME_HEIGHT}" frameborder="0" loading="lazy"></iframe>'
    )


def written(page: str, target: Path, what: str) -> Path:
    """Write a page to ``target``, whose folder must exist, and return it; all or nothing.

    Raises ``StorageFailed`` where the file cannot be written; what was there before stays as it was.
    """
    aside = target.with_name(f".{target.name[:80]}.{secrets.token_hex(4)}.part")
    try:
        try:
            with aside.open("xb") as file:
                file.write(page.encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StorageFailed(f"the {what} could not be written to {target} ({reason}); name another file") from None
    return target


def policy(style: str, script: str) -> str:
    """The content security policy of a page with exactly this style and script."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_source_hash(style)}'; script-src '{_source_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _source_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def own(name: str) -> str:
    """One of our own templates, style sheets or scripts, as it is."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def inert(json_text: str) -> str:
    """JSON that cannot end the element it stands in, nor open another."""
    return json_text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def trusted(text: str) -> Markup:
    """The only way round escaping: our own style and script, and JSON without a ``<``."""
    return Markup(text)  # noqa: S704  # every caller hands over what casebase made


def unbroken(value: object) -> object:
    """Text in which no line break can part a number from its per cent sign."""
    return value.replace(" %", "\u00a0%") if type(value) is str else value


def _hundredths(value: float) -> str:
    """A share in [0, 1] as an SVG length of 0 to 100."""
    return f"{100 * min(1.0, max(0.0, value)):.2f}"
