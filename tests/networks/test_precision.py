"""bf16 only where it is fast and agrees; the figures always come along."""

from __future__ import annotations

import numpy as np
import pytest

from casebase.cases import Fingerprint
from casebase.networks import precision
from casebase.ports import Reading
from casebase.reading import Preprocess


class Plain:
    """An embedder whose vectors are the views' first row, plus noise."""

    space, batch_size = "avgpool", 4
    fingerprint = Fingerprint("plain", "0", "0", "fp32", 24)
    preprocess = Preprocess(8, (8, 8), "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

    def __init__(self, noise: float = 0.0) -> None:
        self.noise = noise

    def read(self, views: np.ndarray) -> Reading:
        rows = views[:, 0].reshape(len(views), -1).astype(np.float32) - 128
        return Reading(rows + self.noise * np.random.default_rng(0).normal(size=rows.shape).astype(np.float32), None)


VIEWS = np.random.default_rng(1).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize(("noise", "choice"), [(0.0, "bf16"), (0.05, "bf16"), (30.0, "fp32")])
def test_agreement_decides(monkeypatch: pytest.MonkeyPatch, noise: float, choice: str) -> None:
    monkeypatch.setattr(precision, "fast_bf16", lambda device: True)
    chosen, figures = precision.choose(Plain(), lambda: Plain(noise), VIEWS)
    assert chosen == figures["choice"] == choice
    assert figures["n"] == 40
    assert 0 <= figures["top5_overlap"] <= 1
    assert figures["min_cosine"] <= 1 + 1e-9
    assert figures["speed_ratio"] > 0


def test_without_fast_bf16_or_images_nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> Plain:
        raise AssertionError

    monkeypatch.setattr(precision, "fast_bf16", lambda device: False)
    assert precision.choose(Plain(), never, VIEWS)[0] == "fp32"
    monkeypatch.setattr(precision, "fast_bf16", lambda device: True)
    chosen, figures = precision.choose(Plain(), never, VIEWS[:3])
    assert (chosen, figures["min_cosine"]) == ("fp32", None)
    assert "3 images are too few" in figures["reason"]


def test_agreement_by_hand() -> None:
    eye = np.eye(8, dtype=np.float32) + 0.1
    assert precision.agreement(eye, eye) == pytest.approx((1, 1, 1))
    turned = eye.copy()
    turned[0] = -turned[0]
    assert precision.agreement(eye, turned)[0] == pytest.approx(-1)
