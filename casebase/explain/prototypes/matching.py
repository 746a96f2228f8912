"""Which prototypes make the score of a class, and how much each adds.

score_c = bias_c + sum_j contribution_cj, as in C. Chen et al., "This Looks Like That", NeurIPS 2019,
https://arxiv.org/abs/1806.10574. The matches shown are those of the largest |contribution|, whichever class their
prototype belongs to, so that what speaks against a class has the same room as what speaks for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from casebase.errors import UnknownClass
from casebase.explanations import frozen
from casebase.ports import PrototypeView
from casebase.prototypes import Activation, Box, PartMatch, Parts
from casebase.reading import printable

SHOWN = 3


def parts(
    view: PrototypeView, activation: Activation, targets: Sequence[str], shown: int = SHOWN, *, said: str | None = None
) -> Parts:
    """The score of every class of ``targets`` as bias, the ``shown`` largest matches, and the rest.

    ``targets`` begin with the answer; ``said`` is what the network called the image, by default that answer. Where the
    prototypes would call it otherwise, a warning says so. Raises ``UnknownClass`` for a class the set has not.
    """
    found = view.found
    place = {name: number for number, name in enumerate(found.classes)}
    names = list(dict.fromkeys(targets))
    for name in names:
        if name not in place:
            raise UnknownClass(f"no class {printable(name)!r} in these prototypes; name one of the network's classes")
    score, bias, rest = dict[str, float](), dict[str, float](), dict[str, float]()
    matches: dict[str, list[PartMatch]] = {}
    for name in names:
        row = activation.contributions[place[name]].astype(np.float64)
        order = np.argsort(-np.abs(row), kind="stable")[:shown].tolist()
        matches[name] = [_match(view, activation, name, number) for number in order]
        bias[name] = float(activation.bias[place[name]])
        rest[name] = float(np.delete(row, order).sum())
        score[name] = bias[name] + float(row.sum())
    called = str(found.classes[int(activation.scores.argmax())])
    answer = said if said is not None else names[0] if names else called
    return Parts(
        profile=found.profile, called=called, targets=names, score=score, bias=bias, rest=rest, matches=matches,
        receptive_field=found.receptive_field, view=found.view,
        warnings=() if called == answer else (otherwise(called),),
    )  # fmt: skip


def otherwise(called: str) -> str:
    """What to say where the prototypes do not agree with the network."""
    return f"The prototypes would call this {printable(called)}; this explanation does not speak for the network here."


def _match(view: PrototypeView, activation: Activation, target: str, number: int) -> PartMatch:
    box: Box = activation.box(number)
    return PartMatch(
        prototype=view.found.prototypes[number],
        target=target,
        contribution=float(activation.contributions[view.found.classes.index(target), number]),
        similarity=float(activation.similarity[number]),
        box=box,
        map=frozen(activation.maps[number]),
    )
