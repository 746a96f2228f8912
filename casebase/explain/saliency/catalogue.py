"""Every saliency method by its name."""

from __future__ import annotations

from collections.abc import Mapping

from casebase.errors import UsageError
from casebase.explain.saliency import additive, cams, covering, gradients
from casebase.explain.saliency.method import Method, MethodSettings, Network, Saliency
from casebase.reading import printable

METHODS: Mapping[str, Method] = {
    one.name: one for one in (*cams.METHODS, *gradients.METHODS, *additive.METHODS, *covering.METHODS)
}


def method(name: str) -> Method:
    """A method of the catalogue; an unknown name raises ``UsageError`` and lists those that exist."""
    if name not in METHODS:
        raise UsageError(f"no saliency method {printable(name)!r}; there is {', '.join(METHODS)}")
    return METHODS[name]


def make(name: str, network: Network, settings: MethodSettings | None = None) -> Saliency:
    """A method on a network; see :attr:`Method.build` for what it raises."""
    return method(name).build(network, settings or MethodSettings())
