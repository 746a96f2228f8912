"""Every saliency method by its name."""

from __future__ import annotations

from collections.abc import Mapping

from casebase.explain.saliency import additive, cams, covering, gradients
from casebase.explain.saliency.method import Method, MethodSettings, Network, Saliency
from casebase.explain.saliency.names import known

METHODS: Mapping[str, Method] = {
    one.name: one for one in (*cams.METHODS, *gradients.METHODS, *additive.METHODS, *covering.METHODS)
}


def method(name: str) -> Method:
    """A method of the catalogue; an unknown name raises ``UsageError`` and lists those that exist."""
    return METHODS[known(name)]


def make(name: str, network: Network, settings: MethodSettings | None = None) -> Saliency:
    """A method on a network; see :attr:`Method.build` for what it raises."""
    return method(name).build(network, settings or MethodSettings())
