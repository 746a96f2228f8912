"""The usual notebook script, written the way it is usually written: what ``casebase index`` is timed against.

PIL -> torchvision transforms -> DataLoader without workers -> ResNet-18 in fp32 -> list -> scikit-learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.neighbors import NearestNeighbors
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.models import resnet18

BATCH = 32


class _Images(Dataset[torch.Tensor]):
    """Files as normalised tensors."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._transform = transforms.Compose([
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ])  # fmt: skip

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, place: int) -> torch.Tensor:
        with Image.open(self._files[place]) as opened:
            found: torch.Tensor = self._transform(opened.convert("RGB"))
        return found


class Script:
    """The script's model is loaded once; :meth:`run` is the part that grows with the number of images."""

    def __init__(self, files: Sequence[Path], weights: Path) -> None:
        model = resnet18(weights=None)
        state: dict[str, Any] = torch.load(weights, weights_only=True, map_location="cpu")
        model.load_state_dict({name: value.float() for name, value in state.items()})
        model.fc = nn.Identity()
        self._model = model.eval()
        self._files = files

    def run(self, threads: int) -> NDArray[np.float32]:
        """Embed every file and fit the neighbours, with torch on so many threads; gives the embeddings ``(N, 512)``."""
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            found = []
            with torch.no_grad():
                for batch in DataLoader(_Images(self._files), batch_size=BATCH, num_workers=0):
                    found.append(self._model(batch).numpy())
            embeddings: NDArray[np.float32] = np.concatenate(found)
            NearestNeighbors(n_neighbors=5, metric="cosine").fit(embeddings)
            return embeddings
        finally:
            torch.set_num_threads(before)
