"""Maps from the gradient at the image: integrated gradients, SmoothGrad (captum)."""

from __future__ import annotations

from casebase.explain.saliency.method import Method

METHODS: tuple[Method, ...] = ()
