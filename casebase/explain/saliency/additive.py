"""Maps that share the score out among pixels or patches: SHAP's GradientExplainer, LIME over superpixels."""

from __future__ import annotations

from casebase.explain.saliency import lime_patches, shap_gradients
from casebase.explain.saliency.method import Method

METHODS: tuple[Method, ...] = (
    Method(
        "shap",
        "SHAP (GradientExplainer)",
        "Lundberg & Lee 2017, https://arxiv.org/abs/1705.07874; Erion et al. 2021, https://arxiv.org/abs/1906.10670",
        shap_gradients.shap_gradients,
        passes=3 * shap_gradients.DRAWS + 4,
        extra="shap",
        signed=True,
        background=True,
    ),
    Method(
        "lime",
        "LIME",
        "Ribeiro, Singh & Guestrin 2016, https://arxiv.org/abs/1602.04938",
        lime_patches.lime_patches,
        passes=lime_patches.DRAWS_A_SUPERPIXEL * lime_patches.SUPERPIXELS + 1,
        extra="lime",
        signed=True,
    ),
)
