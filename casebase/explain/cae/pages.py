"""A walk, and an embedding with its gates, each as one HTML page that loads nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from casebase.association_pages import AssociationPage, WalkPage
from casebase.explain.cae import gallery
from casebase.explain.cae.drawing import curve_svg, map_svg
from casebase.explain.encoding import MAP_SIDE, QUERY_SIDE, Encoded, of_walk
from casebase.explain.pages import environment, framed, inert, own, policy, trusted, written
from casebase.explain.render_json import dumps
from casebase.explanations import Figure, Pixels
from casebase.reading import printable

_HEAD = ("base", "network", "date")
_QUALITY = 85


class AssociationPages:
    """Writes pages of class association: the port ``AssociationWriter``."""

    def page(self, page: AssociationPage | WalkPage) -> str:
        """The page as text."""
        encoded = Encoded(QUERY_SIDE, _QUALITY)
        encoded.prepare(_pictures(page))
        return _page(page, encoded)

    def write(self, page: AssociationPage | WalkPage, target: Path) -> Path:
        """Write the page to ``target``, whose folder must exist, and return it; all or nothing."""
        return written(self.page(page), target, "page of class association")

    def inline(self, page: AssociationPage | WalkPage) -> str:
        """The page in a frame of its own, for a notebook cell."""
        return framed(self.page(page), _title(page))


def _page(page: AssociationPage | WalkPage, encoded: Encoded) -> str:
    style, script = own("report.css") + own("walk.css"), own("report.js")
    said = None
    if isinstance(page, WalkPage):
        said = {"name": printable(page.path), "predicted": printable(page.prediction.predicted)}
    return (
        environment()
        .get_template("cae.html.j2")
        .render(
            page=page,
            image=said,
            title=_title(page),
            synthetic=None if page.synthetic is None else printable(page.synthetic),
            reading=gallery.reading() if isinstance(page, WalkPage) else page.reading,
            meta=[(name, printable(page.facts[name])) for name in _HEAD if page.facts.get(name)],
            provenance=[(printable(name), printable(value)) for name, value in _provenance(page)],
            encoded=encoded,
            walk_curve=curve_svg,
            map_drawn=map_svg,
            style=trusted(style),
            script=trusted(script),
            data=trusted(inert(dumps(page.to_dict(), indent=None))),
            policy=policy(style, script),
        )
    )


def _title(page: AssociationPage | WalkPage) -> str:
    if isinstance(page, WalkPage):
        return f"{printable(page.path)}: walk from {page.section.predicted} to {page.section.rival}"
    return page.title


def _pictures(page: AssociationPage | WalkPage) -> Iterable[tuple[Pixels, int]]:
    if isinstance(page, WalkPage):
        figures: list[tuple[Figure | None, int]] = [(page.whole, QUERY_SIDE), *of_walk(page.section)]
    else:
        figures = [(one, MAP_SIDE) for swap in page.swaps
                   for one in (swap.source, swap.rebuilt, swap.edit, swap.lender)]  # fmt: skip
    return [(one.pixels, side) for one, side in figures if one is not None and one.pixels is not None]


def _provenance(page: AssociationPage | WalkPage) -> list[tuple[str, str]]:
    found = page.found
    told = [
        ("Preset and size", f"{found.preset}, {found.size.side} x {found.size.side}, width {found.size.width}"),
        ("Fingerprint of the network", found.classifier), ("SHA-256 of the numbers", found.digest),
        ("Learnt from", "what the network says" if found.target == "predicted" else "the labels"),
        ("Made", found.created),
        *((f"Setting {name}", str(value)) for name, value in found.settings.items()), *page.facts.items(),
    ]  # fmt: skip
    if isinstance(page, WalkPage):
        return [("Picture, SHA-256", page.sha256), *told, ("Seconds", f"{page.seconds:.2f}")]
    return told
