"""An audit of a data set as one HTML page that loads nothing, with the pictures of copies side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from casebase import reading
from casebase.data_audit import CopyGroup, DataAudit, Pair, Seen
from casebase.errors import ImageError
from casebase.evaluations import told
from casebase.explain.album import in_threads
from casebase.explain.encoding import Encoded
from casebase.explain.pages import environment, framed, inert, own, policy, trusted, unbroken, written
from casebase.explain.render_json import dumps
from casebase.explanations import Figure, frozen
from casebase.reading import printable

GROUPS, MEMBERS = 60, 4
"""Groups of copies with pictures on the page, and pictures of each; every one is in the JSON and in the table."""
SIDE = 224
ROWS = 200
_QUALITY = 80
_STEPS = (SIDE, 144, 96)
LIMIT = 8_000_000
"""A page of more bytes is made again with smaller pictures."""
KINDS: Mapping[str, str] = {
    "bytes": "exact copies", "pixels": "the same pixels in other files", "near": "saved anew or rescaled",
    "crop": "cropped",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Shelf:
    """A group of copies as the page shows it: what it is, how alike its pictures are, and some of them."""

    title: str
    grave: bool
    scores: Sequence[str]
    cards: Sequence[tuple[Figure, Seen]]
    more: int


class DataAuditPages:
    """Writes audits: the port ``DataAuditWriter``. The pictures that are shown are decoded anew."""

    def __init__(self, megapixels: float = reading.DEFAULT_MEGAPIXELS) -> None:
        self._megapixels = megapixels

    def page(self, audit: DataAudit) -> str:
        """The page as text."""
        shelves = self._shelves(audit)
        text = ""
        for side in _STEPS:
            encoded = Encoded(side, _QUALITY)
            figures = [figure for shelf in shelves for figure, _ in shelf.cards]
            encoded.prepare((figure.pixels, SIDE) for figure in figures if figure.pixels is not None)
            text = _page(audit, shelves, encoded)
            if len(text) <= LIMIT:
                break
        return text

    def save(self, audit: DataAudit, target: Path) -> Path:
        """Write the page to ``target``, whose folder must exist, and return it; all or nothing."""
        return written(self.page(audit), target, "audit")

    def inline(self, audit: DataAudit) -> str:
        """The page in a frame of its own, for a notebook cell."""
        return framed(self.page(audit), "Audit of a data set")

    def _shelves(self, audit: DataAudit) -> list[Shelf]:
        groups = list(audit.groups)[:GROUPS]
        members = [one for group in groups for one in group.members[:MEMBERS]]
        figures = dict(zip((one.relative for one in members),
                           in_threads(lambda one: self._figure(audit.root, one), members), strict=True))  # fmt: skip
        return [_shelf(group, figures) for group in groups]

    def _figure(self, root: Path, one: Seen) -> Figure:
        name = printable(one.relative)
        try:
            picture = reading.read(root / one.relative, megapixels=self._megapixels)
        except ImageError as error:
            return Figure(None, f"{name}: {error}", name)
        image = picture.image.copy()
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        return Figure(frozen(np.asarray(image, np.uint8)), f"{name}, labelled {printable(one.label)}", name)


def _shelf(group: CopyGroup, figures: Mapping[str, Figure]) -> Shelf:
    across = [
        words for yes, words in ((group.across_classes, "two labels"), (group.across_splits, "two splits")) if yes
    ]
    title = f"{len(group.members)} images, {'' if group.sure else 'perhaps '}{KINDS[group.kind]}" + (
        f": {' and '.join(across)}" if across else ""
    )
    shown = group.members[:MEMBERS]
    name = {one.row: printable(one.relative) for one in group.members}
    scores = [f"{name[pair.one]} – {name[pair.other]}: {_score(pair)}" for pair in group.pairs[:MEMBERS]]
    cards = [(figures[one.relative], one) for one in shown]
    return Shelf(title, bool(across) and group.sure, scores, cards, len(group.members) - len(shown))


def _score(pair: Pair) -> str:
    """Both measures of a pair, in words."""
    said = f"{KINDS[pair.kind]}, look hashes {pair.bits} of 64 bits apart, alike {pair.alike:.2f}"
    if pair.box is not None:
        left, top, right, bottom = pair.box
        said += f", the first shows {left:.0%}–{right:.0%} across and {top:.0%}–{bottom:.0%} down of the second"
    if pair.embedding is not None:
        said += f", embeddings {pair.embedding:.3f} apart"
    return said


def _page(audit: DataAudit, shelves: Sequence[Shelf], encoded: Encoded) -> str:
    style, script = own("report.css") + own("evaluation.css") + own("data_audit.css"), own("report.js")
    return (
        environment(_shown)
        .get_template("data_audit.html.j2", globals={"told": told})
        .render(
            audit=audit,
            verdict=audit.findings[0],
            also=audit.findings[1:],
            shelves=shelves,
            unshown=len(audit.groups) - len(shelves),
            rows=ROWS,
            settings=[(name, "none" if value is None else str(value)) for name, value in audit.settings.items()],
            encoded=encoded,
            style=trusted(style),
            script=trusted(script),
            data=trusted(inert(dumps(audit.to_dict(), indent=None))),
            policy=policy(style, script),
        )
    )


def _shown(value: object) -> object:
    """Any text of the page: nothing in it moves a cursor or turns the reading direction."""
    return unbroken(printable(value)) if type(value) is str else value
