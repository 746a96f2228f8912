"""What one run of the profile ``classic`` is told, and what it learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from casebase.networks.cached_rows import CachedRows
from casebase.networks.prototypes.published import Index
from casebase.networks.prototypes.recipe import PrototypeRecipe


@dataclass(frozen=True, slots=True)
class Plan:
    """Lengths in steps of ``batch`` images, rates and weight decay of Adam; ``decay`` joint steps make a rate a tenth.

    Published: k 10, batches of 80, warm 15,000, joint from there to the first push at 30,000, last layer 60,000.
    """

    k: int = 10
    warm: int = 300
    joint: int = 200
    decay: int = 100
    last: int = 2000
    batch: int = 32
    keep_every: int = 50
    rate: float = 3e-3
    stage_rate: float = 1e-4
    head_rate: float = 1e-4
    weight_decay: float = 1e-3

    @classmethod
    def of(cls, recipe: PrototypeRecipe) -> Plan:
        """Our lengths for small sets, none longer than the recipe allows."""
        plan, most = cls(), recipe.steps
        if recipe.k is not None:
            plan = replace(plan, k=recipe.k)
        if most is None:
            return plan
        return replace(plan, warm=min(plan.warm, most), joint=min(plan.joint, most), last=min(plan.last, most))


@dataclass(frozen=True, eq=False)
class Data:
    """What one run learns from: N images' stage ``inputs`` and, before any tuning, ``maps``.

    Both have 2N rows, the images and then their mirror images. ``targets`` and ``answers`` (the network's) are
    positions ``(N,)`` in ``classes``. ``judged`` are rows that are judged and not trained on; None: all are both. They
    are judged by ``labels`` (-1: not among the classes) and held against ``reference``; None: by ``targets``, against
    ``answers``.
    """

    inputs: CachedRows
    maps: CachedRows
    targets: Index
    answers: Index
    classes: Sequence[str]
    judged: Index | None = None
    labels: Index | None = None
    reference: Index | None = None
