"""What a model folder remembers of its training, and what that means for the next command."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import casebase
from casebase.commands import typed
from casebase.errors import CasebaseError, UsageError
from casebase.evaluations import Measured
from casebase.explanations import Level, Statement
from casebase.indexer.sources import TRAINING, Source, open_source
from casebase.indexer.splitting import Division
from casebase.reading import percent, printable
from casebase.trained import Epoch, Trained

if TYPE_CHECKING:
    from casebase.networks.fine_tune import Tuned
    from casebase.networks.model_folder import Description

SPLIT_FILE = "split.csv"
LEAKS = "leaks"
"""The setting of a base that keeps what its network's training was allowed to share between parts."""


def metadata(
    tuned: Tuned,
    key: Mapping[str, Any],
    parts: Division,
    warnings: Sequence[str],
    normalisation: Mapping[str, Any],
    skipped: int,
) -> dict[str, Any]:
    """The training as JSON, for ``model.json``."""
    measured = tuned.metrics()
    return {
        **measured,
        "casebase": casebase.__version__,
        "data_digest": parts.digest,
        "counts": parts.counts(),
        "made_parts": list(parts.made),
        "leaks": list(parts.leaks),
        "skipped": skipped,
        "normalisation": dict(normalisation),
        "warnings": [*warnings, *nothing_learnt(measured["accuracy"], parts.counts())],
        "key": dict(key),
    }


def nothing_learnt(accuracy: Mapping[str, Mapping[str, Any]], counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """What to say where the network is right no more often than one answer given to every image would be.

    ``accuracy`` has ``value`` in [0, 1] by part, ``counts`` images by part and label. Validation images tell, or
    training images where there are none.
    """
    part = "val" if "val" in accuracy else "train"
    value, labels = accuracy[part]["value"], counts[part]
    name = max(labels, key=lambda label: labels[label])
    always = labels[name] / sum(labels.values())
    if value <= always:
        images = "validation" if part == "val" else "training"
        yield (
            f"nothing was learnt: {percent(value)} of the {images} images are right, and always answering "
            f"{printable(name)} would be right on {percent(always)}; "
            "try more --epochs, or another --lr"
        )


def finished(
    folder: Path,
    network: str,
    facts: Mapping[str, Any],
    skipped: Mapping[str, str],
    *,
    already: bool = False,
    resumed_after: int | None = None,
) -> Trained:
    """The result of a training, from what its model folder remembers."""
    shown = {name: value for name, value in facts.items() if name not in ("epochs", "accuracy", "warnings", "key")}
    return Trained(
        folder=folder,
        network=network,
        classes=list(facts["key"]["classes"]),
        accuracy={n: Measured(m["value"], m["low"], m["high"], m["n"]) for n, m in facts["accuracy"].items()},
        epochs=[Epoch(**epoch) for epoch in facts["epochs"]],
        kept=facts["kept_epoch"],
        selected_by=facts["selected_by"],
        seconds=facts["seconds"],
        facts=shown,
        skipped=skipped,
        warnings=list(facts["warnings"]),
        already=already,
        resumed_after=resumed_after,
    )


def same_training(known: Description, key: Mapping[str, Any], out: Path) -> None:
    """Raise ``UsageError`` where the model folder at ``out`` is not what a training with this key would make."""
    from casebase.networks.resuming import differences

    theirs = known.metadata.get("key")
    if not isinstance(theirs, Mapping):
        raise UsageError(
            f"{printable(str(out))} holds a model that was not made by `casebase train`; "
            "name another --out, or say --fresh to replace it"
        )
    apart = differences({name: theirs.get(name) for name in key}, key)
    if apart:
        raise UsageError(
            f"{printable(str(out))} holds a model trained otherwise ({'; '.join(apart)}: there / now); "
            "name another --out, or say --fresh to replace it"
        )


def leaks_of(model: str | None) -> list[str]:
    """Images that the training of a model folder was allowed to share between parts, in words; none elsewhere."""
    from casebase.networks import model_folder

    folder = Path(model or "")
    if model is None or not (folder / model_folder.DESCRIPTION).is_file():
        return []
    known = model_folder.describe(folder).metadata.get("leaks")
    return [str(one) for one in known] if isinstance(known, list) else []


def leaks_told(leaks: Sequence[str] | None) -> list[Statement]:
    """The alarm about a leak that was allowed in training, wherever the network's figures are told."""
    if not leaks:
        return []
    often = "once" if len(leaks) == 1 else f"{len(leaks)} times"
    return [
        Statement(
            f"The network was trained with --allow-leak: its parts share images or groups, {often} (as "
            f"{printable(leaks[0])}). Figures on such held-out images flatter it.",
            Level.ALARM,
        )
    ]


def held_out_by_model(model: str | None, source: Source, split: str | None) -> list[str]:
    """A note, where a source without splits holds images that the named model was measured on.

    Indexed so, they would become cases: answers to themselves, and no longer a yardstick.
    """
    path = Path(model or "", SPLIT_FILE)
    if model is None or split is not None or source.has_training_split or not path.is_file():
        return []
    try:
        parts = open_source(path)
    except CasebaseError:
        return []
    apart = {
        os.path.realpath(parts.root / image.relative)
        for image in parts.listed
        if image.split is not None and image.split.lower() not in TRAINING
    }
    shared = sum(os.path.realpath(source.root / image.relative) in apart for image in source.listed)
    if not shared:
        return []
    told = f"{shared} of these images are the model's own validation or test images, and would become cases"
    return [told + "".join(f"; to hold them out: {line}" for line in typed("index", path, "--model", model))]
