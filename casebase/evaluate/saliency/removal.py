"""Deletion and insertion curves.

V. Petsiuk, A. Das, K. Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018,
https://arxiv.org/abs/1806.07421. Pixels go by falling value. Deletion replaces blocks of the image by zeros after
normalisation; insertion restores them on the blurred image. The figure is the area under the score against the share
of pixels replaced or restored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casebase.evaluate.saliency.asking import ask, checked
from casebase.evaluate.saliency.hiding import descending, substrate
from casebase.evaluate.saliency.metric import BenchSettings, Figure, Image, Map, Metric, Predict, Scored, Subject


@dataclass(frozen=True, eq=False)
class Areas:
    """``counts (B + 1,)`` pixels replaced or restored, from none to all, and the two scores ``(B + 1,)`` at each."""

    counts: NDArray[np.intp]
    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]

    def shares(self, widths: str = "true") -> NDArray[np.float64]:
        """The x-axis ``(B + 1,)``: true shares of the pixels, or ``equal`` steps as in RISE's code.

        They differ where the last block is shorter than the others.
        """
        return np.linspace(0.0, 1.0, len(self.counts)) if widths == "equal" else self.counts / self.counts[-1]

    def areas(self, widths: str = "true") -> tuple[float, float]:
        """Trapezoids under deletion (lower is better) and insertion (higher is better)."""
        x = self.shares(widths)
        return float(np.trapezoid(self.deletion, x)), float(np.trapezoid(self.insertion, x))


def counts(pixels: int, steps: int) -> NDArray[np.intp]:
    """How many pixels are gone after each block, from 0 to all, in blocks of ceil(``pixels`` / ``steps``)."""
    return np.append(np.arange(0, pixels, -(-pixels // steps)), pixels)


def deletion_insertion(
    values: Map, image: Image, predict: Predict, before: float, steps: int, substrates: Sequence[Image]
) -> Areas:
    """Both curves of a map ``(H, W)`` on ``image (3, H, W)``; ``before`` is the score of the image as it is.

    ``substrates`` are one image ``(3, H, W)`` for both curves, or those of deletion and of insertion. Equal values go
    in reading order. The curves share the untouched image, and the substrate where there is one: 2 (B - 1) + 1 forward
    passes for B blocks, or one more.
    """
    place = np.empty(values.size, np.intp)
    place[descending(checked(values, image))] = np.arange(values.size)
    turn = place.reshape(values.shape)
    at = counts(values.size, steps)
    away, start = substrates[0], substrates[-1]

    def images() -> Iterator[Image]:
        yield from substrates
        for gone in at[1:-1]:
            yield np.where(turn < gone, away, image)
            yield np.where(turn < gone, image, start)

    found = ask(predict, images())
    ends, between = found[: len(substrates)], found[len(substrates) :].reshape(-1, 2)
    return Areas(
        at,
        np.concatenate([[before], between[:, 0], ends[:1]]),
        np.concatenate([ends[-1:], between[:, 1], [before]]),
    )


def _removal(values: Map, subject: Subject, settings: BenchSettings) -> Scored:
    zeros, start = (substrate(subject.fed, fill) for fill in ("normalised_zero", settings.insertion_substrate))
    substrates = [zeros] if settings.insertion_substrate == "normalised_zero" else [zeros, start]
    found = deletion_insertion(values, subject.fed, subject.predict, subject.before, settings.steps, substrates)
    deletion, insertion = found.areas(settings.step_widths)
    x = found.shares(settings.step_widths).tolist()
    return Scored(
        {"deletion": deletion, "insertion": insertion},
        {"deletion": (x, found.deletion.tolist()), "insertion": (x, found.insertion.tolist())},
    )


def _passes(settings: BenchSettings) -> int:
    """Of an image large enough for blocks of equal size; others may cost less."""
    return 2 * (settings.steps - 1) + (1 if settings.insertion_substrate == "normalised_zero" else 2)


METRICS: tuple[Metric, ...] = (
    Metric(
        name="deletion",
        title="Deletion and insertion",
        source="Petsiuk et al. 2018, RISE, https://arxiv.org/abs/1806.07421",
        figures=(
            Figure("deletion", "Deletion", "lower", "number", "Area under the softmax while the most relevant pixels "
                   "are replaced by the mean colour."),
            Figure("insertion", "Insertion", "higher", "number", "Area under the softmax while the most relevant "
                   "pixels come back."),
        ),
        score=_removal,
        passes=_passes,
        settings=("steps", "step_widths", "insertion_substrate"),
    ),
)  # fmt: skip
"""What this module measures."""
