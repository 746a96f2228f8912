"""``ask`` on points in the plane, where every list can be read off with a protractor.

The query lies at 0 degrees, so the distance of a case at ``a`` degrees is 1 - cos a.
"""

from __future__ import annotations

import io
import math
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from PIL import Image

from casebase import reading
from casebase.answers import Retrieval, Role
from casebase.errors import (
    EmptyCaseBase,
    FingerprintMismatch,
    NoUnlike,
    UnknownClass,
    UsageError,
)
from casebase.ports import Classifier, Embedder, Entry
from casebase.query import Ask, Networks, ask
from casebase.storage.memory import MemoryCaseStore
from tests.fakes import CLASSES, ColourNetwork, changes, entry, fill, fingerprint

CAT, DOG, OWL = range(3)
SURE = (0.80, 0.15, 0.05)


def at(degrees: float) -> np.ndarray:
    return np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))], np.float32)


def apart(degrees: float) -> float:
    return 1 - math.cos(math.radians(degrees))


def picture(red: int = 200, green: int = 0) -> reading.Picture:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (red, green, 9)).save(out, "PNG")
    return reading.read(out.getvalue())


CASES = [
    entry("cat10", at(10), CAT),
    entry("cat30", at(30), CAT),
    entry("cat-40", at(-40), CAT),
    entry("cat70", at(70), CAT),
    entry("dog60", at(60), DOG),
    entry("dog80", at(80), DOG, label="cat"),
    entry("owl-90", at(-90), OWL),
    entry("owl120", at(120), OWL),
]


def put(
    entries: list[Entry] | None = None,
    *,
    says: tuple[float, ...] = SURE,
    head: np.ndarray | None = None,
    **wanted: object,
) -> Retrieval:
    """The answer of a base of ``entries`` to a query at 0 degrees."""
    store = MemoryCaseStore()
    fill(store, CASES if entries is None else entries)
    return ask([("query.png", picture())], Ask(**wanted), networks(says, head), store)[0]  # type: ignore[arg-type]


def networks(says: tuple[float, ...] = SURE, head: np.ndarray | None = None) -> Networks:
    network = ColourNetwork(says, head)
    return Networks(cast("Embedder", network), cast("Classifier", _View(network)), {})


class _View:
    """The Classifier side of the network, whose fingerprint is a text."""

    def __init__(self, network: ColourNetwork) -> None:
        self.classes, self.fingerprint, self.class_weights = CLASSES, "c0ffee", network.class_weights


def ids(rows: object) -> list[str]:
    return [row.case.id for row in rows]  # type: ignore[attr-defined]


def test_the_four_lists() -> None:
    answer = put()
    assert answer.prediction.predicted == "cat"
    assert ids(answer.nearest) == ["cat10", "cat30", "cat-40", "dog60", "cat70"]
    assert ids(answer.twins) == ["cat10", "cat30", "cat-40", "cat70"]
    assert ids(answer.counterfactuals) == ["dog60", "dog80", "owl-90", "owl120"]
    assert [r.rank for r in answer.counterfactuals] == [1, 2, 3, 4]
    assert [r.distance for r in answer.nearest] == pytest.approx([apart(a) for a in (10, 30, 40, 60, 70)], abs=1e-6)
    roles = (Role.NEAREST, Role.TWIN, Role.COUNTERFACTUAL, Role.SEMI_FACTUAL)
    lists = (answer.nearest, answer.twins, answer.counterfactuals, answer.semi_factuals)
    assert all(row.role == role for role, rows in zip(roles, lists, strict=True) for row in rows)


def test_semi_factuals_lie_toward_the_nearest_unlike_case_and_before_it() -> None:
    """Ordered by their angle to dog60; cat70 is nearest to it but lies behind it; distances are those to the query."""
    answer = put()
    assert ids(answer.semi_factuals) == ["cat30", "cat10", "cat-40"]
    assert [r.distance for r in answer.semi_factuals] == pytest.approx([apart(a) for a in (30, 10, 40)], abs=1e-6)


def test_the_trust_score_by_hand() -> None:
    trust = put().trust
    assert trust.trust_score == pytest.approx(apart(60) / apart(10), rel=1e-4)
    assert trust.margin == pytest.approx(apart(60) - apart(10), abs=1e-6)
    assert trust.softmax == pytest.approx(0.8)
    assert (trust.k_same, trust.k_unlike, trust.k_label) == (4, 1, 4)


def test_a_label_that_differs_counts_in_k_label_only() -> None:
    answer = put([*CASES, entry("odd", at(5), CAT, label="dog")])
    assert ids(answer.nearest)[0] == "odd"
    assert (answer.trust.k_same, answer.trust.k_unlike, answer.trust.k_label) == (4, 1, 3)
    assert ids(answer.contradicting) == ["odd", "dog60"]


def test_rivals_are_the_probable_ones_from_the_most_probable_on() -> None:
    answer = put()
    assert [(r.name, r.reason, r.available) for r in answer.rivals] == [("dog", "probable", 2), ("owl", "probable", 2)]
    assert [r.probability for r in answer.rivals] == pytest.approx([0.15, 0.05])


def test_a_sure_network_is_still_asked_about_its_runner_up_and_the_nearest_other_class() -> None:
    answer = put(says=(0.995, 0.001, 0.004))
    assert [(r.name, r.reason) for r in answer.rivals] == [("owl", "runner-up"), ("dog", "nearest")]


def test_a_named_rival_is_the_only_one() -> None:
    answer = put(rival="owl")
    assert [(r.name, r.reason) for r in answer.rivals] == [("owl", "named")]
    assert ids(answer.counterfactuals) == ["owl-90", "owl120"]
    assert answer.trust.trust_score == pytest.approx(apart(60) / apart(10), rel=1e-4)  # over all other classes still


def test_k_is_per_rival() -> None:
    answer = put(k=1)
    assert ids(answer.counterfactuals) == ["dog60", "owl-90"]
    assert ids(answer.nearest) == ids(answer.twins) == ["cat10"]


def test_short_lists_are_said_and_not_padded() -> None:
    answer = put(k=6)
    assert len(answer.twins) == 4
    assert "twins: 4 of 6 asked for; there are no more cases predicted 'cat'" in answer.warnings
    assert "counterfactuals: 2 of 6 asked for; there are no more cases predicted 'dog'" in answer.warnings


def test_a_rival_without_a_case_is_said() -> None:
    answer = put([row for row in CASES if not row.image.id.startswith("owl")])
    assert "counterfactuals: no case of this base is predicted 'owl'" in answer.warnings
    assert [(r.name, r.available) for r in answer.rivals] == [("dog", 2), ("owl", 0)]


def test_a_base_of_one_class_cannot_contradict_and_says_so() -> None:
    answer = put([row for row in CASES if row.image.id.startswith("cat")])
    assert answer.counterfactuals == ()
    assert answer.semi_factuals == ()
    assert answer.trust.trust_score is None
    assert any("every case of this base is predicted 'cat'" in text for text in answer.warnings)


def test_a_class_nobody_was_called_has_no_twins() -> None:
    answer = put([row for row in CASES if not row.image.id.startswith("cat")])
    assert answer.twins == ()
    assert answer.trust.trust_score is None
    assert ids(answer.nearest)[0] == "dog60"
    assert "twins: 0 of 5 asked for; there are no more cases predicted 'cat'" in answer.warnings


def test_no_semi_factual_is_said() -> None:
    answer = put([entry("cat50", at(50), CAT), entry("dog20", at(20), DOG)])
    assert answer.semi_factuals == ()
    assert any(text.startswith("semi-factuals: no case") for text in answer.warnings)
    assert answer.trust.trust_score == pytest.approx(apart(20) / apart(50), rel=1e-4)  # below 1: a rival is nearer


def test_the_query_itself_is_named_and_left_out() -> None:
    itself = entry("itself", at(0), CAT, pixel_hash=picture().pixel_hash)
    answer = put([*CASES, itself])
    assert answer.query.known_case == "itself"
    assert not answer.query.held_out
    assert "itself" not in {i for rows in (answer.nearest, answer.twins, answer.semi_factuals) for i in ids(rows)}
    assert any("is a case of this base: itself" in text for text in answer.warnings)


def test_a_held_out_query_is_told_apart_from_a_training_image() -> None:
    answer = put([*CASES, entry("aside", at(0), CAT, pixel_hash=picture().pixel_hash, held_out=True)])
    assert (answer.query.known_case, answer.query.held_out) == ("aside", True)
    assert any("held-out images never answer" in text for text in answer.warnings)


def test_a_case_is_worse_news_than_a_held_out_image() -> None:
    pixels = picture().pixel_hash
    both = [entry("a", at(0), CAT, pixel_hash=pixels, held_out=True), entry("b", at(0), CAT, pixel_hash=pixels)]
    answer = put([*CASES, *both])
    assert (answer.query.known_case, answer.query.held_out) == ("b", False)


def test_contribution_weighs_both_sides_by_the_predicted_class() -> None:
    """w = (1, 1/2) for cat: 30 degrees become atan(tan 30 / 2); k_same stays what avgpool says."""
    head = np.array([[1, 0.5], [0, 1], [1, 1]], np.float32)
    answer = put(head=head, space="contribution")
    bent = [math.degrees(math.atan2(math.sin(math.radians(a)) / 2, math.cos(math.radians(a)))) for a in (10, 30, 40)]
    assert ids(answer.twins)[:3] == ["cat10", "cat30", "cat-40"]
    assert [r.distance for r in answer.twins][:3] == pytest.approx([apart(a) for a in bent], abs=1e-6)
    assert (answer.trust.k_same, answer.trust.k_unlike) == (4, 1)
    assert answer.search.space == "contribution"
    assert any("k_same and k_unlike are counted on avgpool" in text for text in answer.warnings)


def test_contribution_needs_a_linear_head() -> None:
    with pytest.raises(UsageError, match="one linear layer"):
        put(space="contribution")


def test_several_pictures_are_answered_in_order_as_if_alone() -> None:
    store = MemoryCaseStore()
    fill(store, CASES)
    pictures = [(f"{green}", picture(100, green)) for green in (0, 60, 100, 180, 255)]  # more than two batches
    together = ask(pictures, Ask(k=3), networks(), store)
    alone = [ask([one], Ask(k=3), networks(), store)[0] for one in pictures]
    assert [answer.query.path for answer in together] == ["0", "60", "100", "180", "255"]
    assert [ids(a.nearest) for a in together] == [ids(a.nearest) for a in alone]
    assert len({tuple(ids(a.nearest)) for a in together}) > 2


def test_a_network_other_than_the_one_that_made_the_vectors_is_refused() -> None:
    store = MemoryCaseStore()
    fill(store, CASES)
    other = ColourNetwork(SURE)
    other.fingerprint = fingerprint(2, weights="others")
    with pytest.raises(FingerprintMismatch, match="weights: w / others"):
        ask([("q", picture())], Ask(), Networks(cast("Embedder", other), cast("Classifier", _View(other)), {}), store)


@pytest.mark.parametrize(
    ("wanted", "error", "said"),
    [
        ({"space": "clip"}, UsageError, "no space 'clip' in this case base"),
        ({"rival": "cow"}, UnknownClass, "no class 'cow'; this network knows cat, dog, owl"),
        ({"rival": "cat"}, UsageError, "'cat' is the predicted class"),
        ({"k": 0}, UsageError, "k must be at least 1, not 0"),
    ],
)
def test_a_question_that_cannot_be_put(wanted: dict[str, object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        put(**wanted)  # type: ignore[arg-type]


def test_a_named_rival_without_a_case_is_an_error() -> None:
    with pytest.raises(NoUnlike, match="no case of this base is predicted 'owl'"):
        put([row for row in CASES if not row.image.id.startswith("owl")], rival="owl")


def test_an_empty_base_is_an_error() -> None:
    with pytest.raises(EmptyCaseBase):
        ask([("q", picture())], Ask(), networks(), MemoryCaseStore())


def test_the_answer_as_json_has_the_promised_keys_and_no_nan() -> None:
    value = put([*CASES, entry("same", at(0), CAT)]).to_dict()
    promised = {
        "schema", "query", "prediction", "twins", "counterfactuals", "nearest", "semi_factuals", "trust", "overlays",
        "search", "fingerprint", "warnings", "seconds",
    }  # fmt: skip
    assert promised <= set(value)
    assert value["schema"] == "casebase.query/1"
    row = {"rank", "id", "path", "label", "predicted", "distance", "similarity", "percentile", "group_size"}
    assert all(set(one) >= row for one in value["nearest"])
    assert set(value["search"]["lists"]) == {"nearest", "twins", "counterfactuals"}
    assert math.isfinite(value["trust"]["trust_score"])
    assert value["prediction"]["runner_up"] == "dog"


def test_no_list_holds_a_case_that_is_held_out_or_withdrawn() -> None:
    store = MemoryCaseStore()
    fill(store, [*CASES, replace(entry("aside", at(1), CAT), held_out=True)])
    with store.writing("test") as run:
        store.publish(run, changes(["cat10"]))
    answer = ask([("q", picture())], Ask(), networks(), store)[0]
    listed = {i for rows in (answer.nearest, answer.twins, answer.semi_factuals) for i in ids(rows)}
    assert listed
    assert not {"aside", "cat10"} & listed
