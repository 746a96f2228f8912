"""The store of a case base: opened, made, or only looked at; and the small files beside it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL.Image import fromarray

from casebase.errors import StorageFailed, UsageError
from casebase.explain import places
from casebase.explain.dossier_pages import Pages
from casebase.explain.render_html import HtmlRenderer
from casebase.explain.render_maps import MapsPages
from casebase.explain.render_summary import SummaryPages
from casebase.explain.service import Explainer, Wanted
from casebase.explanations import Pixels
from casebase.ports import CaseStore
from casebase.reading import printable
from casebase.settings import Settings
from casebase.storage import database, files, pictures
from casebase.storage.memory import MemoryCaseStore
from casebase.storage.opening import make_store, open_store
from casebase.storage.writing import SqlCaseStore
from casebase.writers import AssociationWriter, DossierWriter, MapsWriter, PrototypeWriter, Renderer, SummaryWriter


def store_for_writing(settings: Settings) -> SqlCaseStore:
    """The store, made where there is none."""
    return make_store(settings)


def made_anew(store: SqlCaseStore, settings: Settings) -> SqlCaseStore:
    """The same store, or one made again where it is gone."""
    return store if database.exists(settings.base, settings.sql_url) else make_store(settings)


def store_for_reading(settings: Settings) -> SqlCaseStore:
    """The store of an existing case base."""
    return open_store(settings)


@contextmanager
def store_for_looking(settings: Settings) -> Iterator[CaseStore]:
    """The store of a case base, or an empty one in memory where there is none: for dry runs."""
    if not database.exists(settings.base, settings.sql_url):
        yield MemoryCaseStore()
        return
    store = open_store(settings)
    try:
        yield store
    finally:
        store.close()


def renderer() -> Renderer:
    """What writes reports."""
    return HtmlRenderer()


def dossier_pages(
    explainer: Explainer, wanted: Wanted, settings: Settings, progress: Callable[[int, int, int], None]
) -> DossierWriter:
    """What writes dossiers."""
    return Pages(explainer, wanted, files.new_folder, str(settings.base), progress)


def maps_pages() -> MapsWriter:
    """What writes saliency maps."""
    return MapsPages(files.new_folder)


def prototype_pages() -> PrototypeWriter:
    """What writes prototypes, and what they say of an image."""
    from casebase.explain.prototypes.pages import PrototypePages

    return PrototypePages()


def association_pages() -> AssociationWriter:
    """What writes class association embeddings, and walks through them."""
    from casebase.explain.cae.pages import AssociationPages

    return AssociationPages()


def summary_pages(store: SqlCaseStore, settings: Settings) -> SummaryWriter:
    """What writes summaries."""
    return SummaryPages(files.new_folder, files.write, thumbnails(store), settings.max_megapixels)


def check_summary(target: Path) -> None:
    """Whether a summary can be written to a folder, or to a file that ends in .html; raises as :func:`check_out`."""
    from casebase.explain import render_summary

    if not render_summary.is_page(target):
        _check(target, render_summary.KIND)
    elif target.is_dir():
        raise UsageError(f"{printable(str(target))} is a folder; name a file or another folder with --out")
    elif not target.resolve().parent.is_dir():
        raise StorageFailed(f"there is no folder {printable(str(target.parent))}; make it, or name another with --out")


def check_maps(folder: Path) -> None:
    """Whether saliency maps can be written to a folder; raises as :func:`check_out`."""
    from casebase.explain import render_maps

    _check(folder, render_maps.KIND)


def check_out(folder: Path, kind: str | None = None) -> None:
    """Whether the evaluation of a kind, or without one a dossier, can be written to a folder.

    Raises ``UsageError`` where anything of somebody else's would be lost, ``StorageFailed`` where no folder can be
    made.
    """
    from casebase.explain import dossier_pages, render_evaluation

    _check(folder, dossier_pages.KIND if kind is None else replace(render_evaluation.KIND, of=kind))


def _check(folder: Path, known: places.Kind) -> None:
    target = folder.resolve()
    places.check(target, known)
    try:
        files.try_folder(target)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StorageFailed(
            f"the {known.name} could not be written to {printable(str(folder))} ({reason}); "
            "name another folder with --out"
        ) from None


def file_hashes(store: CaseStore, ids: Sequence[str]) -> Mapping[str, str]:
    """The SHA-256 of stored images' files as they were indexed, by id."""
    return {name: known.sha256 for name, known in store.known(ids).items()}


def thumbnails(store: SqlCaseStore) -> Callable[[str], Any]:
    """Finds the thumbnail of a picture by its pixels."""
    return partial(pictures.find, store.folder)


def save_picture(target: Path, pixels: Pixels) -> None:
    """Write a picture as PNG in one step; raises ``StorageFailed``."""
    out = io.BytesIO()
    fromarray(pixels).save(out, "PNG")
    files.write(target, out.getvalue())
