"""Training a class association embedding on what a network says of cases: being written by the lead."""

from __future__ import annotations

from pathlib import Path

from casebase.association import Association
from casebase.networks.cae.reader import Tensors
from casebase.networks.cae.recipe import CaeRecipe, Watch
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.prototypes.recipe import TrainingCases


def train(
    network: ExplainedNetwork,
    cases: TrainingCases,
    recipe: CaeRecipe,
    folder: Path,
    watch: Watch,
    *,
    fresh: bool = False,
) -> tuple[Association, Tensors]:
    """Train; ``digest`` is empty until the tensors are saved. Below the gates ``Association.failed`` says why."""
    raise NotImplementedError
