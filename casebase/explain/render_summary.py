"""A summary as a page that loads nothing, alone or in a folder with its JSON."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from casebase import reading
from casebase import summary_words as words
from casebase.cases import Case
from casebase.commands import named
from casebase.errors import ImageError, StorageFailed
from casebase.explain import places
from casebase.explain.album import Thumbnail, in_threads
from casebase.explain.encoding import PICTURE_SIDE, Encoded
from casebase.explain.pages import environment, framed, inert, own, policy, trusted
from casebase.explain.places import Kind
from casebase.explain.render_json import dumps
from casebase.explanations import Figure, frozen
from casebase.reading import percent, printable
from casebase.summaries import DATA, PAGE, SCHEMA, Summary

KIND = Kind("summary", DATA, SCHEMA, frozenset({PAGE}), {})
QUALITY = 82
NewFolder = Callable[[Path], AbstractContextManager[Path]]


def is_page(target: Path) -> bool:
    """Whether a target is one page rather than a folder."""
    return target.suffix.lower() in (".html", ".htm")


@dataclass(frozen=True, eq=False)
class SummaryPages:
    """Writes summaries: the port ``SummaryWriter``.

    ``new_folder`` gives a folder that appears whole or not at all, ``write_file`` replaces a file in one step,
    ``thumbnail`` finds the small picture of a case whose file is gone.
    """

    new_folder: NewFolder
    write_file: Callable[[Path, bytes], None]
    thumbnail: Thumbnail
    megapixels: float = reading.DEFAULT_MEGAPIXELS

    def page(self, summary: Summary) -> str:
        """The page as text."""
        style, script = own("report.css") + own("summary.css"), own("report.js")
        cases: dict[str, Case] = {}
        for found in summary.shown:
            cases |= {one.case.id: one.case for one in found.typical}
            cases |= {one.case.id: one.case for one in found.criticisms}
        pictures = dict(zip(cases, in_threads(self._picture, list(cases.values())), strict=True))
        encoded = Encoded(PICTURE_SIDE, QUALITY)
        encoded.prepare((one.pixels, PICTURE_SIDE) for one in pictures.values() if one.pixels is not None)
        return (
            environment()
            .get_template("summary.html.j2")
            .render(
                summary=summary,
                title=words.title(summary),
                words=words,
                safe=printable,
                named=named,
                percent=percent,
                pictures=pictures,
                encoded=encoded,
                curve=None,
                provenance=[(printable(name), printable(value)) for name, value in _provenance(summary)],
                style=trusted(style),
                script=trusted(script),
                data=trusted(inert(dumps(summary.to_dict(), indent=None))),
                policy=policy(style, script),
            )
        )

    def inline(self, summary: Summary) -> str:
        """The page in a frame of its own, for a notebook cell."""
        return framed(self.page(summary), words.title(summary))

    def write(self, summary: Summary, target: Path) -> Path:
        """One page, or page and JSON; all or nothing."""
        if is_page(target):
            self.write_file(target, self.page(summary).encode("utf-8"))
            return target
        whole = target.resolve()
        places.check(whole, KIND)
        with self.new_folder(whole) as aside:
            try:
                (aside / DATA).write_text(dumps(summary.to_dict(PAGE)) + "\n", encoding="utf-8")
                (aside / PAGE).write_text(self.page(summary), encoding="utf-8")
            except OSError as error:
                reason = error.strerror or type(error).__name__
                raise StorageFailed(
                    f"the summary could not be written to {target} ({reason}); name another place with --out"
                ) from None
        return target / PAGE

    def _picture(self, case: Case) -> Figure:
        """A case as it was indexed, else its thumbnail, else the reason why there is no picture."""
        name = printable(named(case))
        try:
            found = reading.read(case.file, megapixels=self.megapixels)
            if found.pixel_hash != case.pixel_hash:
                raise ImageError("changed since it was indexed; run `casebase index` again")
            image = found.image
        except ImageError as error:
            small = self.thumbnail(case.pixel_hash)
            if small is None:
                return Figure(None, f"No picture of {name}: {error}", name)
            image = small
        image = image.copy()
        image.thumbnail((2 * PICTURE_SIDE, 2 * PICTURE_SIDE), Image.Resampling.BILINEAR)
        return Figure(frozen(np.asarray(image.convert("RGB"), dtype=np.uint8)), f"The case {name}", name)


def _provenance(summary: Summary) -> list[tuple[str, str]]:
    wanted = summary.wanted
    widths = [one.bandwidth for one in summary.classes if one.bandwidth is not None]
    ranged = f"{min(widths):.4f} to {max(widths):.4f}" if widths else "none"
    return [
        *summary.facts.items(),
        ("Class", "what the network calls so" if wanted.by == "predicted" else "what is labelled so"),
        ("Compared in", wanted.space),
        ("Typical cases", "ProtoDash (Gurumoorthy et al. 2019): weights ≥ 0, solved exactly at every step"),
        ("Criticisms", "MMD-critic (Kim et al. 2016): |witness| + log det of typical and odd cases together"),
        ("Kernel", f"exp(−|x − y|² / 2s²) on unit vectors, s the median distance in each class: {ranged}"),
        ("Conditions of best weights", f"missed by at most {max(one.optimality for one in summary.classes):.1e}"),
        ("Seconds", f"{summary.seconds:.2f}"),
    ]
