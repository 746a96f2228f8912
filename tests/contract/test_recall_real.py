"""Recall of every list against brute force on embeddings of real pictures: two classes, ten, and unbalanced sets.

The pictures are scikit-learn's handwritten digits (real scans, shipped with the library), read by a convolutional
network with random weights: its pooled features are embeddings of real images, though of an untrained network.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from casebase.ports import Where
from casebase.settings import Settings
from casebase.storage.memory import MemoryCaseStore
from casebase.storage.opening import make_store
from casebase.storage.verify import recall_table
from casebase.storage.writing import SqlCaseStore
from tests.fakes import changes, entry, fingerprint

Digits = tuple[NDArray[np.float32], NDArray[np.int64]]


@pytest.fixture(scope="module")
def digits() -> Digits:
    from sklearn.datasets import load_digits

    from casebase.networks import backbones
    from casebase.networks.explained import ExplainedNetwork

    scans, labels = load_digits(return_X_y=True)
    network = ExplainedNetwork(backbones.load(backbones.Wanted("casebase:resnet10", pretrained=False, seed=0)))
    grey = (scans.reshape(-1, 8, 8) / 16 * 255).astype(np.uint8)
    views = np.stack([network.preprocess.pixels(Image.fromarray(scan).convert("RGB")) for scan in grey])
    parts = [network.read(views[start : start + 64]).features for start in range(0, len(views), 64)]
    return np.concatenate(parts), labels


def pick(digits: Digits, counts: dict[int, int]) -> tuple[NDArray[np.float32], list[str]]:
    """The first so many of some digits."""
    vectors, labels = digits
    rows = [row for digit, n in counts.items() for row in np.flatnonzero(labels == digit)[:n].tolist()]
    return vectors[rows], [str(labels[row]) for row in rows]


SETS = {
    "two classes": {3: 183, 8: 174},
    "two classes, one rare": {3: 183, 8: 9},
    "ten classes": dict.fromkeys(range(10), 174),
    "ten classes, two thinned to a tenth": {**dict.fromkeys(range(10), 174), 4: 17, 9: 17},
}


@pytest.fixture(params=list(SETS))
def filled(
    request: pytest.FixtureRequest, digits: Digits, tmp_path: Path
) -> Iterator[tuple[SqlCaseStore, MemoryCaseStore]]:
    vectors, labels = pick(digits, SETS[request.param])
    classes = sorted(set(labels))
    entries = []
    for number, (vector, label) in enumerate(zip(vectors, labels, strict=True)):
        softmax = np.eye(len(classes), dtype=np.float32)[classes.index(label)]
        entries.append(entry(f"{number:05d}", vector, 0, label=label, probabilities=softmax))
    sql, oracle = make_store(Settings(base=tmp_path / "base")), MemoryCaseStore()
    for store in (sql, oracle):
        store.source(Path("/nowhere"))
        with store.writing("test") as run:
            store.declare("avgpool", fingerprint(vectors.shape[1]), {})
            store.retain(run, entries)
            store.publish(run, changes(facts={"fingerprint": "c0ffee", "classes": classes, "fair": True}))
    yield sql, oracle
    sql.close()


def test_every_list_equals_brute_force(filled: tuple[SqlCaseStore, MemoryCaseStore]) -> None:
    """Recall@5: nearest >= 0.99, twins and counterfactuals 1.00; each query is left out of its own answer."""
    sql, oracle = filled
    names = sorted(case for case in (f"{i:05d}" for i in range(sql.count())))
    asked = names[:: max(1, len(names) // 40)]
    recall: dict[str, list[float]] = {"nearest": [], "twins": [], "counterfactuals": []}
    for name in asked:
        vector = oracle.vectors("avgpool", [name])[0]
        own = oracle.get([name])[name].predicted
        rivals = tuple(c for c in oracle.classes() if c != own)
        for kind, where in (("nearest", Where()), ("twins", Where((own,))), ("counterfactuals", Where(rivals))):
            truth = [h.case.id for h in oracle.nearest("avgpool", vector, 6, where=where).hits if h.case.id != name][:5]
            found = [h.case.id for h in sql.nearest("avgpool", vector, 6, where=where).hits if h.case.id != name][:5]
            recall[kind].append(len(set(truth) & set(found)) / len(truth))
    assert np.mean(recall["nearest"]) >= 0.99
    assert np.mean(recall["twins"]) == 1.0
    assert np.mean(recall["counterfactuals"]) == 1.0


def test_verify_deep_reports_the_same(filled: tuple[SqlCaseStore, MemoryCaseStore]) -> None:
    sql, _ = filled
    served = {row["list"]: row for row in recall_table(sql, sql.view(), "avgpool", 60) if row["served"]}
    assert served["nearest"]["recall"] >= 0.99
    assert served["twins"]["recall"] == served["counterfactuals"]["recall"] == 1.0
    assert served["counterfactuals"]["nearest_missed"] == 0.0
