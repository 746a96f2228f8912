"""Saliency: where a network looked for one class, by many methods behind one port.

``method`` is the port and what is chosen of a method · ``cams`` weigh a layer's feature maps, ``gradients`` go back to
the image, ``additive`` methods share the score out, ``covering`` ones hide parts,
``counterfactual`` ones compare with an image that is called otherwise · ``guard`` protects network and map
from each other · ``catalogue`` knows them all by name.
"""

from casebase.explain.saliency.method import MethodSettings, RawMap, Saliency, scaled, unsigned

__all__ = ["MethodSettings", "RawMap", "Saliency", "scaled", "unsigned"]
