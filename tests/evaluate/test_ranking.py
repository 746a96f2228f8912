"""AUROC, AURC, AUGRC and FPR@95: by hand, against plain loops over every order of ties, and against scikit-learn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from casebase import comparison
from casebase.evaluate.ranking import Ranking


def figures(score: list[float], wrong: list[bool]) -> dict[str, float]:
    ties = Ranking.of(np.array(score, float), np.array(wrong, bool)).ties()
    return {name: float(getattr(ties, name)()[0]) for name in ("auroc", "aurc", "augrc", "fpr95")}


def test_by_hand_without_ties() -> None:
    # trusted most to least: right, wrong, right, wrong
    found = figures([4, 3, 2, 1], [False, True, False, True])
    assert found["auroc"] == pytest.approx(3 / 4)
    assert found["aurc"] == pytest.approx((0 / 1 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    assert found["augrc"] == pytest.approx((0 + 1 + 1 + 2) / 4 / 4)
    assert found["fpr95"] == pytest.approx(1 / 2)


def test_a_perfect_score_and_its_opposite() -> None:
    perfect, opposite = (
        figures([2, 2, 1, 1], [False, False, True, True]),
        figures([1, 1, 2, 2], [False] * 2 + [True] * 2),
    )
    assert (perfect["auroc"], opposite["auroc"]) == (1.0, 0.0)
    assert (perfect["fpr95"], opposite["fpr95"]) == (0.0, 1.0)
    assert perfect["augrc"] == pytest.approx((0 + 0 + 1 + 2) / 16)
    assert opposite["augrc"] == pytest.approx((1 + 2 + 2 + 2) / 16)


def test_a_score_that_says_nothing_has_the_error_rate_as_its_risk() -> None:
    found = figures([1.0] * 10, [True] * 3 + [False] * 7)
    assert found["auroc"] == 0.5
    assert found["aurc"] == pytest.approx(0.3)
    assert found["augrc"] == pytest.approx(0.3 * 11 / 20)
    assert found["fpr95"] == 1.0


@pytest.mark.parametrize("wrong", [[True] * 4, [False] * 4])
def test_with_one_kind_of_answer_there_is_nothing_to_rank(wrong: list[bool]) -> None:
    found = figures([1, 2, 3, 4], wrong)
    assert np.isnan(found["auroc"])
    assert np.isnan(found["fpr95"])
    assert found["aurc"] == (1.0 if wrong[0] else 0.0)


@settings(max_examples=80)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6))
def test_ties_are_the_mean_over_every_order(rows: list[tuple[int, bool]]) -> None:
    aurc, augrc = [], []
    for order in itertools.permutations(range(len(rows))):
        if any(rows[a][0] < rows[b][0] for a, b in itertools.pairwise(order)):
            continue
        seen = np.cumsum([rows[i][1] for i in order])
        places = np.arange(1, len(rows) + 1)
        aurc.append(np.mean(seen / places))
        augrc.append(np.mean(seen / len(rows)))
    found = figures([float(score) for score, _ in rows], [wrong for _, wrong in rows])
    assert found["aurc"] == pytest.approx(np.mean(aurc))
    assert found["augrc"] == pytest.approx(np.mean(augrc))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=80))
def test_auroc_and_fpr_agree_with_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    score, right = np.array([r[0] for r in rows], float), np.array([not r[1] for r in rows])
    if right.all() or not right.any():
        return
    found = figures(score.tolist(), (~right).tolist())
    assert found["auroc"] == pytest.approx(roc_auc_score(right, score))
    false, true, _ = roc_curve(right, score, drop_intermediate=False)
    assert found["fpr95"] == pytest.approx(false[np.argmax(true >= 0.95 - 1e-12)])


@settings(max_examples=60)
@given(st.integers(0, 10_000))
def test_counts_are_repeated_rows(seed: int) -> None:
    random = np.random.default_rng(seed)
    score, wrong = random.integers(0, 6, 20).astype(float), random.random(20) < 0.4
    counts = random.integers(0, 4, (3, 20)).astype(np.float32)
    counts[:, 0] = 1
    ties = Ranking.of(score, wrong).ties(counts)
    for draw in range(3):
        rows = np.repeat(np.arange(20), counts[draw].astype(int))
        alone = Ranking.of(score[rows], wrong[rows]).ties()
        for name in ("auroc", "aurc", "augrc", "fpr95"):
            np.testing.assert_allclose(getattr(ties, name)()[draw], getattr(alone, name)()[0], equal_nan=True)


def test_any_rising_function_of_a_score_gives_the_same_figures() -> None:
    random = np.random.default_rng(0)
    score, wrong = random.normal(size=50), random.random(50) < 0.3
    assert figures(score.tolist(), wrong.tolist()) == figures(np.exp(score).tolist(), wrong.tolist())


def test_the_risk_coverage_curve_ends_at_the_error_rate() -> None:
    coverage, risk = Ranking.of(np.array([3.0, 2.0, 1.0, 1.0]), np.array([False, True, True, False])).ties().risk()
    assert coverage.tolist() == [0.25, 0.5, 1.0]
    assert risk.tolist() == [0.0, 0.5, 0.5]


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(1, 3)), min_size=1, max_size=12))
def test_reports_and_evaluations_mean_one_augrc(rows: list[tuple[int, bool, int]]) -> None:
    """Reports weigh images, evaluations repeat them; the area is the same."""
    score, wrong = [float(s) for s, _, _ in rows], [w for _, w, _ in rows]
    measured = comparison.area(np.array(score), ~np.array(wrong))
    assert measured(np.ones((1, len(rows))))[0] == pytest.approx(figures(score, wrong)["augrc"], abs=1e-12)
    drawn = [n for _, _, n in rows]
    repeated = figures(list(np.repeat(score, drawn)), list(np.repeat(wrong, drawn)))
    assert measured(np.array([drawn], float))[0] == pytest.approx(repeated["augrc"], abs=1e-12)
