"""Every saliency method by its name."""

from __future__ import annotations

from collections.abc import Mapping

from casebase.explain.saliency import additive, cams, counterfactual, covering, gradients
from casebase.explain.saliency.method import Method, MethodSettings, Network, Saliency
from casebase.explain.saliency.names import known

_FAMILIES = (cams, gradients, additive, covering, counterfactual)
METHODS: Mapping[str, Method] = {one.name: one for family in _FAMILIES for one in family.METHODS}


def method(name: str) -> Method:
    """A method of the catalogue; an unknown name raises ``UsageError`` and lists those that exist."""
    return METHODS[known(name)]


def make(name: str, network: Network, settings: MethodSettings | None = None) -> Saliency:
    """A method on a network; see :attr:`Method.build` for what it raises."""
    return method(name).build(network, settings or MethodSettings())
