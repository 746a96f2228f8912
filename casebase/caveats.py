"""What a reader must know before believing an answer: copies, near-copies, short lists, tilted spaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from casebase.answers import Rival
from casebase.cases import Case, Status
from casebase.commands import named
from casebase.reading import printable
from casebase.retrieve import Answer
from casebase.spaces import CONTRIBUTION, NETWORK_SPACE


def caveats(
    k: int,
    space: str,
    called: str,
    nearest: Answer,
    twins: Answer,
    unlike: Sequence[Answer],
    rivals: Sequence[Rival],
    copies: Sequence[Case],
    classes: Mapping[str, int],
    semi: Answer | None,
) -> list[str]:
    """Sentences on everything that makes an answer weaker than it looks, or shorter than asked."""
    told: list[str] = []
    if copies:
        which = ", ".join(f"{printable(named(c))} ({c.id})" for c in copies[:3])
        more = f" and {len(copies) - 3} more" if len(copies) > 3 else ""
        if all(case.status == Status.HELD_OUT for case in copies):
            told.append(f"the query is a held-out image of this base: {which}{more}; held-out images never answer")
        else:
            told.append(f"the query is a case of this base: {which}{more}; it was left out of every list")
    groups = sorted({case.group for case in copies if case.group is not None})
    if groups:
        told.append(f"cases of the query's own group ({', '.join(map(printable, groups))}) were left out of every list")
    alike = {c.id: c for answer in (nearest, twins, *unlike) for c in answer.alike}
    for case in alike.values():
        told.append(f"{printable(named(case))} looks like the query's own photograph; its likeness is no evidence")
    if len(classes) == 1:
        told.append(
            f"every case of this base is predicted {printable(next(iter(classes)))!r}: no counterfactual can contradict"
        )
    told += _short(k, called, nearest, twins, unlike, rivals)
    if semi is not None and not semi.rows:
        told.append("semi-factuals: no case of the predicted class lies between the query and its nearest rival case")
    if space == CONTRIBUTION:
        told.append(
            "contribution weighs both sides by the predicted class, which tilts the lists toward it; "
            "k_same and k_unlike are counted on avgpool"
        )
    if space not in (NETWORK_SPACE, CONTRIBUTION):
        told.append(f"likeness in {printable(space)!r} is not the explained network's own: it never saw that network")
    told.extend(dict.fromkeys(a.warning for a in (nearest, twins, *unlike) if a.warning))
    return told


def _short(
    k: int, called: str, nearest: Answer, twins: Answer, unlike: Sequence[Answer], rivals: Sequence[Rival]
) -> list[str]:
    """Lists with fewer rows than asked for, each with its reason."""
    told: list[str] = []
    for name, answer, of in (
        ("nearest", nearest, "in this base"),
        ("twins", twins, f"predicted {printable(called)!r}"),
    ):
        if len(answer.rows) < k:
            told.append(f"{name}: {len(answer.rows)} of {k} asked for; there are no more cases {of}")
    for rival in rivals:
        rows = [row for answer in unlike for row in answer.rows if row.case.predicted == rival.name]
        if not rival.available:
            told.append(f"counterfactuals: no case of this base is predicted {printable(rival.name)!r}")
        elif len(rows) < k:
            told.append(
                f"counterfactuals: {len(rows)} of {k} asked for; "
                f"there are no more cases predicted {printable(rival.name)!r}"
            )
    return told
