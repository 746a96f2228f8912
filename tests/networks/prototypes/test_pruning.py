"""What is dropped, and what is kept in spite of it."""

from __future__ import annotations

import numpy as np

from casebase.networks.prototypes import pruning

EYE = np.eye(4, dtype=np.float32)


def test_the_weak_the_alike_and_the_impure_go_with_their_reasons() -> None:
    vectors = np.stack([EYE[0], EYE[0], EYE[1], EYE[2], EYE[3], EYE[1]])
    weight = np.array([1.0, 0.5, 0.7, 0.001, 0.9, 0.8])
    keep, gone = pruning.kept(weight, vectors, [0, 0, 0, 0, 0, 1], [True, True, True, True, False, True], fewest=1)
    assert keep == [0, 2, 5]  # 1 repeats 0, which weighs more; 5 has 2's vector in another class
    assert gone == {"weak": 1, "duplicate": 1, "impure": 1}


def test_a_class_keeps_its_best_whatever_they_are_worth() -> None:
    keep, gone = pruning.kept(np.array([0.0, 0.002, 0.9]), EYE[:3], [0, 0, 0], [True, True, False])
    assert keep == [0, 1]  # the pure ones come back before the impure one
    assert gone == {"weak": 0, "duplicate": 0, "impure": 1}


def test_purity_leaves_the_own_source_out() -> None:
    target = np.array([0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1])
    similar = np.zeros((14, 1), np.float32)
    similar[:6, 0] = (9, 8, 7, 6, 5, 4)
    similar[7:9, 0] = (10, 3)
    assert pruning.pure(similar, target, [0], [6]) == [True]  # 5 of the 6 nearest
    similar[8, 0] = 8.5
    assert pruning.pure(similar, target, [0], [6]) == [False]  # 4 of 6: what chance gives with two classes
    assert pruning.pure(similar, target, [0], [8]) == [True]  # unless the intruder is the source itself
