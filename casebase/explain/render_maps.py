"""Maps of one picture as a folder: a page that loads nothing, JSON, a picture and the raw map of each."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from casebase.errors import StorageFailed
from casebase.explain import places
from casebase.explain.encoding import QUERY_SIDE, Encoded
from casebase.explain.pages import environment, framed, inert, own, policy, trusted
from casebase.explain.places import Kind
from casebase.explain.render_curve import curve_svg
from casebase.explain.render_json import dumps
from casebase.explanations import Pixels
from casebase.maps import DATA, OVERLAYS, PAGE, RAW, SCHEMA, Maps
from casebase.reading import printable

LONGEST, QUALITY = 512, 85
KIND = Kind(
    "set of maps", DATA, SCHEMA, frozenset({PAGE}), {OVERLAYS: frozenset({".png"}), RAW: frozenset({".npy"})}
)  # fmt: skip

NewFolder = Callable[[Path], AbstractContextManager[Path]]


@dataclass(frozen=True, eq=False)
class MapsPages:
    """Writes maps: the port ``MapsWriter``. ``new_folder`` gives a folder that appears whole or not at all."""

    new_folder: NewFolder

    def page(self, maps: Maps) -> str:
        """The page as text."""
        style, script = own("report.css"), own("report.js")
        encoded = Encoded(LONGEST, QUALITY)
        figures = [maps.whole, *(row.figure for row in maps.rows)]
        encoded.prepare((figure.pixels, QUERY_SIDE) for figure in figures if figure.pixels is not None)
        return (
            environment()
            .get_template("saliency.html.j2")
            .render(
                maps=maps,
                name=printable(maps.path),
                predicted=printable(maps.prediction.predicted),
                sections=[
                    (printable(name), maps.prediction.probabilities[name], maps.of(name)) for name in maps.classes
                ],
                warnings=[printable(one) for one in maps.warnings],
                provenance=[(printable(name), printable(value)) for name, value in _provenance(maps)],
                encoded=encoded,
                curve=curve_svg,
                style=trusted(style),
                script=trusted(script),
                data=trusted(inert(dumps(maps.to_dict(), indent=None))),
                policy=policy(style, script),
            )
        )

    def inline(self, maps: Maps) -> str:
        """The page in a frame of its own, for a notebook cell."""
        return framed(self.page(maps), f"Saliency of {printable(maps.path)}")

    def write(self, maps: Maps, folder: Path) -> Path:
        """Page, JSON, pictures and raw maps; all or nothing."""
        target = folder.resolve()
        places.check(target, KIND)
        with self.new_folder(target) as aside:
            try:
                for name in (OVERLAYS, RAW):
                    (aside / name).mkdir()
                for row in maps.rows:
                    if row.array is not None and row.raw is not None:
                        (aside / row.array).write_bytes(_npy(row.raw))
                    if row.overlay is not None and row.figure.pixels is not None:
                        (aside / row.overlay).write_bytes(_png(row.figure.pixels))
                (aside / DATA).write_text(dumps(maps.to_dict(Path())) + "\n", encoding="utf-8")
                (aside / PAGE).write_text(self.page(maps), encoding="utf-8")
            except OSError as error:
                reason = error.strerror or type(error).__name__
                raise StorageFailed(
                    f"the maps could not be written to {folder} ({reason}); name another folder with --out"
                ) from None
        return folder


def _npy(values: NDArray[np.float32]) -> bytes:
    out = io.BytesIO()
    np.save(out, np.asarray(values, np.float32), allow_pickle=False)
    return out.getvalue()


def _png(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, "PNG")
    return out.getvalue()


def _provenance(maps: Maps) -> list[tuple[str, str]]:
    from casebase.explain import map_words

    told = [("Picture, SHA-256", maps.sha256), *maps.facts.items()]
    for row in maps.rows:
        if row.found is not None and row.target == maps.classes[0]:
            told += [(f"{row.title}, {name}", value) for name, value in map_words.facts(row.found).items()]
    return [*told, ("Seconds", f"{maps.seconds:.2f}")]
