"""From stored predictions to a dossier: every wrong answer once, in order, with its true class among the rivals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import pytest

from casebase.dossiers import COLUMNS, Dossier, table
from casebase.errors import UsageError
from casebase.evaluations import Measured
from casebase.explain.dossier import Choice, gather
from casebase.explanations import Level
from casebase.ports import Classifier, Embedder, Entry
from casebase.query import Networks
from casebase.storage.memory import MemoryCaseStore
from tests.fakes import ColourNetwork, entry, fill

CAT, DOG, OWL = range(3)


def at(degrees: float) -> np.ndarray:
    return np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))], np.float32)


def softmax(cat: float, dog: float) -> np.ndarray:
    return np.array([cat, dog, 1 - cat - dog], np.float32)


def held(name: str, degrees: float, says: np.ndarray, label: str, split: str = "test", **over: object) -> Entry:
    """A held-out image."""
    from casebase.cases import SourceImage

    image = SourceImage(name, over.pop("file", f"/nowhere/{name}"), name, label, split, over.pop("group", None))  # type: ignore[arg-type]
    return entry(
        name, at(degrees), int(says.argmax()), image=image, held_out=True, probabilities=says, **over
    )  # fmt: skip


CASES = [
    *(entry(f"cat{i}", at(i), CAT) for i in range(6)),
    *(entry(f"dog{i}", at(60 + i), DOG) for i in range(6)),
    *(entry(f"owl{i}", at(120 + i), OWL) for i in range(2)),
]
IMAGES = [
    held("good1", 2, softmax(0.9, 0.05), "cat"),
    held("good2", 3, softmax(0.7, 0.2), "cat"),
    held("good3", 61, softmax(0.1, 0.8), "dog"),
    held("sure", 1, softmax(0.97, 0.02), "dog"),  # every neighbour is a cat
    held("torn", 33, softmax(0.5, 0.45), "dog"),
    held("owlish", 2, softmax(0.6, 0.399), "owl"),  # its label is the least probable class
    held("other", 1, softmax(0.97, 0.02), "dog", "val"),
]


class Said(ColourNetwork):
    """A network that is not asked: everything is stored."""

    def read(self, views: np.ndarray) -> object:  # type: ignore[override]  # never comes back
        raise AssertionError("no forward pass is needed")


class View:
    fingerprint = "c0ffee"

    def __init__(self, network: ColourNetwork) -> None:
        self.classes, self.class_weights = network.classes, network.class_weights


def networks() -> Networks:
    said = Said((0.8, 0.1, 0.1))
    return Networks(cast("Embedder", said), cast("Classifier", View(said)), {})


def hashes(ids: Sequence[str]) -> Mapping[str, str]:
    return {name: f"sha-{name}" for name in ids}


def dossier(images: Sequence[Entry] = IMAGES, **choice: object) -> Dossier:
    store = MemoryCaseStore()
    fill(store, [*CASES, *images])
    return gather(store, networks(), Choice(**choice), hashes, {"date": "today"})  # type: ignore[arg-type]


def names(found: Dossier) -> list[str]:
    return [one.case.id for one in found.entries]


def test_every_wrong_answer_of_the_part_is_there_once_and_no_right_one() -> None:
    found = dossier()
    assert sorted(names(found)) == ["owlish", "sure", "torn"]
    assert (found.total, found.wrong, found.split) == (6, 3, "test")
    assert found.confusion == {"cat": {"cat": 2}, "dog": {"cat": 2, "dog": 1}, "owl": {"cat": 1}}
    assert found.accuracy == Measured(0.5, pytest.approx(0.1876, abs=1e-4), pytest.approx(0.8124, abs=1e-4), 6)


def test_the_accuracy_of_grouped_images_is_that_of_evaluate_model() -> None:
    """Three animals of four pictures each, one of them wrong throughout: twelve images, but only three witnesses."""
    from casebase.evaluate import model

    images = [
        held(f"i{animal}{n}", 2 + n, softmax(0.8, 0.1), "dog" if animal == 0 else "cat", group=f"animal{animal}")
        for animal in range(3)
        for n in range(4)
    ]
    store = MemoryCaseStore()
    fill(store, [*CASES, *images])
    found = gather(store, networks(), Choice(), hashes, {}).accuracy
    (accuracy,) = [row["value"] for row in model.measure(store).tables[0].rows if row["metric"] == "accuracy"]
    assert found == accuracy
    assert found.low is not None
    assert found.low < 0.3, "Wilson's interval over twelve images would end at 39 %"


def test_the_suspected_label_leads_and_the_rest_follows_by_care() -> None:
    found = dossier()
    assert names(found) == ["sure", "owlish", "torn"]
    assert [one.place for one in found.entries] == [1, 2, 3]
    assert [one.suspected for one in found.entries] == [True, False, False]
    assert found.entries[1].care > found.entries[2].care
    assert [(g.label, g.predicted, [e.case.id for e in g.entries]) for g in found.groups] == [
        ("dog", "cat", ["sure", "torn"]),
        ("owl", "cat", ["owlish"]),
    ]


def test_the_label_is_among_the_rivals_however_improbable() -> None:
    owlish = dossier().entries[1].retrieval
    assert [(rival.name, rival.reason) for rival in owlish.rivals] == [("dog", "probable"), ("owl", "label")]
    assert [row.case.id for row in owlish.of_rival("owl")] == ["owl0", "owl1"]
    assert owlish.query.label == "owl"
    assert owlish.to_dict()["query"] == {
        "path": "owlish", "sha256": "sha-owlish", "known_case": "owlish", "held_out": True, "label": "owl",
    }  # fmt: skip


def test_a_label_that_the_network_does_not_know_is_a_rival_without_cases() -> None:
    (found,) = dossier([held("x", 2, softmax(0.9, 0.05), "newt")]).entries
    assert ("newt", "label", 0) in [(r.name, r.reason, r.available) for r in found.retrieval.rivals]
    assert found.label_probability is None


def test_an_image_and_its_group_never_answer() -> None:
    """Cases of the query's own group are left out of its lists, as for any query."""
    from casebase.cases import SourceImage

    mine = SourceImage("mine", "/nowhere/mine", "mine", "cat", None, "one animal")  # type: ignore[arg-type]
    store = MemoryCaseStore()
    fill(store, [*CASES, entry("mine", at(1), CAT, image=mine),
                 held("asked", 1, softmax(0.9, 0.05), "dog", group="one animal")])  # fmt: skip
    (found,) = gather(store, networks(), Choice(), hashes, {}).entries
    rows = [*found.retrieval.nearest, *found.retrieval.twins]
    assert "mine" not in {row.case.id for row in rows}
    assert len(found.retrieval.nearest) == 5


def test_a_limit_keeps_the_most_important_and_says_how_many_there_are() -> None:
    found = dossier(limit=1)
    assert names(found) == ["sure"]
    assert found.wrong == 3
    assert "The most important one of 3 mistakes is shown." in [said.text for said in found.statements]


def test_a_limit_changes_no_finding_about_all_mistakes() -> None:
    def told(limit: int | None) -> list[tuple[str, Level]]:
        return [(said.text, said.level) for said in dossier(limit=limit).statements if "shown" not in said.text]

    assert told(1) == told(None)
    assert any("of 3 mistakes" in text for text, _ in told(1))


def test_right_answers_of_similar_evidence_stand_beside() -> None:
    """Near in softmax and trust and called the same: for ``sure`` (0.97) that is ``good1`` (0.9), not ``good2``."""
    found = dossier(correct=1)
    by_id = {one.case.id: one for one in found.entries}
    assert by_id["sure"].contrast == ["good1"]
    assert by_id["torn"].contrast == ["good2"]
    assert {one.case.id for one in found.contrasts} <= {"good1", "good2"}
    assert all(one.right and one.predicted == "cat" for one in found.contrasts)
    good1 = next(one for one in found.contrasts if one.case.id == "good1")
    assert "sure" in good1.alike
    assert not dossier().contrasts


def test_without_a_right_answer_of_that_class_another_one_serves() -> None:
    found = dossier([IMAGES[2], IMAGES[3]], correct=2)
    assert found.entries[0].contrast == ["good3"]


def test_another_part_can_be_asked_for() -> None:
    assert names(dossier(split="val")) == ["other"]
    with pytest.raises(UsageError, match="no split 'night'"):
        dossier(split="night")


def test_a_part_without_a_mistake_is_calm() -> None:
    found = dossier(IMAGES[:3])
    assert (found.wrong, found.entries, found.groups) == (0, [], [])
    assert (found.statements[0].text, found.statements[0].level) == (
        "No answer of these 3 images is wrong.", Level.CALM,
    )  # fmt: skip


def test_training_images_are_called_so_once_and_not_in_every_verdict() -> None:
    found = dossier([entry("wrong", at(3), CAT, label="dog"), entry("copy", at(3.2), CAT)], split="train")
    assert names(found) == ["wrong"]
    assert found.statements[0].level is Level.ALARM
    assert "training images" in found.statements[0].text
    assert found.entries[0].verdict.text != "The query is a training image."


def test_the_same_base_gives_the_same_dossier() -> None:
    one, other = dossier(correct=2).to_dict(), dossier(correct=2).to_dict()
    for found in (*one["errors"], *other["errors"], *one["correct"], *other["correct"]):
        assert found.pop("seconds")["total"] >= 0
    assert one == other


def test_the_json_has_the_fixed_keys_and_is_finite() -> None:
    import json

    value = dossier(correct=1).to_dict()
    text = json.dumps(value, allow_nan=False)
    assert json.loads(text) == value
    assert value["schema"] == "casebase.errors/1"
    assert {"split", "total", "errors", "confusion", "accuracy"} <= set(value)
    assert value["split"] == "test"
    for error in value["errors"]:
        assert error["schema"] == "casebase.query/1"
        assert error["label"] != error["prediction"]["predicted"]
        assert set(error["overlays"].values()) == {None}
        assert error["label"] in [rival["class"] for rival in error["rivals"]]


def test_a_cell_that_a_spreadsheet_would_run_is_defused() -> None:
    found = dossier([held("=1+1", 2, softmax(0.9, 0.05), "@dog")])
    head, line = table(found.entries, written=False).splitlines()
    assert head == ",".join(COLUMNS)
    assert "'=1+1" in line
    assert "'@dog" in line


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"correct": -1}, {"k": 0}])
def test_a_choice_that_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="must be at least"):
        Choice(**wrong)  # type: ignore[arg-type]


def test_without_a_writer_nothing_is_saved() -> None:
    with pytest.raises(UsageError, match="without a writer"):
        dossier().save("/nowhere")
