"""``casebase evaluate prototypes``: what the prototypes of a base are worth, beside the network, worst news first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from casebase.evaluate.prototypes import hidden, steadiness, tables, words
from casebase.evaluate.prototypes.formats import QUALITIES
from casebase.evaluate.prototypes.gathering import CHECKED
from casebase.evaluate.prototypes.options import PrototypeOptions
from casebase.evaluate.prototypes.sights import Candidate
from casebase.evaluate.prototypes.study import PrototypeRun, Study, study
from casebase.evaluations import Evaluation
from casebase.parts import Part
from casebase.ports import CaseBase

__all__ = ["Candidate", "PrototypeOptions", "PrototypeRun", "measure"]


def measure(
    base: CaseBase, part: Part, options: PrototypeOptions, candidates: Sequence[Candidate], run: PrototypeRun
) -> Evaluation:
    """Accuracy beside the network's, make-up, steadiness, re-encoding, deletion, and masks and parts where given.

    All images of ``part`` are read again, and go through each candidate once; ``options.sample`` of them many times.
    Raises ``DataError`` where no image can be read, or masks or parts do not fit.
    """
    found = study(base.snapshot(), part, options, candidates, run)
    images = "training images" if part.training else f"images of {part.name}"
    return Evaluation(
        kind="prototypes",
        title=f"The prototypes on {found.n} {images}",
        statements=words.statements(found),
        tables=tables.tables(found),
        plots=[],
        settings=_settings(found),
        per_query=_per_query(found),
    )


def _settings(found: Study) -> Mapping[str, Any]:
    """What the figures were made under."""
    run, parts = found.run, found.run.parts
    return {
        "split": found.part.split, "status": str(found.part.status), "images": found.n,
        "errors": int((found.truth != found.network_called).sum()), "seed": run.seed,
        "sample": len(found.looked.sampled), "checked": min(CHECKED, len(found.looked.sampled)),
        "profiles": {one.found.profile: _facts(one.found.digest, one.found.layer, one.found.target, one.found.created)
                     for one in found.profiles},
        "noise": {"sigma": steadiness.SIGMA, "limit": steadiness.LIMIT, "unit": "normalised image"},
        "qualities": [quality for quality in QUALITIES if quality is not None],
        "hidden": {"matches": hidden.MATCHES, "random_draws": hidden.DRAWS, "fill": "blur"},
        "masks": None if run.mask_facts is None else dict(run.mask_facts),
        "parts": None if parts is None else dict(parts.facts),
        "images_gone": found.missing.gone, "images_altered": found.missing.altered,
        "bootstrap_draws": len(found.draws.counts),
        "interval": "95 %; shares of images: Wilson (1927), by group where images belong together; else bootstrap over "
                    "images; gaps are paired",
    }  # fmt: skip


def _facts(digest: str, layer: str, target: str, created: str) -> dict[str, str]:
    return {"digest": digest, "layer": layer, "target": target, "created": created}


def _per_query(found: Study) -> list[dict[str, Any]]:
    """One row per image: label, the network's answer, and each set's answer with its strongest match."""
    told, rows = found.outcomes, []
    for place, row in enumerate(found.looked.rows.tolist()):
        case = told.cases[row]
        one: dict[str, Any] = {
            "id": case.id, "path": case.path, "label": case.label, "predicted": case.predicted, "group": case.group,
            "right": case.label == case.predicted, "confidence": float(told.confidence[row]),
        }  # fmt: skip
        for profile in found.profiles:
            name, sight = profile.found.profile, profile.look.sight
            top = int(sight.top[place])
            one[f"{name}_called"] = told.names[int(profile.called[place])]
            one[f"{name}_top"] = profile.found.prototypes[top].number
            one[f"{name}_similarity"] = float(sight.similarity[place, top])
        rows.append(one)
    return rows
