"""What was learned of a base's network: its prototypes and its class association embedding, as Python sees them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import replace

import casebase
from casebase import clock, wiring
from casebase.api.inputs import Image, decoded
from casebase.association import Association
from casebase.association_pages import AssociationPage, WalkPage
from casebase.explain import WalkWanted, coded, known_projection
from casebase.indexer import association_lines, stage_lines
from casebase.prototype_pages import PartsPage, PrototypesPage
from casebase.prototypes import PrototypeSet
from casebase.query import Ask, ask
from casebase.settings import Settings
from casebase.spaces import NETWORK_SPACE
from casebase.wiring import CaeProgress, CaeRecipe, PrototypeRecipe


class Learned:
    """The part of :class:`casebase.api.Base` that trains, and shows what was trained. Made by it alone."""

    def __init__(self, settings: Settings, *, create: bool) -> None:
        self.settings = settings
        self._store = wiring.store_for_writing(settings) if create else wiring.store_for_reading(settings)
        self._explainers = wiring.Explainers(settings)

    # -- prototypes ----------------------------------------------------------------------------------------------

    def train_prototypes(
        self,
        recipe: PrototypeRecipe | None = None,
        *,
        fresh: bool = False,
        progress: bool | Callable[[str, int, int], None] = False,
        announce: Callable[[str], None] = lambda line: None,
    ) -> PrototypeSet:
        """Learn prototypes of this base's network from its cases, in the place of those of the same profile.

        An interrupted training goes on unless ``fresh``. ``progress=True`` writes lines to standard error; a function
        is called with (stage, done, total). Raises ``NoTargetLayer`` and ``ModelError`` for a network that has no
        prototypes, and where a gate fails: nothing is replaced then; ``EmptyCaseBase``, ``DataError``, ``Locked``.
        """
        told = progress if callable(progress) else stage_lines() if progress else lambda *_told: None
        return wiring.train_prototypes(
            self._store, self.settings, recipe or PrototypeRecipe(), fresh=fresh, progress=told, announce=announce
        )

    def prototypes(self, profile: str | None = None) -> PrototypeSet | None:
        """The prototypes of a profile, by default ``signed``, else ``classic``; None where there are none.

        Raises ``FingerprintMismatch`` where they explain another network than the one that answers here.
        """
        return wiring.prototype_set(self._store, profile)

    def prototypes_page(
        self, profile: str | None = None, classes: Sequence[str] = (), *, top: int | None = None, command: str = ""
    ) -> PrototypesPage:
        """The prototypes with their source cases; ``save(file)`` writes the page.

        ``classes`` and ``top``, the weightiest of each class, choose what is shown. Raises ``NotFound`` where there
        are none, ``UnknownClass``, ``FingerprintMismatch``, ``WeightsMissing``.
        """
        found = self._explainers.of_prototypes(self._store, profile).prototypes(self._facts(command), classes, top)
        return replace(found, synthetic=self._store.setting("synthetic"), writer=wiring.prototype_pages())

    def parts(
        self,
        image: Image,
        profile: str | None = None,
        classes: Sequence[str] = (),
        *,
        top: int = 5,
        command: str = "",
    ) -> PartsPage:
        """What the prototypes say of one image: for the predicted class and ``classes``, by default the runner-up.

        ``save(file)`` writes the page. Raises as :meth:`prototypes_page`, and ``ImageError``.
        """
        name, picture = decoded(image, self.settings)
        learnt = self._explainers.of_prototypes(self._store, profile)
        found = learnt.parts(name, picture, self.settings.seed, self._facts(command), classes, top)
        return replace(found, synthetic=self._store.setting("synthetic"), writer=wiring.prototype_pages())

    # -- class association ---------------------------------------------------------------------------------------

    def train_association(
        self,
        recipe: CaeRecipe | None = None,
        *,
        fresh: bool = False,
        progress: bool | Callable[[CaeProgress], None] = False,
        announce: Callable[[str], None] = lambda line: None,
    ) -> Association:
        """Learn a class association embedding of this base's network from its cases, and the space ``cae`` with it.

        An interrupted training goes on unless ``fresh``. ``progress=True`` writes lines to standard error; a function
        is called with stage, done, total, losses and the newest standing. Raises ``GateFailed`` where the embedding
        explains nothing, which is then in the error's ``found``: it is kept to be looked at, unless one is there that
        explains this network; ``EmptyCaseBase``, ``DataError``, ``UsageError`` for images smaller than the preset,
        ``Diverged``, ``Locked``.
        """
        told = progress if callable(progress) else _lines() if progress else lambda _told: None
        return wiring.train_association(
            self._store, self.settings, recipe or CaeRecipe(), fresh=fresh, watch=told, announce=announce
        )

    def association(self) -> Association | None:
        """The class association embedding, whether it passed its gates or not; None where there is none.

        Raises ``FingerprintMismatch`` where it explains another network than the one that answers here.
        """
        return wiring.association(self._store)

    def association_page(
        self, *, projection: str = "pca", untrusted: bool = False, command: str = ""
    ) -> AssociationPage:
        """The class association embedding with its gates, its log and the map of the class codes; ``save(file)``.

        ``projection`` is ``pca`` or ``umap``. Below the gates its pictures and its map are held back unless
        ``untrusted``. Raises ``NotFound`` where there is none, ``FingerprintMismatch``, ``WeightsMissing``,
        ``MissingExtra``, ``UsageError``.
        """
        found = self._explainers.of_association(self._store).association(
            coded(self._store), known_projection(projection), self.settings.seed, self._facts(command),
            untrusted=untrusted,
        )  # fmt: skip
        return replace(found, synthetic=self._store.setting("synthetic"), writer=wiring.association_pages())

    def walk(
        self,
        image: Image,
        rival: str | None = None,
        *,
        route: str = "graph",
        frames: int = 20,
        projection: str = "pca",
        untrusted: bool = False,
        command: str = "",
    ) -> WalkPage:
        """What would change in one image for the network to say ``rival``, by default the runner-up; ``save(file)``.

        ``route`` is ``graph`` or ``straight``. Every picture of it is synthetic and says so. Raises as
        :meth:`association_page`, ``GateFailed`` below the gates unless ``untrusted``, ``UnknownClass``, ``NoUnlike``
        for a rival without a case, and ``ImageError``.
        """
        wanted = WalkWanted(rival, route, frames, known_projection(projection), untrusted, self.settings.seed)
        learnt = self._explainers.of_association(self._store)
        name, picture = decoded(image, self.settings)
        networks = self._explainers.networks(self._store, NETWORK_SPACE)
        (retrieval,) = ask([(name, picture)], Ask(1, NETWORK_SPACE, rival), networks, self._store)
        found = learnt.walk(name, picture, retrieval, coded(self._store), wanted, self._facts(command))
        return replace(found, synthetic=self._store.setting("synthetic"), writer=wiring.association_pages())

    def _facts(self, command: str) -> dict[str, str]:
        known = self._store.setting("classifier") or {}
        view = self._store.view()
        return {
            "casebase": casebase.__version__,
            "base": str(self.settings.base),
            "network": str(known.get("spec", "")) + (" (untrained)" if known.get("untrained") else ""),
            "classifier": f"{known.get('kind', '')}, {known.get('fingerprint', '')}",
            "generation": str(view.generation),
            "spaces": ", ".join(f"{name} {f.short} ({f.precision}, {f.dim})" for name, f in view.fingerprints.items()),
            "cases": str(sum(view.classes.values())),
            "seed": str(self.settings.seed),
            "date": clock.now(),
            "command": command,
            "python": platform.python_version(),
        }


def _lines() -> Callable[[CaeProgress], None]:
    lines = association_lines()
    return lambda told: lines(told.stage, told.done, told.total, told.standing, told.terms)
