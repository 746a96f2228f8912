"""The home-made recipe that collapses, as a specimen for the detector: nothing here is how prototypes should be made.

Prototypes from a normal distribution, an add-on without sigmoid, one Adam at 1e-4, cross-entropy alone, torch's own
random linear layer for a head, 70 steps on 200 images. ``signed_head`` changes one thing: the head begins at +1 for the
own class and -0.5 for the other.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from casebase.networks.loaded import seeded
from casebase.networks.prototypes import collapse
from casebase.networks.prototypes.model import distances, log_similarity
from casebase.prototypes import Stage

K, WIDTH, STEPS, BATCH, RATE = 10, 128, 70, 32, 1e-4
COLLAPSES = 0
"""A seed with which the random head gives nearly every image to one class."""


def digits() -> tuple[torch.Tensor, np.ndarray]:
    """200 balanced handwritten ones and sevens as a trained network sees them ``(200, 64, 4, 4)``, and their classes.

    The maps have a standard deviation of 10, so that the small weights the recipe starts from do not flatten them.
    """
    bunch = load_digits()
    rows = np.concatenate([np.flatnonzero(bunch.target == one)[:100] for one in (1, 7)])
    images = torch.from_numpy(bunch.images[rows] / 16.0).float()[:, None]
    targets = (bunch.target[rows] == 7).astype(np.intp)
    with seeded(0):
        body = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU()
        )
        last = nn.Linear(64, 2)
        optimiser = torch.optim.Adam([*body.parameters(), *last.parameters()], 1e-2)
        for _ in range(60):
            scores = last(body(images).mean((2, 3)))
            cost = functional.cross_entropy(scores, torch.from_numpy(targets))
            optimiser.zero_grad()
            cost.backward()
            optimiser.step()
        with torch.no_grad():
            maps = body(images)
            right = (last(maps.mean((2, 3))).argmax(1).numpy() == targets).mean()
    assert right == 1.0, right
    return maps * (10.0 / maps.std()), targets


def home_made(seed: int = COLLAPSES, *, signed_head: bool = False) -> Stage:
    """What the detector says of the recipe; the network to compare with is one that is always right."""
    maps, targets = digits()
    of_class = np.repeat([0, 1], K)
    with seeded(seed):
        add_on = nn.Sequential(nn.Conv2d(maps.shape[1], WIDTH, 1), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 1), nn.ReLU())
        vectors, head = nn.Parameter(torch.randn(2 * K, WIDTH)), nn.Linear(2 * K, 2)
        if signed_head:
            own = torch.from_numpy(of_class)[None] == torch.arange(2)[:, None]
            nn.init.zeros_(head.bias)
            head.weight.data = torch.where(own, 1.0, -0.5)
        optimiser = torch.optim.Adam([*add_on.parameters(), vectors, *head.parameters()], RATE)
        for _ in range(STEPS):
            rows = torch.randint(len(maps), (BATCH,))
            near = distances(add_on(maps[rows]), vectors).flatten(2).min(2).values
            cost = functional.cross_entropy(head(log_similarity(near)), torch.from_numpy(targets)[rows])
            optimiser.zero_grad()
            cost.backward()
            optimiser.step()
        with torch.no_grad():
            similarities = log_similarity(distances(add_on(maps), vectors).flatten(2).min(2).values)
            scores = head(similarities)
    return collapse.stage(
        "home-made", scores=scores.numpy(), similarities=similarities.numpy(), targets=targets,
        network_predicted=targets, vectors=vectors.detach().numpy(), of_class=of_class, patches=None,
        classes=("one", "seven"), steps=STEPS,
    )  # fmt: skip
