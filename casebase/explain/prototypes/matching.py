"""Which prototypes make the score of a class, and how much each adds.

score_c = bias_c + sum_j contribution_cj, as in C. Chen et al., "This Looks Like That", NeurIPS 2019,
https://arxiv.org/abs/1806.10574. The matches shown are those of the largest |contribution| among the parts that are
there, whichever class their prototype belongs to, so that what speaks against a class has the same room as what speaks
for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from casebase.errors import UnknownClass
from casebase.explanations import frozen
from casebase.ports import PrototypeView
from casebase.prototypes import SIGNED, Activation, Box, PartMatch, Parts, missing
from casebase.reading import printable

SHOWN = 3


def parts(
    view: PrototypeView, activation: Activation, targets: Sequence[str], shown: int = SHOWN, *, said: str | None = None
) -> Parts:
    """The score of every class of ``targets`` as bias, the ``shown`` largest matches, what is absent, and the rest.

    Parts that are there come before parts that are missing, whatever those add: there is little to see of them.

    ``targets`` begin with the answer; ``said`` is what the network called the image, by default that answer. Where the
    prototypes would call it otherwise, or none of the answer's is found, a warning says so. Raises
    ``UnknownClass`` for a class the set has not.
    """
    found = view.found
    place = {name: number for number, name in enumerate(found.classes)}
    names = list(dict.fromkeys(targets))
    for name in names:
        if name not in place:
            raise UnknownClass(f"no class {printable(name)!r} in these prototypes; name one of the network's classes")
    score, bias, lacking, rest = dict[str, float](), dict[str, float](), dict[str, float](), dict[str, float]()
    matches: dict[str, list[PartMatch]] = {}
    for name in names:
        row = activation.contributions[place[name]].astype(np.float64)
        gone = _absent(view, row, name)
        order = np.lexsort((-np.abs(row), gone))[:shown].tolist()
        matches[name] = [_match(view, activation, name, number) for number in order]
        bias[name] = float(activation.bias[place[name]])
        left = np.isin(np.arange(len(row)), order, invert=True)
        lacking[name], rest[name] = float(row[left & gone].sum()), float(row[left & ~gone].sum())
        score[name] = bias[name] + float(row.sum())
    warnings = []
    called = str(found.classes[int(activation.scores.argmax())])
    answer = said if said is not None else names[0] if names else called
    if called != answer:
        warnings.append(otherwise(called))
    if answer in place and _hardly_there(view, activation.contributions[place[answer]], answer):
        warnings.append(hardly_there(answer))
    return Parts(
        profile=found.profile, called=called, targets=names, score=score, bias=bias, absent=lacking, rest=rest,
        matches=matches, receptive_field=found.receptive_field, view=found.view,
        warnings=tuple(warnings),
    )  # fmt: skip


def _absent(view: PrototypeView, row: NDArray[np.float64], name: str) -> NDArray[np.bool_]:
    """Which prototypes ``(P,)`` add to a class by being missing."""
    own = np.array([one.of_class == name for one in view.found.prototypes], bool)
    return missing(view.found.profile, own, row)


def otherwise(called: str) -> str:
    """What to say where the prototypes do not agree with the network."""
    return f"The prototypes would call this {printable(called)}; this explanation does not speak for the network here."


def hardly_there(name: str) -> str:
    """What to say where no part of the answer is found."""
    return (
        f"No part of {printable(name)} is more alike here than on average over the training images: what is shown for "
        "it is hardly there."
    )


def _hardly_there(view: PrototypeView, row: NDArray[np.float32], name: str) -> bool:
    """Whether all prototypes of a class are less alike than on average, of those that count at all.

    A signed prototype is centred on its mean similarity over the training images and never weighs negatively for its
    own class, so that its contribution tells. The classic profile has no such centre.
    """
    own = np.array([one.of_class == name for one in view.found.prototypes], bool)
    counting = row[own][row[own] != 0]
    return view.found.profile == SIGNED and len(counting) > 0 and bool((counting < 0).all())


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
