"""What explains the answers of a base: its networks, and an explainer for each space, made once and kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from casebase.errors import FingerprintMismatch, ModelError
from casebase.explain.service import Explainer
from casebase.ports import PrototypeView
from casebase.query import Networks
from casebase.settings import Settings
from casebase.spaces import CAE_SPACE, NETWORK_SPACE
from casebase.storage.writing import SqlCaseStore
from casebase.wiring.asking import networks_of, random_cases
from casebase.wiring.prototypes import needed_prototypes, prototype_view
from casebase.wiring.stores import thumbnails

if TYPE_CHECKING:
    from casebase.networks.explained import ExplainedNetwork


@dataclass(frozen=True)
class _Held:
    """An explainer, the network and the set of prototypes it was made with, and why it has no prototypes."""

    network: ExplainedNetwork
    digest: str | None
    explainer: Explainer
    problem: str | None


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
        """What explains a space's answers, with the base's prototypes; and a sentence where they had to be left out."""
        networks, explained = self.loaded(store, space)
        digest = store.prototype_digest()
        held = self._held.get(space)
        if held is None or held.network is not explained or held.digest != digest:
            view, problem = None, None
            try:
                view = prototype_view(store, explained)
            except (FingerprintMismatch, ModelError) as error:  # nobody asked for them: said, and left out
                problem = f"no prototypes are shown: {error}"
            held = _Held(explained, digest, self._made(store, networks, explained, view), problem)
            self._held[space] = held
        return held.explainer, [] if held.problem is None else [held.problem]

    def of_prototypes(self, store: SqlCaseStore, profile: str | None) -> Explainer:
        """One that shows the prototypes of a profile; raises ``NotFound`` and whatever else keeps them away."""
        networks, explained = self.loaded(store, NETWORK_SPACE)
        return self._made(store, networks, explained, needed_prototypes(store, explained, profile))

    def _made(
        self, store: SqlCaseStore, networks: Networks, explained: ExplainedNetwork, view: PrototypeView | None
    ) -> Explainer:
        return Explainer(
            explained, networks.classifier.classes, thumbnails(store), megapixels=self._settings.max_megapixels,
            sample=partial(random_cases, store), prototypes=view, cases=store.get,
        )  # fmt: skip
