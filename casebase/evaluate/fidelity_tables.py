"""How far the neighbours answer as the network does, as tables: every figure beside its controls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.random_control import Controls
from casebase.evaluate.resampling import Draws
from casebase.evaluate.twin_fidelity import Fidelity, Votes
from casebase.evaluate.twin_study import TwinStudy
from casebase.evaluations import Cell, Column, Measured, Table, told
from casebase.shares import interval

Rows = NDArray[np.bool_]
ALL, ERRORS = "all", "errors"
NO_ERROR = "no error"
SPACE = Column("space", "space", help="how images are compared; `docs/twins.md` says what each is")
OVER = Column("over", "over", help="all images, or only those the network gets wrong")


def fidelity_tables(found: TwinStudy) -> list[Table]:
    """Hard fidelity, then soft fidelity and the logit gap, then the controls that need pixels."""
    made = [_fidelity(found), _nearness(found)]
    return made if found.controls is None else [*made, _controls(found, found.controls)]


def overs(found: TwinStudy) -> Iterator[tuple[str, Rows, Draws]]:
    """All images, then the errors only: name, rows ``(m,)``, draws of those rows."""
    wrong = found.queries.wrong
    yield ALL, np.ones(len(wrong), bool), found.draws
    yield ERRORS, wrong, found.draws.of_rows(wrong)


def fidelity_cells(found: TwinStudy, space: Fidelity, over: str, rows: Rows, draws: Draws) -> dict[str, Measured]:
    """Hard fidelity of one space with every control there is, over some of the images."""
    cells = {
        "fidelity": draws.mean(space.votes.hard[rows] > 0.5, NO_ERROR),
        "shuffled": draws.mean(space.shuffled.hard[rows], NO_ERROR),
        "adjusted": _adjusted(space.votes.hard[rows], space.shuffled.hard[rows], draws),
        "by_predicted": draws.mean(space.votes.by_predicted[rows] > 0.5, NO_ERROR),
    }
    if space.rival is not None:
        cells["rival"] = draws.mean(space.rival.hard[rows] > 0.5, NO_ERROR)
    untrained = _untrained(found, over)
    return cells if untrained is None else {**cells, "untrained": untrained["hard"]}


def _untrained(found: TwinStudy, over: str) -> Mapping[str, Measured] | None:
    """The votes of the random network; they belong to no space of the base, so they stand in every row."""
    held = found.controls
    control = None if held is None else held.of("untrained")
    return None if held is None or control is None else sampled_votes(found, held, control.votes, over)


def _fidelity(found: TwinStudy) -> Table:
    rows: list[Mapping[str, Cell]] = []
    for space in found.spaces:
        for over, where, draws in overs(found):
            rows.append({"space": space.space, "over": over, **fidelity_cells(found, space, over, where, draws)})
    notes = [
        (
            "Chance depends on the classes: shuffled features of two equal classes agree with the network in about "
            "half of all images. Only the distance to the controls counts."
        ),
        *(f"{name} was left out: {why}." for name, why in found.left_out.items()),
    ]
    if found.controls is not None:
        notes.append(_on_the_sample(found, found.controls))
    return Table(
        "fidelity",
        f"Do the {found.k} nearest vote as the network answers?",
        "Hard fidelity: how often the majority of their labels is the network's answer. Read the rows over errors: "
        "over all images it mostly says how easy the images are.",
        [
            SPACE, OVER,
            Column("fidelity", "fidelity", "share", "the majority of the nearest cases' labels is the answer"),
            Column("shuffled", "shuffled", "share", "control: the same with features dealt to other images"),
            Column("adjusted", "above shuffled", "share",
                   "(fidelity − shuffled) / (1 − shuffled): 100 % is perfect, 0 % is chance"),
            Column("rival", "rival's weights", "share",
                   "control: the same with the second class's weights; a large gap means the weighting tilts the vote"),
            Column("untrained", "random network", "share", "control: the same architecture with random weights"),
            Column("by_predicted", "by prediction", "share",
                   "the same vote over what the network calls the cases, instead of their labels"),
        ],
        rows,
        notes,
    )  # fmt: skip


def _on_the_sample(found: TwinStudy, held: Controls) -> str:
    """What the random network's column must be compared with."""
    trained = held.of("trained")
    same = f"The random network looked at {held.cases} of {len(found.sides.cases)} cases for {len(held.rows)} images"
    if trained is None:
        return f"{same}."
    figures = [told(sampled_votes(found, held, trained.votes, over)["hard"], "share") for over in (ALL, ERRORS)]
    return f"{same}; on the same ones the explained network has {figures[0]} over all and {figures[1]} over errors."


def _nearness(found: TwinStudy) -> Table:
    rows: list[Mapping[str, Cell]] = []
    none = Measured(None, reason="needs a linear head")
    for space in found.spaces:
        for over, where, draws in overs(found):
            untrained = _untrained(found, over)
            rows.append(
                {
                    "space": space.space,
                    "over": over,
                    "soft": draws.mean(space.votes.soft[where], NO_ERROR),
                    "soft_shuffled": draws.mean(space.shuffled.soft[where], NO_ERROR),
                    "untrained": None if untrained is None else untrained["soft"],
                    "first": draws.mean(space.votes.first[where] > 0.5, NO_ERROR),
                    "first_shuffled": draws.mean(space.shuffled.first[where], NO_ERROR),
                    "gap": none if space.gap is None else known(space.gap, where, found.draws),
                    "gap_of_any": none if space.gap_of_any is None else known(space.gap_of_any, where, found.draws),
                }
            )
    return Table(
        "nearness",
        "How near are their answers to the network's?",
        "Soft fidelity compares whole probability vectors, the logit gap the twin's scores with the query's: it needs "
        "no label and cannot leak, so it is the judge between ways to weigh.",
        [
            SPACE, OVER,
            Column("soft", "soft fidelity", "share",
                   "1 − half the difference between the network's probabilities and the neighbours' mean"),
            Column("soft_shuffled", "shuffled", "share", "control: features dealt to other images"),
            Column("untrained", "random network", "share", "control: the same architecture with random weights"),
            Column("first", "nearest alone", "share", "the label of the single nearest case is the network's answer"),
            Column("gap", "logit gap", "number",
                   "‖z(q) − z(i)‖ / ‖z(q)‖ to the nearest twin: 0 means the network sees both alike"),
            Column("gap_of_any", "gap of any twin", "number", "control: a case of the same predicted class at random"),
        ],
        rows,
    )  # fmt: skip


def _controls(found: TwinStudy, held: Controls) -> Table:
    rows: list[Mapping[str, Cell]] = [
        {"network": control.title, "over": over, **sampled_votes(found, held, control.votes, over)}
        for control in held.several
        for over in (ALL, ERRORS)
    ]
    missing = held.missing.told()
    return Table(
        "controls",
        "What would neighbours agree on without this network?",
        "All rows use the same images: compare them with one another, not with the tables of the whole base.",
        [
            Column("network", "neighbours found in"), OVER,
            Column("hard", "fidelity", "share", "the majority of the nearest labels is the explained network's answer"),
            Column("first", "nearest alone", "share", "the label of the single nearest case is"),
            Column("soft", "soft fidelity", "share", "1 − half the difference of probabilities"),
        ],
        rows,
        [
            (
                f"{held.cases} cases, {int(held.evenly.sum())} images drawn evenly and all together "
                f"{int(held.wrong.sum())} errors, seed {found.seed}."
            ),
            *([f"Left out: {missing}."] if missing else []),
        ],
    )  # fmt: skip


def sampled_votes(found: TwinStudy, held: Controls, votes: Votes, over: str) -> dict[str, Measured]:
    """The votes of a control over the evenly drawn images, or over the errors."""
    rows = held.evenly if over == ALL else held.wrong
    draws = Draws(found.draws.counts[:, held.rows[rows]], found.draws.cluster[held.rows[rows]])
    exact = not np.any((votes.hard > 0) & (votes.hard < 1))  # a mean over shuffles is no share
    return {
        "hard": draws.mean(votes.hard[rows] > 0.5 if exact else votes.hard[rows], NO_ERROR),
        "first": draws.mean(votes.first[rows] > 0.5 if exact else votes.first[rows], NO_ERROR),
        "soft": draws.mean(votes.soft[rows], NO_ERROR),
    }


def gain(found: TwinStudy, held: Controls, votes: Votes, control: Votes) -> Measured:
    """Hard fidelity minus that of a control on the same evenly drawn images, from the same draws."""
    rows = held.rows[held.evenly]
    draws = Draws(found.draws.counts[:, rows], found.draws.cluster[rows])
    apart = votes.hard[held.evenly] - control.hard[held.evenly]
    low, high = interval(draws.means(apart))
    return Measured(float(apart.mean()), low, high, len(apart))


def known(values: NDArray[np.float64], where: Rows, draws: Draws) -> Measured:
    """The mean over those of the images that have a value, with its interval."""
    rows = where & np.isfinite(values)
    return draws.of_rows(rows).mean(values[rows], "no such image")


def _adjusted(hard: NDArray[np.float64], shuffled: NDArray[np.float64], draws: Draws) -> Measured:
    """``(Fid - Fid_shuf) / (1 - Fid_shuf)``; refused where the control is 1 already."""
    n = len(hard)
    if n == 0:
        return Measured(None, n=0, reason=NO_ERROR)
    chance = float(shuffled.mean())
    if chance >= 1.0 - 1e-9:
        return Measured(None, n=n, reason="the control is 100 %: not informative")
    means, chances = draws.means(hard), draws.means(shuffled)
    spread = np.divide(means - chances, 1.0 - chances, out=np.full(len(means), np.nan), where=chances < 1.0)
    low, high = interval(spread)
    if low == high:  # no draw moves a share of 0 or 1: Wilson's interval of the fidelity, on the same scale
        share = draws.mean(hard > 0.5)
        low, high = (None if edge is None else (edge - chance) / (1.0 - chance) for edge in (share.low, share.high))
    return Measured((float(hard.mean()) - chance) / (1.0 - chance), low, high, n)
