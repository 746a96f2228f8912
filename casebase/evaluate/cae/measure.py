"""``casebase evaluate cae``: what the class association embedding of a base is worth, worst news first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from casebase.association import ROUTES
from casebase.evaluate.cae import plots, removal, tables, words
from casebase.evaluate.cae.options import CaeOptions
from casebase.evaluate.cae.study import CaeRun, Study, study
from casebase.evaluations import Evaluation
from casebase.explain.cae.walking import FRAMES
from casebase.networks.cae import checks
from casebase.parts import Part
from casebase.ports import CaseBase

__all__ = ["CaeOptions", "CaeRun", "measure"]


def measure(base: CaseBase, part: Part, options: CaeOptions, run: CaeRun) -> Evaluation:
    """Swaps, whose images they are, both codes, walks, proximity, and the maps where the run can make them.

    Raises ``DataError`` where nothing in ``part`` can be swapped.
    """
    found = study(base.snapshot(), part, options, run)
    images = "training images" if part.training else f"images of {part.name}"
    return Evaluation(
        kind="cae", title=f"The class association embedding on {found.looked.n} {images}",
        statements=words.statements(found), tables=tables.tables(found), plots=plots.plots(found),
        settings=_settings(found), per_query=_per_query(found),
    )  # fmt: skip


def _settings(found: Study) -> Mapping[str, Any]:
    """What the figures were made under."""
    made, options, run = found.found, found.options, found.run
    return {
        "split": found.part.split, "status": str(found.part.status), "images": found.looked.n, "of": found.looked.of,
        "outside": found.looked.outside, "edits": len(found.swaps.source), "walks": len(found.walked.rows),
        "frames": FRAMES, "seed": run.seed,
        "embedding": {
            "digest": made.digest, "preset": made.preset, "size": asdict(made.size), "target": made.target,
            "classes": list(made.classes), "trustworthy": made.trustworthy, "failed": list(made.failed),
            "created": made.created,
        },
        "gates": {
            "reassigned": checks.REASSIGNED, "rebuilt": checks.REBUILT, "resized": checks.RESIZED,
            "monotone": checks.MONOTONE, "nearer_source": checks.NEARER,
        },
        "removal": None if found.maps is None else {
            "images": len(found.maps.outcome.images), "side": f"1/{removal.SIDES}", "area": removal.AREA,
            "draws": options.draws, "fills": list(removal.FILLS), "left out": dict(found.maps.outcome.skipped),
        },
        "masks": None if run.mask_facts is None else dict(run.mask_facts),
        "images_gone": found.looked.missing.gone, "images_altered": found.looked.missing.altered,
        "bootstrap_draws": len(found.draws.counts),
        "interval": "95 %; shares of images: Wilson (1927), by image or group where edits belong together; else "
                    "bootstrap over images; differences are paired",
    }  # fmt: skip


def _per_query(found: Study) -> list[dict[str, Any]]:
    """One row per image: what it is called, how it is rebuilt, what its swaps and walks came to."""
    rows: list[dict[str, Any]] = []
    looked, swaps = found.looked, found.swaps
    walked = {row: place for place, row in enumerate(found.walked.rows.tolist())}
    for row, case in enumerate(looked.cases):
        edits = swaps.source == row
        one: dict[str, Any] = {
            "id": case.id, "path": case.path, "label": case.label, "group": case.group,
            "predicted": found.classes[looked.called[row]], "rebuilt_called": _named(found, found.rebuilt.called[row]),
            "reconstruction_error": float(found.rebuilt.error[row]), "swaps": int(edits.sum()),
            "reassigned": int((swaps.called == swaps.wanted)[edits].sum()),
            "nearer_source": float(swaps.whose["pixels"].nearer_source[edits].sum()),
        }  # fmt: skip
        for route in ROUTES if row in walked else ():
            walk = found.walked.walks[route][walked[row]]
            one |= {
                "rival": walk.rival, f"{route}_flip_at": None if walk.flip is None else walk.flip.at,
                f"{route}_monotone": walk.monotone, f"{route}_refused": walk.refused,
            }  # fmt: skip
        rows.append(one)
    return rows


def _named(found: Study, place: int) -> str | None:
    return found.classes[place] if place >= 0 else None
