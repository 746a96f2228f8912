"""The few figures about twins that are read first, each beside what it has to be compared with."""

from __future__ import annotations

from collections.abc import Mapping

from casebase.evaluate.error_detection import SOFTMAX
from casebase.evaluate.fidelity_tables import ERRORS, NO_ERROR, fidelity_cells, overs
from casebase.evaluate.resampling import Draws
from casebase.evaluate.stability import Stability
from casebase.evaluate.twin_study import TwinStudy
from casebase.evaluations import Cell, Column, Table


def summary(found: TwinStudy) -> Table:
    """Fidelity over errors and over all, error detection, contradiction, stability."""
    rows = [*_fidelity(found), _trust(found), _contradicted(found)]
    if found.stability is not None and found.stability.turnovers:
        rows.append(_staying(found, found.stability))
    return Table(
        "overall",
        "The short of it",
        "Each figure means something only beside the one it is compared with.",
        [
            Column("figure", "figure"),
            Column("value", "value", "share"),
            Column("control", "compare", "share", "what the figure has to be compared with"),
            Column("against", "with"),
        ],
        rows,
    )


def _fidelity(found: TwinStudy) -> list[Mapping[str, Cell]]:
    own = found.spaces[0]
    rows: list[Mapping[str, Cell]] = []
    for over, where, draws in overs(found):
        cells = fidelity_cells(found, own, over, where, draws)
        name, place = ("fidelity on errors", "where it is wrong") if over == ERRORS else ("fidelity", "on all images")
        rows.insert(
            0,
            {
                "figure": name,
                "value": cells["fidelity"],
                "control": cells["shuffled"],
                "against": "other images' features",
                "reading": f"the {found.k} nearest vote like the network {place}",
            },
        )
    return rows


def _trust(found: TwinStudy) -> Mapping[str, Cell]:
    by_key = {one.score.key: one.figures["auroc"] for one in found.detections}
    return {
        "figure": "trust score finds errors",
        "value": by_key["trust"],
        "control": by_key[SOFTMAX],
        "against": "max-softmax",
        "reading": "AUROC: chance that a wrong answer scores below a right one; 50 % is blind",
    }


def _contradicted(found: TwinStudy) -> Mapping[str, Cell]:
    wrong, raised = found.queries.wrong, found.alarms[0].raised
    return {
        "figure": "neighbours contradict errors",
        "value": found.draws.of_rows(wrong).mean(raised[wrong], NO_ERROR),
        "control": found.draws.of_rows(~wrong).mean(raised[~wrong], "no right answer"),
        "against": "right answers",
        "reading": found.alarms[0].title,
    }


def _staying(found: TwinStudy, held: Stability) -> Mapping[str, Cell]:
    draws = Draws(found.draws.counts[:, held.rows], found.draws.cluster[held.rows])
    again, *changed = held.turnovers
    worst = min(changed, key=lambda turn: float(turn.nearest.mean()))
    return {
        "figure": "neighbours stay",
        "value": draws.mean(worst.nearest),
        "control": draws.mean(again.nearest),
        "against": "picture unchanged",
        "reading": f"under the harmless change that moves them most: {worst.change.title}",
    }
