"""``ask`` with held-out images: P(correct), the panel of classes, re-ranking. The query lies at 0 degrees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from casebase.answers import Comparable, Prediction, Retrieval
from casebase.calibration import LEAST_BLOCK
from casebase.correctness import Calibrated
from casebase.errors import UsageError
from casebase.explain import evidence_words
from casebase.panel import LOW_MARGIN, low_margin
from casebase.ports import Entry
from casebase.query import Ask, ask
from casebase.storage.memory import MemoryCaseStore
from tests.core.test_query import CASES, CAT, DOG, OWL, SURE, at, networks, picture
from tests.fakes import CLASSES, entry, fill


def held(count: int, *, wrong_below: float = 0.6, pixels: str | None = None) -> list[Entry]:
    """Images the network calls cat, surer and surer, at 20 degrees; every second of the less sure ones is a dog."""
    made = []
    for i in range(count):
        p = 0.4 + 0.6 * i / count
        softmax = np.array([p, (1 - p) / 2, (1 - p) / 2], np.float32)
        label = "dog" if p < wrong_below and i % 2 else "cat"
        made.append(
            entry(f"held{i:03d}", at(20 + 0.1 * i), CAT, label=label, held_out=True, probabilities=softmax)
        )  # fmt: skip
    return made


def answered(entries: list[Entry], *, says: tuple[float, ...] = SURE, **wanted: object) -> Retrieval:
    store = MemoryCaseStore()
    fill(store, entries)
    return ask([("query.png", picture())], Ask(**wanted), networks(says), store)[0]  # type: ignore[arg-type]


def test_softmax_and_trust_are_read_as_shares_of_right_held_out_answers() -> None:
    trust = answered([*CASES, *held(120)]).trust
    assert trust.softmax_correct is not None
    assert trust.trust_correct is not None
    found = trust.softmax_correct
    assert found.p == pytest.approx(found.n_right / found.n)
    assert found.n >= LEAST_BLOCK
    assert found.total == 120
    assert found.p == 1.0  # at 80 % all were right
    unsure = answered([*CASES, *held(120)], says=(0.45, 0.4, 0.15)).trust.softmax_correct
    assert unsure is not None
    assert unsure.p is not None
    assert unsure.p < 0.6
    assert trust.comparison is not None
    assert trust.comparison.augrc is None  # 20 errors are too few
    assert trust.comparison.n_errors == sum(e.image.label == "dog" for e in held(120))


def test_without_held_out_images_nothing_is_calibrated_and_the_reason_is_there() -> None:
    trust = answered(CASES).trust
    for found in (trust.softmax_correct, trust.trust_correct):
        assert found is not None
        assert (found.p, found.n, found.reason) == (None, 0, "this base has no held-out images")
    assert trust.comparison is None


def test_a_held_out_query_is_no_part_of_its_own_reference() -> None:
    entries = held(120)
    own = replace(entries[3], pixel_hash=picture().pixel_hash, image=replace(entries[3].image, group="g"))
    mate = replace(entries[4], image=replace(entries[4].image, group="g"))
    trust = answered([*CASES, *entries[:3], own, mate, *entries[5:]]).trust
    assert trust.softmax_correct is not None
    assert trust.softmax_correct.total == 118
    assert trust.trust_correct is not None
    assert trust.trust_correct.total == 118


def test_the_comparison_of_both_scores_says_how_many_of_its_images_are_the_querys_own() -> None:
    entries = held(120)
    own = replace(entries[3], pixel_hash=picture().pixel_hash, image=replace(entries[3].image, group="g"))
    mate = replace(entries[4], image=replace(entries[4].image, group="g"))
    trust = answered([*CASES, *entries[:3], own, mate, *entries[5:]]).trust
    assert trust.comparison is not None
    assert trust.softmax_correct is not None
    assert (trust.comparison.n, trust.comparison.own) == (120, 2)
    assert trust.comparison.n - trust.comparison.own == trust.softmax_correct.total
    for told in (evidence_words.verdict_on_trust, evidence_words.comparison):
        assert "2 of them the query's own" in told(trust.comparison)
    stranger = answered([*CASES, *held(120)]).trust.comparison
    assert stranger is not None
    assert stranger.own == 0
    assert "own" not in evidence_words.comparison(stranger)


class Measuring(MemoryCaseStore):
    """A base that has measured all of its held-out images, and finds a distance usual for all of them."""

    reference = "held-out images"

    def comparable(self, space: str, predicted: str, distance: float) -> Comparable | None:
        return Comparable(1.0, 99, 0.9, 1.0, self.reference)


def far_held_out(count: int) -> list[Entry]:
    """Held-out images of which the first is the query, and every third of the others is farther from its twin."""
    first, *rest = held(count)
    far = np.array([0.9, 0.05, 0.05], np.float32)
    rest = [
        entry(f"far{i}", at(-15), CAT, held_out=True, probabilities=far) if i % 3 == 0 else one
        for i, one in enumerate(rest)
    ]
    return [replace(first, pixel_hash=picture().pixel_hash), *rest]


def test_a_held_out_query_is_not_among_the_images_its_distance_is_usual_for() -> None:
    def gate(entries: list[Entry], reference: str = "held-out images") -> Comparable | None:
        store = Measuring()
        store.reference = reference
        fill(store, [*CASES, *entries])
        return ask([("q", picture())], Ask(), networks(), store)[0].trust.comparable

    strangers = held(30)
    assert gate(strangers) == Comparable(1.0, 99, 0.9, 1.0, "held-out images")  # as the base has it
    own = far_held_out(30)
    found = gate(own)
    assert found is not None
    assert found.n == 29
    assert found.share == pytest.approx(10 / 29)
    assert gate(own[:20]) is None  # 19 others are too few
    assert gate(own, "the cases themselves, each left out") == Comparable(
        1.0, 99, 0.9, 1.0, "the cases themselves, each left out"
    )


def test_contribution_has_no_reference_for_its_trust_score() -> None:
    store = MemoryCaseStore()
    fill(store, [*CASES, *held(120)])
    head = np.array([[1, 0.5], [0, 1], [1, 1]], np.float32)
    trust = ask([("q", picture())], Ask(space="contribution"), networks(SURE, head), store)[0].trust
    assert trust.softmax_correct is not None
    assert trust.softmax_correct.p is not None
    assert trust.trust_correct is not None
    assert "no held-out reference" in (trust.trust_correct.reason or "")


def test_json_adds_p_correct_comparison_panel_and_rerank() -> None:
    value = answered([*CASES, *held(120)]).to_dict()
    assert set(value["trust"]["p_correct"]) == {"softmax", "trust"}
    assert {"p", "low", "high", "n", "n_errors", "total", "reference", "reason"} == set(
        value["trust"]["p_correct"]["softmax"]
    )
    assert value["rerank"] is None
    assert [one["class"] for one in value["panel"]] == ["cat", "dog", "owl"]
    assert value["panel"][0]["agreed"]["id"] == "cat10"


def test_the_panel_has_the_answer_first_then_rivals_by_probability_with_the_nearest_agreeing_case() -> None:
    """dog80 is labelled cat; dog60 is nearer and agrees. Without dog60, dog80 stays, marked, beside a farther one."""
    panel = answered(CASES).panel
    assert [(one.name, one.agreed and one.agreed.case.id, one.nearer) for one in panel] == [
        ("cat", "cat10", None), ("dog", "dog60", None), ("owl", "owl-90", None),
    ]  # fmt: skip
    assert [one.probability for one in panel] == pytest.approx(SURE)
    others = [e for e in CASES if e.image.id != "dog60"]
    found = answered([*others, entry("dog100", at(100), DOG)]).panel[1]
    assert found.agreed is not None
    assert found.nearer is not None
    assert (found.agreed.case.id, found.nearer.case.id) == ("dog100", "dog80")
    assert found.agreed.rank == 2


def test_an_agreeing_case_is_looked_for_beyond_the_list() -> None:
    odd = [entry(f"odd{i}", at(61 + i), DOG, label="cat") for i in range(7)]
    cases = [e for e in CASES if not e.image.id.startswith("dog")]
    found = answered([*cases, *odd, entry("true", at(85), DOG)], k=2).panel[1]
    assert found.agreed is not None
    assert found.agreed.case.id == "true"
    assert found.nearer is not None
    assert found.nearer.case.id == "odd0"


def test_a_class_without_any_agreeing_case_says_how_many_were_looked_through() -> None:
    odd = [entry(f"odd{i}", at(61 + i), DOG, label="cat") for i in range(7)]
    cases = [e for e in CASES if not e.image.id.startswith("dog")]
    found = answered([*cases, *odd], k=2).panel[1]
    assert found.agreed is None
    assert found.searched == 7
    empty = answered([e for e in CASES if not e.image.id.startswith("owl")]).panel[2]
    assert (empty.agreed, empty.nearer, empty.available, empty.searched) == (None, None, 0, 0)


@pytest.mark.parametrize(
    ("says", "low"),
    [((0.76, 0.24, 0.0), False), ((0.74, 0.26, 0.0), True), ((0.5, 0.45, 0.05), True), ((0.99, 0.005, 0.005), False)],
)
def test_a_margin_under_one_half_is_low(says: tuple[float, ...], *, low: bool) -> None:
    assert low_margin(answered(CASES, says=says)) == low
    assert LOW_MARGIN == 0.5


def test_a_sure_answer_whose_like_are_often_wrong_is_of_low_margin_too() -> None:
    from dataclasses import replace

    sure = answered(CASES, says=(0.99, 0.005, 0.005))
    doubted = replace(sure, trust=replace(sure.trust, trust_correct=Calibrated(0.7, 0.6, 0.8, 100, 30, 300)))
    assert low_margin(doubted)
    assert not low_margin(
        replace(sure, trust=replace(sure.trust, trust_correct=Calibrated(0.76, 0.6, 0.8, 100, 24, 300)))
    )


# -- re-ranking --------------------------------------------------------------------------------------------------


def confusable(count: int = 200) -> list[Entry]:
    """Held-out dogs and cats that lie among their own kind, of which the network is never sure: neighbours know."""
    made = []
    random = np.random.default_rng(0)
    for i in range(count):
        kind = i % 2
        p = 0.5 + 0.2 * random.normal() + (0.05 if kind == CAT else -0.05)
        p = float(np.clip(p, 0.02, 0.98))
        softmax = np.array([p, 1 - p - 0.01, 0.01], np.float32)
        where = at((10, 60)[kind] + 5 * random.normal())
        predicted = int(softmax.argmax())
        made.append(
            entry(f"held{i:03d}", where, predicted, label=CLASSES[kind], held_out=True, probabilities=softmax)
        )  # fmt: skip
    return made


MORE = [
    *CASES,
    entry("cat5", at(5), CAT),
    entry("dog55", at(55), DOG),
    entry("dog65", at(65), DOG),
    entry("o", at(170), OWL),
]


def test_neighbours_overrule_an_unsure_network_and_everything_is_for_the_class_shown() -> None:
    plain = answered([*MORE, *confusable()], says=(0.48, 0.5, 0.02))
    assert plain.prediction.predicted == plain.called == "dog"
    assert plain.reranked is None
    answer = answered([*MORE, *confusable()], says=(0.48, 0.5, 0.02), rerank=True)
    assert answer.reranked is not None
    assert answer.reranked.choice.beta > 0
    assert answer.reranked.choice.gain is not None
    assert answer.reranked.choice.gain.low > 0
    assert (answer.called, answer.prediction.predicted, answer.reranked.classifier) == ("cat", "dog", "dog")
    assert {row.case.predicted for row in answer.twins} == {"cat"}
    assert answer.rivals[0].name == "dog"
    assert "cat" not in {rival.name for rival in answer.rivals}
    assert answer.runner_up == "dog"
    assert answer.panel[0].name == "cat"
    assert answer.trust.softmax == pytest.approx(0.48)
    assert answer.trust.softmax_correct is not None
    assert "re-ranked" in (answer.trust.softmax_correct.reason or "")
    assert answer.trust.k_same == sum(row.case.predicted == "cat" for row in answer.nearest)
    value = answer.to_dict()
    assert value["prediction"]["predicted"] == "dog"
    assert value["rerank"]["predicted"] == "cat"


def test_without_held_out_images_reranking_changes_nothing_and_says_so() -> None:
    answer = answered(CASES, says=(0.48, 0.5, 0.02), rerank=True)
    assert answer.reranked is not None
    assert not answer.reranked.changed
    assert "no held-out images" in (answer.reranked.choice.reason or "")
    plain = answered(CASES, says=(0.48, 0.5, 0.02)).to_dict()
    for key in ("nearest", "twins", "counterfactuals", "trust", "rivals"):
        assert answer.to_dict()[key] == plain[key], key


def test_contribution_may_not_weigh_classes() -> None:
    store = MemoryCaseStore()
    fill(store, CASES)
    head = np.array([[1, 0.5], [0, 1], [1, 1]], np.float32)
    with pytest.raises(UsageError, match="cannot weigh classes"):
        ask([("q", picture())], Ask(space="contribution", rerank=True), networks(SURE, head), store)


def test_the_named_rival_may_not_be_the_class_shown() -> None:
    with pytest.raises(UsageError, match="'cat' is the predicted class"):
        answered([*MORE, *confusable()], says=(0.48, 0.5, 0.02), rerank=True, rival="cat")


def test_a_network_of_one_class_has_no_runner_up() -> None:
    from dataclasses import replace

    assert replace(answered(CASES), prediction=Prediction({"cat": 1.0})).runner_up is None
