"""What the demo needs beyond an ordinary run: a small network trained on a drawn set, or a downloaded set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from casebase.indexer import epoch_in_words
from casebase.networks.recipe import Recipe
from casebase.settings import Settings
from casebase.storage.writing import SqlCaseStore
from casebase.trained import Epoch, Onlooker, Step, Trained
from casebase.wiring.training import TrainOptions, train


def train_drawn(folder: Path, target: Path, settings: Settings, announce: Callable[[str], None]) -> Trained:
    """Train a small network on a drawn set, in under a minute on two cores, and save it as a model folder.

    The recipe was found on birds of seeds 0 to 2 (see docs/demo.md); validation images are only looked at.
    """
    recipe = Recipe(
        epochs=9,
        lr=2e-3,
        batch_size=32,
        optimiser="adamw",
        weight_decay=0.05,
        schedule="onecycle",
        warm_up=0.25,
        shift=8,
        patience=0,
        keep="last",
    )

    def told(moment: Step | Epoch) -> None:
        if isinstance(moment, Epoch):
            announce(f"  {epoch_in_words(moment)}")

    options = TrainOptions(out=target, model="casebase:resnet10", pretrained=False, recipe=recipe)
    return train(settings, folder, options, Onlooker(told=told))


def examples(store: SqlCaseStore) -> list[Path]:
    """Files of one image the network gets right and one it gets wrong, held-out ones before cases."""
    return [case.file for case in store.some_right_and_wrong()]


def fetch_pets(folder: Path) -> Path:
    """Download Oxford-IIIT Pet and return its manifest."""
    from casebase.networks import torchvision_data

    return torchvision_data.pets(folder)
