"""Maps that add up to the score: SHAP's GradientExplainer, LIME over superpixels."""

from __future__ import annotations

from casebase.explain.saliency.method import Method

METHODS: tuple[Method, ...] = ()
