"""Summaries of made-up bases: what a class is, what is folded, what is measured, what is said when there is little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from casebase import hashing
from casebase.cases import Case
from casebase.distance import cosine, unit
from casebase.errors import EmptyCaseBase, NoLike, UnknownClass, UsageError
from casebase.ports import Hit
from casebase.retrieve import fold, one_photograph
from casebase.storage.memory import MemoryCaseStore
from casebase.summaries import Summary, SummaryWanted
from casebase.summarize import summarize
from casebase.summary_words import left, left_out, nearest_in_words, why
from tests.fakes import clustered, entry, fill

WANTED = SummaryWanted(k=3, criticisms=2)


def made(count: int = 90, seed: int = 0, held_out: int = 0, wrong: int = 0) -> MemoryCaseStore:
    """Clustered cases; the first ``wrong`` are labelled owl whatever the network says; some more are held out."""
    rows, called = clustered(count + held_out, seed=seed)
    store = MemoryCaseStore()
    fill(store, [
        entry(f"{i:04d}", rows[i], int(called[i]), held_out=i >= count, label="owl" if i < wrong else None)
        for i in range(count + held_out)
    ])  # fmt: skip
    return store


def of(store: MemoryCaseStore, wanted: SummaryWanted = WANTED, **over: object) -> Summary:
    return summarize(store, replace(wanted, **over), {})


def test_each_class_has_its_own_typical_cases_and_their_shares_sum_to_one() -> None:
    found = of(made(wrong=9))
    assert {one.name for one in found.classes} == {"cat", "dog", "owl"}
    assert sum(one.cases for one in found.classes) == 90
    for one in found.classes:
        assert {row.case.predicted for row in (*one.typical, *one.criticisms)} == {one.name}
        assert sum(row.share for row in one.typical) == pytest.approx(1)
        assert one.residual < one.chance < one.nothing
        assert one.with_criticisms < one.residual
        assert one.optimality < 1e-9
        assert not {row.case.id for row in one.typical} & {row.case.id for row in one.criticisms}


def test_a_class_is_read_as_predicted_unless_told_otherwise() -> None:
    store = made(wrong=30)
    called, labelled = of(store), of(store, by="label")
    assert {one.name: one.cases for one in called.classes} == dict(store.classes())
    assert {one.name: one.cases for one in labelled.classes} == dict(store.labels())
    owl = next(one for one in labelled.classes if one.name == "owl")
    assert {row.case.label for row in (*owl.typical, *owl.criticisms)} == {"owl"}
    assert owl.disputed == sum(c.disputed for c in store.get([f"{i:04d}" for i in range(30)]).values())


def test_a_picture_under_a_wrong_label_is_a_criticism_of_that_label() -> None:
    rows, called = clustered(60, seed=3)
    cats = [i for i in range(60) if called[i] == 0]
    store = MemoryCaseStore()
    fill(store, [entry(f"{i:04d}", rows[i], int(called[i]), label="dog" if i == cats[0] else None) for i in range(60)])
    dog = next(one for one in of(store, by="label").classes if one.name == "dog")
    assert dog.criticisms[0].case.id == f"{cats[0]:04d}"
    assert why(dog.criticisms[0], "dog").startswith("Labelled dog, called cat with 80.0 %: look whether the label is")
    assert dog.criticisms[0].odder_than == 1.0


def test_copies_weigh_as_one_case() -> None:
    """Twenty copies of one cat would draw the weight to them; folded they are one row of 21."""
    rows = np.eye(4, dtype=np.float32)[[0, 1, 2, 3]] + 0.1
    entries = [entry(f"a{i}", rows[i], 0) for i in range(4)]
    copies = [entry(f"b{i:02d}", rows[0], 0, pixel_hash="pixels-a0") for i in range(20)]
    store, plain = MemoryCaseStore(), MemoryCaseStore()
    fill(store, [*entries, *copies])
    fill(plain, entries)
    (folded,), (one,) = of(store, k=4).classes, of(plain, k=4).classes
    assert (folded.cases, folded.considered) == (24, 4)
    assert [(r.case.id, r.weight) for r in folded.typical] == [(r.case.id, r.weight) for r in one.typical]
    assert {row.case.id: row.group_size for row in folded.typical} == {"a0": 21, "a1": 1, "a2": 1, "a3": 1}
    assert folded.notes[0] == "20 near-duplicates were folded into the cases they repeat"


def test_one_photograph_is_what_fold_makes_of_it() -> None:
    """The rule of retrieval, on cases in groups of near looks, near vectors, equal pixels and unlike names."""
    random = np.random.default_rng(5)
    store = MemoryCaseStore()
    looks = random.integers(1, 2**63, 8).tolist()
    entries = []
    for i in range(80):
        kind = int(random.integers(8))
        look = looks[kind] ^ (1 << int(random.integers(40))) ^ (1 << int(random.integers(40)))
        vector = np.eye(8)[kind] + random.choice([0.05, 0.3]) * random.normal(size=8)
        hashed = f"p{kind}" if random.random() < 0.1 else f"own{i}"
        entries.append(entry(f"{i:03d}", vector.astype(np.float32), int(random.integers(2)), look=look,
                             pixel_hash=hashed))  # fmt: skip
    fill(store, entries)
    ids = [f"{i:03d}" for i in range(80)]
    held, vectors = store.get(ids), store.vectors("avgpool", ids)
    cases = [held[one] for one in ids]

    def apart(one: Case, other: Case) -> float:
        return float(cosine(vectors[ids.index(one.id)][None], vectors[ids.index(other.id)])[0])

    wanted = [[int(hit.case.id) for hit in group] for group in fold([Hit(case, 0.0) for case in cases], apart)]
    assert one_photograph(cases, vectors) == wanted
    assert 8 < len(wanted) < 80
    near = sum(hashing.look_distance(a.look_hash, b.look_hash) <= 6 for a in cases for b in cases if a.id < b.id)
    assert near > sum(len(group) - 1 for group in wanted)  # looks alone would fold more


def test_the_nearest_typical_case_is_tried_on_held_out_images_by_plain_loops() -> None:
    store = made(60, held_out=40, wrong=0)
    found = of(store)
    typical = [(one.name, row.case.id) for one in found.classes for row in one.typical]
    vectors = dict(zip([i for _, i in typical], store.vectors("avgpool", [i for _, i in typical]), strict=True))
    rows, called = clustered(100)
    right = 0
    for row, of_class in zip(unit(rows[60:])[0], called[60:], strict=True):
        name, _ = min(typical, key=lambda one: float(np.sum((vectors[one[1]] - row) ** 2)))
        right += name == ("cat", "dog", "owl")[of_class]
    assert found.accuracy.value == pytest.approx(right / 40)
    assert found.accuracy.n == 40
    assert found.accuracy.low < right / 40 <= found.accuracy.high
    assert sum(one.recognised.n for one in found.classes) == 40
    assert found.measured_on == "all held-out images"
    assert "40" in nearest_in_words(found)


def test_without_held_out_images_all_other_cases_are_taken_and_that_is_said() -> None:
    found = of(made())
    assert found.accuracy.n == 90 - sum(len(one.typical) for one in found.classes)
    assert "No image of this base is held out" in found.statements[0].text


def test_some_classes_alone_are_not_measured_against_the_rest() -> None:
    found = of(made(), classes=("dog",))
    assert [one.name for one in found.classes] == ["dog"]
    assert found.accuracy.value is None
    assert found.accuracy.reason == "needs the typical cases of all classes"
    assert found.classes[0].typical == next(one for one in of(made()).classes if one.name == "dog").typical


def test_a_large_class_is_drawn_with_the_seed_and_that_is_said() -> None:
    store = made(300)
    one, again, other = (of(store, most=40, seed=seed).classes for seed in (0, 0, 1))
    assert [row.to_dict() for row in one] == [row.to_dict() for row in again]
    assert [row.to_dict() for row in one] != [row.to_dict() for row in other]
    assert all(row.considered == 40 for row in one)
    assert "40 of its" in one[0].notes[0]
    assert "drawn with seed 0" in one[0].notes[0]


def test_the_order_is_by_disputed_cases_by_what_is_left_or_by_name_and_the_rest_is_counted() -> None:
    store = made(wrong=40)
    disputed = of(store, shown=1)
    assert [one.disputed for one in disputed.classes] == sorted((o.disputed for o in disputed.classes), reverse=True)
    shares = [one.left for one in of(store, sort="residual").classes]
    assert shares == sorted(shares, reverse=True)
    assert [one.name for one in of(store, sort="name").classes] == ["cat", "dog", "owl"]
    assert (len(disputed.shown), disputed.left_out) == (1, 2)
    assert left_out(disputed).startswith("2 of 3 classes are not shown")
    assert len(disputed.to_dict()["classes"]) == 3


def test_a_class_with_one_case_or_one_vector_has_one_typical_case_and_says_why() -> None:
    store = MemoryCaseStore()
    same = [entry(f"d{i}", np.ones(4, np.float32), 1) for i in range(5)]
    fill(store, [entry("c", np.eye(4, dtype=np.float32)[0], 0), *same])
    cat, dog = of(store, sort="name").classes
    assert ([row.share for row in cat.typical], list(cat.criticisms), cat.notes) == ([1.0], [], ["it has one case"])
    assert [row.share for row in dog.typical] == [pytest.approx(1.0)]
    assert dog.notes == ["all 5 cases have the same vector, so one stands for all"]
    assert dog.bandwidth is None


def test_more_typical_cases_than_there_are_is_no_error() -> None:
    found = of(made(12), k=50)
    assert (found.measured_on, list(found.statements)) == ("every case is a typical one", [])
    for one in found.classes:
        assert len(one.typical) == one.cases
        assert list(one.notes) == [f"all {one.cases} cases are typical ones, so none is left to be odd"]
        assert "is left over" not in left(one)
        assert one.residual == 0


def test_a_case_that_adds_nothing_is_not_made_typical_and_that_is_said() -> None:
    """Two vectors, three cases each with pixels of their own: two typical cases stand for all six."""
    store = MemoryCaseStore()
    fill(store, [entry(f"{i}", np.eye(4, dtype=np.float32)[i % 2], 0) for i in range(6)])
    (cat,) = of(store).classes
    assert [row.share for row in cat.typical] == pytest.approx([0.5, 0.5])
    assert cat.notes == [
        "2 of 3 typical cases: of its 6 cases, no other adds anything",
        "0 of 2 criticisms: the typical cases account for all others",
    ]
    assert cat.residual == 0


def test_what_is_not_there_is_told() -> None:
    store = made()
    with pytest.raises(UnknownClass, match="no class 'horse' in this base; it has cat, dog, owl"):
        of(store, classes=("horse",))
    with pytest.raises(UsageError, match="no space 'clip'"):
        of(store, space="clip")
    with pytest.raises(UsageError, match="contribution depends"):
        of(store, space="contribution")
    with pytest.raises(EmptyCaseBase, match="casebase index"):
        of(MemoryCaseStore())
    two = MemoryCaseStore()
    fill(two, [entry("a", np.ones(4, np.float32), 0), entry("b", np.eye(4, dtype=np.float32)[1], 1)])
    with pytest.raises(NoLike, match="no case of this base is called 'owl'"):
        of(two, classes=("owl",))


@pytest.mark.parametrize(
    ("over", "said"),
    [({"k": 0}, "k must be at least 1, not 0"), ({"k": 101}, "k must be at most 100, not 101"),
     ({"by": "guess"}, "by must be predicted or label, not 'guess'"),
     ({"criticisms": -1}, "criticisms must be at least 0"), ({"sort": "size"}, "sort must be disputed or residual"),
     ({"shown": 0}, "shown must be at least 1")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(over: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        replace(WANTED, **over)
