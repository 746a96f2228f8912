"""What was learnt of a network, as pages of its own: prototypes, and the class association embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from casebase import reading
from casebase.answers import Retrieval
from casebase.association_pages import AssociationPage, WalkPage
from casebase.errors import NotFound
from casebase.explain.album import Album
from casebase.explain.cae import gallery
from casebase.explain.cae.coordinates import coordinates
from casebase.explain.cae.manifolds import Coded, manifold
from casebase.explain.cae.one_image import WalkWanted
from casebase.explain.cae.one_image import of_picture as walk_of_picture
from casebase.explain.cae.swaps import sheet
from casebase.explain.passes import Passes
from casebase.explain.prototypes.evidence import Evidence
from casebase.explain.prototypes.gallery import page as prototype_page
from casebase.explain.prototypes.picture import SHOWN as SHOWN_OF_PICTURE
from casebase.explain.prototypes.picture import of_picture
from casebase.ports import AssociationView
from casebase.prototype_pages import PartsPage, PrototypesPage


class Learnt:
    """Pages of what was learnt of one network, and of one picture with it; its passes and pictures are shared."""

    def __init__(
        self, passes: Passes, album: Album, evidence: Evidence | None, association: AssociationView | None
    ) -> None:
        self._passes, self._album = passes, album
        self._evidence, self._association = evidence, association

    def prototypes(
        self, facts: Mapping[str, str], classes: Sequence[str] = (), top: int | None = None
    ) -> PrototypesPage:
        """The prototypes of this network with their source cases, of some classes or all, the ``top`` of each or all.

        Raises ``NotFound`` where it was given none, ``UnknownClass``.
        """
        return prototype_page(self._prototypes(), facts, classes, top)

    def parts(
        self,
        name: str,
        picture: reading.Picture,
        seed: int,
        facts: Mapping[str, str],
        classes: Sequence[str] = (),
        top: int = SHOWN_OF_PICTURE,
    ) -> PartsPage:
        """What the prototypes say of one picture; see :func:`casebase.explain.prototypes.picture.of_picture`.

        Raises ``NotFound`` where there are no prototypes.
        """
        return of_picture(name, picture, self._prototypes(), self._passes, self._album, facts, seed, classes, top)

    def walk(
        self, name: str, picture: reading.Picture, retrieval: Retrieval, coded: Coded, wanted: WalkWanted,
        facts: Mapping[str, str],
    ) -> WalkPage:  # fmt: skip
        """The walk of one picture; see :func:`casebase.explain.cae.one_image.of_picture`.

        Raises ``NotFound`` where there is no embedding.
        """
        return walk_of_picture(name, picture, retrieval, self._embedding(), self._album, coded, wanted, facts)

    def association(
        self, coded: Coded, projection: str, seed: int, facts: Mapping[str, str], *, untrusted: bool
    ) -> AssociationPage:
        """The embedding with its gates, the map of the cases, and edits between held-out images, else cases.

        Below the gates its pictures and its map are held back unless ``untrusted``. Raises ``NotFound``,
        ``MissingExtra`` for a map that cannot be drawn.
        """
        view = self._embedding()
        if view.found.failed and not untrusted:
            return gallery.page(view.found, facts, manifold=None)
        placed = manifold(coded, projection, seed=seed)
        samples = sheet(view, self._album, coded.aside or coded.cases, seed)
        moved = coordinates(view, samples.views) if len(samples.views) else None
        return gallery.page(view.found, facts, manifold=placed, swaps=samples.swaps, coordinates=moved, seed=seed)

    def _prototypes(self) -> Evidence:
        if self._evidence is None:
            raise NotFound("no prototypes of this network; run `casebase prototypes train` first")
        return self._evidence

    def _embedding(self) -> AssociationView:
        if self._association is None:
            raise NotFound("no class association embedding of this network; run `casebase cae train` first")
        return self._association
