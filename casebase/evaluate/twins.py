"""``casebase evaluate twins``: what the twins of a base are worth, worst news first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from casebase.evaluate.evidence_tables import evidence_tables
from casebase.evaluate.fidelity_tables import fidelity_tables
from casebase.evaluate.neighbours import Lists
from casebase.evaluate.twin_fidelity import SHUFFLES
from casebase.evaluate.twin_options import TwinOptions
from casebase.evaluate.twin_plots import plots
from casebase.evaluate.twin_study import TwinNetworks, TwinRun, TwinStudy, silent, study
from casebase.evaluate.twin_summary import summary
from casebase.evaluate.twin_words import statements
from casebase.evaluations import Evaluation
from casebase.parts import Part
from casebase.ports import CaseBase

__all__ = ["TwinNetworks", "TwinOptions", "TwinRun", "measure", "silent"]


def measure(
    base: CaseBase, part: Part, options: TwinOptions, networks: TwinNetworks, run: TwinRun = TwinRun()
) -> Evaluation:
    """Fidelity with its controls, error detection, contradiction, stability and hubness of the twins of ``part``.

    Nothing but the sampled images of stability and of the random network goes through a network. Raises
    ``EmptyCaseBase``, ``UsageError``, and what reading the networks raises.
    """
    found = study(base.snapshot(), part, options, networks, run)
    return Evaluation(
        kind="twins",
        title=title(found),
        statements=statements(found),
        tables=[summary(found), *fidelity_tables(found), *evidence_tables(found)],
        plots=plots(found),
        settings=settings(found),
        per_query=per_query(found),
    )


def title(found: TwinStudy) -> str:
    """What was measured on what."""
    images = "training images" if found.part.training else f"images of {found.part.name}"
    return f"The twins of {len(found.queries)} {images}"


def settings(found: TwinStudy) -> Mapping[str, Any]:
    """What the figures were made under."""
    held, steady = found.controls, found.stability
    return {
        "split": found.part.split,
        "status": str(found.part.status),
        "k": found.k,
        "seed": found.seed,
        "cases": len(found.sides.cases),
        "queries": len(found.queries),
        "errors": found.errors,
        "classes": found.sides.cases.probabilities.shape[1],
        "groups": len({group for group in found.sides.cases.groups if group is not None}),
        "spaces_measured": [space.space for space in found.spaces],
        "metric": "1 - cosine; ties by id; copies and groups of the query left out; near-duplicates not folded",
        "fingerprint": found.fingerprint,
        "bootstrap_draws": len(found.draws.counts),
        "shuffles": SHUFFLES,
        "control_cases": 0 if held is None else held.cases,
        "control_queries": 0 if held is None else len(held.rows),
        "stability_images": 0 if steady is None else len(steady.rows),
        "images_gone": sum(one.missing.gone for one in (held, steady) if one is not None),
        "images_altered": sum(one.missing.altered for one in (held, steady) if one is not None),
    }


def per_query(found: TwinStudy) -> list[dict[str, Any]]:
    """One row per image: label, answer, every score, the lists, and how each space voted."""
    queries, evidence = found.queries, found.evidence
    scores = {one.score.key: one.score.values for one in found.detections}
    rows: list[dict[str, Any]] = []
    for row, case in enumerate(queries.cases):
        told: dict[str, Any] = {
            "id": case.id, "path": case.path, "label": case.label, "predicted": case.predicted,
            "group": case.group, "right": not queries.wrong[row],
            "confidence": float(queries.probabilities[row].max()),
        }  # fmt: skip
        told |= {key: _plain(values[row]) for key, values in scores.items()}
        told["twin_distance"], told["unlike_distance"] = _plain(evidence.twin[row]), _plain(evidence.unlike[row])
        at = int(evidence.unlike_case[row])
        told["unlike"] = found.sides.cases.cases[at].id if at >= 0 else None
        for space in found.spaces:
            told[f"nearest_{space.space}"] = _ids(found, space.lists, row)
            told[f"twins_{space.space}"] = _ids(found, space.twins, row)
            told[f"votes_like_network_{space.space}"] = bool(space.votes.hard[row] > 0.5)
            told[f"soft_fidelity_{space.space}"] = _plain(space.votes.soft[row])
        rows.append(told)
    return rows


def _ids(found: TwinStudy, lists: Lists, row: int) -> str:
    return " ".join(found.sides.cases.cases[i].id for i in lists.index[row][lists.filled[row]].tolist())


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
