"""What all pages have in common: templates, the policy that lets nothing in, and the frame for a notebook."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from html import escape
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
_FRAME_HEIGHT = 900


def environment(shown: Callable[[object], object] | None = None) -> Environment:
    """Templates in which everything is escaped and nothing may be missing; ``shown`` sees each value before that."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=unbroken if shown is None else shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def framed(page: str, title: str) -> str:
    """A page in a frame of its own, for a notebook cell: neither can touch the other."""
    return (
        f'<iframe title="{escape(title, quote=True)}" srcdoc="{escape(page, quote=True)}" sandbox="allow-modals" '
        f'width="100%" height="{_FRAME_HEIGHT}" frameborder="0" loading="lazy"></iframe>'
    )


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
