"""What explains the answers of a base: its networks, and an explainer for each space, made once and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from casebase.errors import FingerprintMismatch, ModelError
from casebase.explain.learnt import Learnt
from casebase.explain.service import Explainer
from casebase.ports import AssociationView, PrototypeView
from casebase.query import Networks
from casebase.settings import Settings
from casebase.spaces import CAE_SPACE, NETWORK_SPACE
from casebase.storage.writing import SqlCaseStore
from casebase.wiring.asking import networks_of, random_cases
from casebase.wiring.association import association_view, needed_association
from casebase.wiring.prototypes import needed_prototypes, prototype_view
from casebase.wiring.stores import thumbnails

if TYPE_CHECKING:
    from casebase.networks.explained import ExplainedNetwork

V = TypeVar("V")


@dataclass(frozen=True)
class _Held:
    """An explainer, the network, prototypes and embedding it was made with, and what had to be left out."""

    network: ExplainedNetwork
    digests: tuple[str | None, str | None]
    explainer: Explainer
    problems: list[str]


class Explainers:
    """Networks and explainers by space; each is made anew where the base has got another network or other prototypes.

    The store is named at every call, since a first run that failed at once makes another one.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._networks: dict[str, tuple[tuple[object, ...], Networks, ExplainedNetwork]] = {}
        self._held: dict[str, _Held] = {}

    def networks(self, store: SqlCaseStore, space: str) -> Networks:
        """The networks of a space."""
        return self.loaded(store, space)[0]

    def loaded(self, store: SqlCaseStore, space: str) -> tuple[Networks, ExplainedNetwork]:
        """The networks of a space, and the explained one by itself."""
        known = store.setting("classifier")
        made = store.association_digest() if space == CAE_SPACE else None
        stamp = (None if known is None else known["fingerprint"], made)
        cached = self._networks.get(space)
        if cached is None or cached[0] != stamp:
            self._networks[space] = (stamp, *networks_of(store, self._settings, space))
        return self._networks[space][1:]

    def forget(self) -> None:
        """Load everything anew the next time."""
        self._networks.clear()

    def of(self, store: SqlCaseStore, space: str) -> tuple[Explainer, list[str]]:
        """What explains a space's answers, with prototypes and embedding; and a sentence for each left out."""
        networks, explained = self.loaded(store, space)
        digests = store.prototype_digest(), store.association_digest()
        held = self._held.get(space)
        if held is None or held.network is not explained or held.digests != digests:
            problems: list[str] = []
            prototypes = _unless(lambda: prototype_view(store, explained), "no prototypes are shown", problems)
            association = _unless(lambda: association_view(store, explained), "no walk is shown", problems)
            made = self._made(store, networks, explained, prototypes, association)
            held = _Held(explained, digests, made, problems)
            self._held[space] = held
        return held.explainer, list(held.problems)

    def of_prototypes(self, store: SqlCaseStore, profile: str | None) -> Learnt:
        """What shows the prototypes of a profile; raises ``NotFound`` and whatever else keeps them away."""
        networks, explained = self.loaded(store, NETWORK_SPACE)
        return self._made(store, networks, explained, needed_prototypes(store, explained, profile)).learnt

    def of_association(self, store: SqlCaseStore) -> Learnt:
        """What shows the base's embedding; raises ``NotFound`` and whatever else keeps it away."""
        networks, explained = self.loaded(store, NETWORK_SPACE)
        return self._made(store, networks, explained, association=needed_association(store, explained)).learnt

    def _made(
        self,
        store: SqlCaseStore,
        networks: Networks,
        explained: ExplainedNetwork,
        prototypes: PrototypeView | None = None,
        association: AssociationView | None = None,
    ) -> Explainer:
        return Explainer(
            explained, networks.classifier.classes, thumbnails(store), megapixels=self._settings.max_megapixels,
            sample=partial(random_cases, store), prototypes=prototypes, cases=store.get, association=association,
        )  # fmt: skip


def _unless(made: Callable[[], V | None], what: str, problems: list[str]) -> V | None:
    """What was made; None and a sentence where it could not be: nobody asked for it, so it is said and left out."""
    try:
        return made()
    except (FingerprintMismatch, ModelError) as error:
        problems.append(f"{what}: {error}")
        return None
