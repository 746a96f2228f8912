"""Scores that find wrong answers: their definitions, what is refused, and paired differences."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from casebase.correctness import FEWEST_ERRORS
from casebase.evaluate.error_detection import (
    Detection,
    Evidence,
    Score,
    detect,
    of_network,
    of_twins,
)
from casebase.evaluate.images import Sides
from casebase.evaluate.resampling import Draws
from casebase.reuse import support
from tests.evaluate.made_up import images, noise


def test_trust_score_and_its_kin_by_hand() -> None:
    # distances of the query (1, 0): 0 to c0, 1 - 1/sqrt(2) to c2 and c3, 1 to c1
    cases = images([[1, 0], [0, 1], [1, 1], [1, 1]], labels=[1, 0, 0, 1], predicted=[0, 1, 1, 0])
    asked = images([[2, 0]], [0], [0], prefix="q", classes=2)
    both = Sides(cases, asked)
    found = Evidence.gather(both, 3)
    near = 1 - np.sqrt(0.5)
    assert found.twin == pytest.approx([0.0])
    assert found.unlike == pytest.approx([near])
    assert found.unlike_case.tolist() == [2]
    assert found.trust == pytest.approx([near / 1e-12], rel=1e-3)
    assert found.labelled_twin == pytest.approx([near])  # c2 is labelled 0
    assert found.labelled_unlike == pytest.approx([0.0])  # c0 is labelled 1
    assert found.radius == pytest.approx([np.sqrt(2 * near)])
    assert np.linalg.norm([1, 0] - np.array([1, 1]) / np.sqrt(2)) == pytest.approx(found.radius[0])
    assert found.agreeing(cases, asked) == pytest.approx([2 / 3])
    scores = {one.key: one.values for one in of_twins(both, found, None)}
    assert scores["trust_by_label"] == pytest.approx([0.0])
    assert scores["margin"] == pytest.approx([near])
    assert scores["knn_distance"] == pytest.approx(-found.radius)


def test_the_trust_score_is_the_one_a_report_shows() -> None:
    cases, asked = noise(60, 8, 3, 0, "c"), noise(10, 8, 3, 1, "q")
    found = Evidence.gather(Sides(cases, asked), 5)
    from casebase.answers import Prediction

    for row in range(10):
        shown = support(Prediction({"a": 1.0}), [], float(found.twin[row]), float(found.unlike[row]), None)
        assert found.trust[row] == pytest.approx(shown.trust_score)
        assert found.unlike[row] - found.twin[row] == pytest.approx(shown.margin)


def test_without_a_rival_or_a_twin_there_is_no_trust_score() -> None:
    asked = images(np.eye(2), [0, 1], prefix="q")
    one_class = Evidence.gather(Sides(images(np.eye(2), [0, 0], classes=2), asked), 2)
    assert np.isnan(one_class.trust[0])  # no rival: the base has one class
    assert one_class.trust[1] == -np.inf  # no twin: least trusted
    margin = next(
        one.values
        for one in of_twins(Sides(images(np.eye(2), [0, 0], classes=2), asked), one_class, None)
        if one.key == "margin"
    )
    assert np.isnan(margin[0])
    assert margin[1] == -np.inf
    assert one_class.unlike_case.tolist() == [-1, 1]


def test_scores_of_the_network_rank_as_their_definitions_do() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(200, 4)) * 2
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    said = raised / raised.sum(axis=1, keepdims=True)
    asked = images(logits, [0] * 200, said.argmax(axis=1).tolist(), probabilities=said, classes=4)
    plain = {one.key: one.values for one in of_network(asked, None)}
    sharp = {one.key: one.values for one in of_network(asked, logits)}
    ranked = np.sort(said, axis=1)
    wanted = {
        "softmax": ranked[:, -1],
        "softmax_margin": ranked[:, -1] - ranked[:, -2],
        "entropy": (said * np.log(said)).sum(axis=1),
    }
    for key, values in wanted.items():
        assert plain[key] == pytest.approx(values, abs=1e-6)
        np.testing.assert_array_equal(np.argsort(sharp[key]), np.argsort(values))
    assert sharp["entropy"] == pytest.approx(wanted["entropy"])
    assert sharp["softmax"] == pytest.approx(np.log(wanted["softmax"] / (1 - wanted["softmax"])))
    assert sharp["softmax_margin"] == pytest.approx(-np.log(1 - wanted["softmax_margin"]))
    np.testing.assert_array_equal(sharp["max_logit"], logits.max(axis=1))
    assert "max_logit" not in plain


def test_answers_stored_as_exactly_one_do_not_tie_where_logits_are_known() -> None:
    logits = np.array([[40.0, 0.0], [60.0, 0.0], [50.0, 0.0]])
    asked = images(logits, [0] * 3, probabilities=np.array([[1.0, 0.0]] * 3), classes=2)
    for one in of_network(asked, logits):
        assert np.argsort(one.values).tolist() == [0, 2, 1], one.key


def _scores(n: int, errors: int, seed: int = 0) -> tuple[list[Score], np.ndarray]:
    random = np.random.default_rng(seed)
    wrong = np.arange(n) < errors
    good = random.normal(size=n) - 2.0 * wrong
    return [
        Score("trust", "trust", "twins", good), Score("blind", "blind", "twins", random.normal(size=n)),
        Score("softmax", "softmax", "network", random.normal(size=n) - 0.5 * wrong),
    ], wrong  # fmt: skip


def _detected(n: int, errors: int) -> dict[str, Detection]:
    scores, wrong = _scores(n, errors)
    return {one.score.key: one for one in detect(scores, wrong, Draws.of([None] * n, 0))}


def test_an_auroc_is_refused_under_thirty_errors_and_given_from_thirty_on() -> None:
    few, enough = _detected(400, FEWEST_ERRORS - 1), _detected(400, FEWEST_ERRORS)
    for name in ("auroc", "fpr95"):
        assert few["trust"].figures[name].value is None
        assert few["trust"].figures[name].reason == "29 errors, under 30"
        assert enough["trust"].figures[name].value is not None
    for name in ("auroc", "augrc"):  # which score is better is a ranking of scores, whatever the measure
        assert few["trust"].against[name].value is None
        assert few["trust"].against[name].reason == "29 errors, under 30"
        assert enough["trust"].against[name].value is not None
    for name in ("aurc", "augrc"):
        assert few["trust"].figures[name].value is not None
        assert few["trust"].figures[name].low is not None
    assert few["trust"].errors == 29


def test_without_an_error_nothing_gets_through_and_no_figure_says_so_with_certainty() -> None:
    for name in ("aurc", "augrc"):
        assert _detected(100, 0)["trust"].figures[name].reason == "no error"


def test_too_few_right_answers_are_refused_as_well() -> None:
    assert _detected(100, 80)["trust"].figures["auroc"].reason == "20 right, under 30"


def test_figures_and_paired_differences_are_those_of_the_sample() -> None:
    scores, wrong = _scores(500, 100)
    found = _detected(500, 100)
    auroc = {one.key: roc_auc_score(~wrong, one.values) for one in scores}
    for key in auroc:
        measured = found[key].figures["auroc"]
        assert measured.value == pytest.approx(auroc[key])
        assert measured.low is not None
        assert measured.high is not None
        assert measured.low < auroc[key] < measured.high
    gain = found["trust"].against["auroc"]
    assert gain.value == pytest.approx(auroc["trust"] - auroc["softmax"])
    assert gain.low is not None
    assert gain.low > 0  # two deviations apart against half of one
    assert found["softmax"].against == {}


def test_paired_differences_are_narrower_than_unpaired_ones() -> None:
    random = np.random.default_rng(3)
    wrong = np.arange(400) < 100
    base = random.normal(size=400) - 1.5 * wrong
    scores = [Score("trust", "", "twins", base + 0.05 * random.normal(size=400)), Score("softmax", "", "network", base)]
    found = detect(scores, wrong, Draws.of([None] * 400, 0))[0]
    gain, alone = found.against["auroc"], found.figures["auroc"]
    assert gain.high - gain.low < 0.3 * (alone.high - alone.low)  # type: ignore[operator]


def test_images_without_a_score_are_left_out_and_counted() -> None:
    scores, wrong = _scores(400, 100)
    values = scores[0].values.copy()
    values[:10] = np.nan
    found = detect([Score("trust", "", "twins", values), scores[2]], wrong, Draws.of([None] * 400, 0))
    assert (found[0].n, found[0].errors) == (390, 90)
    assert (found[1].n, found[1].errors) == (400, 100)
    none = detect([Score("trust", "", "twins", np.full(400, np.nan)), scores[2]], wrong, Draws.of([None] * 400, 0))
    assert none[0].figures["auroc"].reason == "no image has it"


def test_a_score_that_few_images_have_is_not_compared_with_others() -> None:
    scores, wrong = _scores(400, 100)
    values = scores[0].values.copy()
    values[::5] = np.nan
    found = detect([Score("trust", "", "twins", values), scores[2]], wrong, Draws.of([None] * 400, 0))[0]
    assert {figure.reason for figure in found.figures.values()} == {"only 320 of 400 images have it"}
    assert found.against == {}


def test_what_has_no_twin_ranks_last() -> None:
    wrong = np.arange(100) < 40
    values = np.where(wrong, -np.inf, np.arange(100.0))
    both = [Score("trust", "", "twins", values), Score("softmax", "", "network", np.arange(100.0))]
    found = detect(both, wrong, Draws.of([None] * 100, 0))[0]
    assert (found.n, found.figures["auroc"].value) == (100, 1.0)


def test_groups_widen_the_interval() -> None:
    scores, wrong = _scores(400, 100)
    order = np.random.default_rng(1).permutation(400)
    grouped = np.empty(400, int)
    grouped[np.argsort(scores[0].values)] = np.arange(400) // 20  # like scores in one group
    alone = detect(scores, wrong, Draws.of([None] * 400, 0))[0].figures["augrc"]
    together = detect(scores, wrong, Draws.of([f"g{g}" for g in grouped], 0))[0].figures["augrc"]
    assert len(order) == 400
    assert together.high - together.low > alone.high - alone.low  # type: ignore[operator]
