"""Prototypes, and what they say of one image, each as one HTML page that loads nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from casebase.explain.encoding import MAP_SIDE, PICTURE_SIDE, QUERY_SIDE, Encoded, of_parts
from casebase.explain.pages import environment, framed, inert, own, policy, trusted, written
from casebase.explain.prototypes import part_words
from casebase.explain.render_json import dumps
from casebase.explanations import Figure, Pixels, Statement
from casebase.prototype_pages import PartsPage, PrototypesPage
from casebase.reading import printable

LIMIT = 20_000_000
"""A page of more bytes is made again with smaller pictures: a set may have thousands of prototypes."""
_HEAD = ("base", "network", "date")
_STEPS = ((288, 85), (160, 75), (96, 70))  # longest side in pixels, JPEG quality


class PrototypePages:
    """Writes pages of prototypes: the port ``PrototypeWriter``."""

    def page(self, page: PrototypesPage | PartsPage) -> str:
        """The page as text; its pictures shrink where there are many."""
        text = ""
        for side, quality in _STEPS:
            encoded = Encoded(side if isinstance(page, PrototypesPage) else QUERY_SIDE, quality)
            encoded.prepare(_pictures(page))
            text = _page(page, encoded)
            if len(text) <= LIMIT:
                break
        return text

    def write(self, page: PrototypesPage | PartsPage, target: Path) -> Path:
        """Write the page to ``target``, whose folder must exist, and return it; all or nothing."""
        return written(self.page(page), target, "page of prototypes")

    def inline(self, page: PrototypesPage | PartsPage) -> str:
        """The page in a frame of its own, for a notebook cell."""
        return framed(self.page(page), _title(page))


def _page(page: PrototypesPage | PartsPage, encoded: Encoded) -> str:
    style, script = own("report.css") + own("parts.css"), own("report.js")
    said, reading = None, [Statement(one) for one in part_words.READING]
    if isinstance(page, PartsPage):
        said = {"name": printable(page.path), "predicted": printable(page.prediction.predicted)}
    else:
        reading = list(page.reading)
    return (
        environment()
        .get_template("prototypes.html.j2")
        .render(
            page=page,
            image=said,
            title=_title(page),
            synthetic=None if page.synthetic is None else printable(page.synthetic),
            reading=reading,
            meta=[(name, printable(page.facts[name])) for name in _HEAD if page.facts.get(name)],
            provenance=[(printable(name), printable(value)) for name, value in _provenance(page)],
            encoded=encoded,
            style=trusted(style),
            script=trusted(script),
            data=trusted(inert(dumps(page.to_dict(), indent=None))),
            policy=policy(style, script),
        )
    )


def _title(page: PrototypesPage | PartsPage) -> str:
    return f"{printable(page.path)}: this looks like that" if isinstance(page, PartsPage) else page.title


def _pictures(page: PrototypesPage | PartsPage) -> Iterable[tuple[Pixels, int]]:
    figures: list[tuple[Figure | None, int]] = []
    if isinstance(page, PartsPage):
        figures += [(page.whole, QUERY_SIDE), *of_parts(page.section)]
    else:
        for card in (card for one in page.classes for card in one.cards):
            figures += [(card.picture, PICTURE_SIDE), (card.patch, MAP_SIDE)]
    return [(one.pixels, side) for one, side in figures if one is not None and one.pixels is not None]


def _provenance(page: PrototypesPage | PartsPage) -> list[tuple[str, str]]:
    told = list(page.facts.items())
    if isinstance(page, PartsPage):
        return [("Picture, SHA-256", page.sha256), *told, ("Seconds", f"{page.seconds:.2f}")]
    found = page.found
    own_facts = [
        ("Profile", found.profile), ("Fingerprint of the network", found.classifier),
        ("SHA-256 of the numbers", found.digest),
        ("Layer", found.layer), ("Cells", f"{found.grid[0]} x {found.grid[1]}"), ("Fitted to", found.target),
        ("Made", found.created),
    ]  # fmt: skip
    return [*own_facts, *((f"Setting {name}", str(value)) for name, value in found.settings.items()), *told]
