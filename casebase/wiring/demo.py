"""What the demo needs beyond an ordinary run: a small network trained on drawn birds, or a downloaded set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from casebase import reading
from casebase.indexer.sources import Listed, open_source
from casebase.settings import Settings
from casebase.storage.writing import SqlCaseStore


def train_birds(folder: Path, target: Path, settings: Settings, announce: Callable[[str], None]) -> Mapping[str, Any]:
    """Fine-tune a small network on the drawn birds, in under a minute on two cores, and save it as a model folder.

    The recipe was found on seeds 0 to 2 (see docs/demo.md); validation images are only looked at, not chosen by.
    """
    from casebase.networks import backbones, devices, fine_tune, model_folder

    train, val = open_source(folder).chosen("train"), open_source(folder).chosen("val")
    classes = sorted({image.label for image in train})
    start = backbones.load(backbones.Wanted("casebase:resnet10", pretrained=False, seed=settings.seed))
    options = fine_tune.Options(
        epochs=9,
        lr=2e-3,
        batch_size=32,
        optimiser="adamw",
        weight_decay=0.05,
        warm_up=0.25,
        shift=8,
        seed=settings.seed,
    )

    def told(epoch: fine_tune.Epoch) -> None:
        seen = "" if epoch.val_accuracy is None else f", validation {reading.percent(epoch.val_accuracy)}"
        announce(f"  epoch {epoch.number}/{epoch.of}: loss {epoch.loss:.2f}, {epoch.seconds:.0f} s{seen}")

    def labelled(images: Sequence[Listed]) -> fine_tune.Labelled:
        found = [reading.read(folder / image.relative) for image in images]
        views = np.stack([start.preprocess.pixels(picture.image) for picture in found])
        return fine_tune.Labelled(views, [classes.index(image.label) for image in images])

    tuned = fine_tune.fine_tune(
        start, labelled(train), classes, val=labelled(val), options=options, device=devices.choose(settings.device),
        on_epoch=told,
    )  # fmt: skip
    metrics = tuned.metrics()
    model_folder.save(tuned.network, target, metadata=metrics)
    return metrics


def examples(store: SqlCaseStore) -> list[Path]:
    """Files of one image the network gets right and one it gets wrong, held-out ones before cases."""
    return [case.file for case in store.some_right_and_wrong()]


def fetch_pets(folder: Path) -> Path:
    """Download Oxford-IIIT Pet and return its manifest."""
    from casebase.networks import torchvision_data

    return torchvision_data.pets(folder)
