"""Maps from covering parts of the image: occlusion (captum), RISE."""

from __future__ import annotations

from casebase.explain.saliency.method import Method

METHODS: tuple[Method, ...] = ()
