"""The names of all saliency methods, for ``--help`` and for a first look at what was typed: nothing heavy is loaded.

A test holds them against the catalogue.
"""

from __future__ import annotations

from casebase.errors import UsageError
from casebase.reading import printable

METHOD_NAMES = (
    "gradcam", "gradcam++", "layercam", "xgradcam", "cam", "scorecam", "eigencam", "integrated-gradients", "smoothgrad",
    "shap", "lime", "occlusion", "rise", "cae", "cae-published",
)  # fmt: skip


def known(name: str) -> str:
    """The name, where there is such a method; else ``UsageError``, which lists those that exist."""
    if name not in METHOD_NAMES:
        raise UsageError(f"no saliency method {printable(name)!r}; there is {', '.join(METHOD_NAMES)}")
    return name
