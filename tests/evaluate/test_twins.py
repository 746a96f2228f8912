"""The whole measurement: made-up bases with a known answer, and the digits of scikit-learn with a small linear head."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from casebase.cases import Status
from casebase.errors import EmptyCaseBase, UsageError
from casebase.evaluate.twin_fidelity import Head
from casebase.evaluate.twins import TwinNetworks, TwinOptions, TwinRun, measure
from casebase.evaluations import Evaluation, Measured, Table
from casebase.explanations import Level
from casebase.networks import linear_head
from casebase.parts import Part, choose
from casebase.ports import Embedder
from casebase.storage.memory import MemoryCaseStore
from tests.evaluate.bases import Answer, base, matrix
from tests.fakes import entry, fill


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Drawing takes longer than measuring; one test looks at the figures."""
    if "figures" not in request.fixturenames:
        monkeypatch.setattr("casebase.evaluate.twins.plots", lambda found: [])


@pytest.fixture
def figures() -> None:
    """Asked for by the test that wants them drawn."""


QUICK = TwinOptions(sample=0, random_network=False)


def no_network() -> Embedder:
    raise AssertionError("no network is needed for stored vectors")


def networks(head: Head | None = None) -> TwinNetworks:
    return TwinNetworks("c0ffee", head, no_network, no_network)


def table(measured: Evaluation, key: str) -> Table:
    return next(one for one in measured.tables if one.key == key)


def cell(measured: Evaluation, key: str, column: str, **where: str) -> Measured:
    row = next(row for row in table(measured, key).rows if all(row[name] == value for name, value in where.items()))
    found = row[column]
    assert isinstance(found, Measured)
    return found


def test_with_two_classes_rows_that_are_so_by_construction_are_called_so() -> None:
    learnt = [Answer(one, one, split="train") for one in ("cat", "dog") for _ in range(10)]
    held = matrix([[10, 5], [4, 11]], ("cat", "dog"))
    store = base([*learnt, *held], ("cat", "dog"))
    found = measure(store, choose(store.parts()), QUICK, networks())
    rows = {str(row["who"]): row["truth"] for row in table(found, "naming").rows}
    second = rows["the network's second class (by construction)"]
    assert isinstance(second, Measured)
    assert (second.value, second.n) == (1.0, 9)
    assert "predicted class of the nearest unlike case (by construction)" in rows
    assert "label of the nearest unlike case" in rows
    assert "by construction" in " ".join(table(found, "naming").notes)
    three = filled(100, 60, informative=True, wrong=0.3)
    found = measure(three, choose(three.parts()), QUICK, networks())
    assert "by construction" not in json.dumps(found.to_dict())
    assert not table(found, "naming").notes


def said(measured: Evaluation) -> str:
    return " ".join(statement.text for statement in measured.statements)


def filled(cases: int, queries: int, *, informative: bool, wrong: float, seed: int = 0) -> MemoryCaseStore:
    """Three classes; features lie around the *answer*, or know nothing; a share of the queries is answered wrongly."""
    random = np.random.default_rng(seed)
    store = MemoryCaseStore()
    entries = []
    for i in range(cases + queries):
        held = i >= cases
        said_ = int(random.integers(3))
        label = (said_ + 1) % 3 if held and random.random() < wrong else said_
        centre = 4.0 * np.eye(3, 12)[said_] + 0.3 if informative else np.ones(12)
        vector = (centre + random.normal(size=12) * (0.3 if informative else 1.0)).astype(np.float32)
        entries.append(entry(f"{i:05d}", vector, said_, label=("cat", "dog", "owl")[label], held_out=held))
    fill(store, entries)
    return store


def test_features_that_carry_the_answer_have_fidelity_one_and_a_control_at_chance() -> None:
    store = filled(300, 240, informative=True, wrong=0.5)
    found = measure(store, choose(store.parts()), QUICK, networks())
    for over in ("all", "errors"):
        assert cell(found, "fidelity", "fidelity", space="avgpool", over=over).value == 1.0
        shuffled = cell(found, "fidelity", "shuffled", space="avgpool", over=over).value
        assert shuffled == pytest.approx(1 / 3, abs=0.06)
        adjusted = cell(found, "fidelity", "adjusted", space="avgpool", over=over)
        assert adjusted.value == pytest.approx(1.0)
    assert cell(found, "nearness", "soft", space="avgpool", over="errors").value == pytest.approx(1.0)
    assert "not informative" not in said(found)


def test_features_that_know_nothing_are_called_not_informative() -> None:
    store = filled(300, 240, informative=False, wrong=0.5)
    found = measure(store, choose(store.parts()), QUICK, networks())
    assert "Fidelity in avgpool is not informative on these images" in said(found)
    assert "Fidelity in avgpool is not informative on the network's errors" in said(found)
    levels = [one.level for one in found.statements]
    order = [Level.ALARM, Level.CAUTION, Level.PLAIN, Level.CALM]
    assert levels[0] == Level.ALARM
    assert levels == sorted(levels, key=order.index)


@pytest.mark.parametrize(("wrong", "told"), [(0.0, "no error"), (0.1, "anecdotes"), (0.3, "weak"), (0.9, "")])
def test_few_errors_are_said_and_no_auroc_is_given_under_thirty(wrong: float, told: str) -> None:
    store = filled(150, 150, informative=True, wrong=wrong, seed=1)
    found = measure(store, choose(store.parts()), QUICK, networks())
    errors = found.settings["errors"]
    assert told in said(found)
    assert ("anecdotes" in said(found)) == (0 < errors < 30)
    auroc = cell(found, "detection", "auroc", score="trust score")
    augrc = cell(found, "risk", "augrc", score="trust score")
    assert (auroc.value is None) == (errors < 30 or errors > 120)
    assert (augrc.value is None) == (errors == 0)
    assert "errors" in [one.key for one in next(one for one in found.tables if one.key == "risk").columns]
    if wrong == 0.0:
        assert cell(found, "fidelity", "fidelity", space="avgpool", over="errors").reason == ("no error")
    json.dumps(found.to_dict(), allow_nan=False)


def test_every_row_can_be_written_and_every_figure_has_its_n(figures: None) -> None:
    store = filled(60, 40, informative=True, wrong=0.5)
    found = measure(store, choose(store.parts()), QUICK, networks())
    value = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert value["kind"] == "twins"
    assert {row["table"] for row in value["rows"]} >= {
        "fidelity",
        "nearness",
        "detection",
        "risk",
        "alarms",
        "naming",
        "hubness",
    }
    for made in found.tables:
        keys = {column.key for column in made.columns}
        assert len(keys) == len(made.columns)
        assert all(column.title for column in made.columns)
        for row in made.rows:
            for name, figure in row.items():
                if isinstance(figure, Measured):
                    assert figure.n > 0 or figure.reason, (made.key, name)
                    assert (figure.value is None) == (figure.reason is not None)
    rows = json.loads(json.dumps(list(found.per_query), allow_nan=False))
    assert len(rows) == 40
    assert len(rows[0]["nearest_avgpool"].split()) == 5
    assert sum(not row["right"] for row in rows) == found.settings["errors"]
    assert len(found.plots) == 3
    assert [plot.key for plot in found.plots] == ["overall", "risk", "shown"]
    assert all(plot.alt and plot.svg and plot.png for plot in found.plots)


def test_the_same_seed_gives_the_same_figures_and_another_one_other_controls() -> None:
    store = filled(80, 60, informative=False, wrong=0.5)
    part = choose(store.parts())
    one, again = (measure(store, part, QUICK, networks(), TwinRun(seed=3)).to_dict() for _ in range(2))
    other = measure(store, part, QUICK, networks(), TwinRun(seed=4)).to_dict()
    assert one == again
    controls = [[row["shuffled"] for row in value["rows"] if row["table"] == "fidelity"] for value in (one, other)]
    assert controls[0] != controls[1]
    assert one["rows"][0]["value"] == other["rows"][0]["value"]


def test_k_beyond_the_base_gives_what_there_is_and_says_so() -> None:
    store = filled(4, 10, informative=True, wrong=0.5)
    found = measure(store, choose(store.parts()), replace(QUICK, k=50), networks())
    assert found.settings["k"] == 4
    assert "The base has 4 cases, fewer than the 50 asked for" in said(found)


def test_one_class_leaves_no_rival_and_no_trust_score() -> None:
    store = MemoryCaseStore()
    random = np.random.default_rng(0)
    fill(
        store,
        [
            entry(
                f"{i:02d}",
                random.normal(size=8).astype(np.float32),
                0,
                held_out=i >= 20,
                label="cat" if i % 2 else "dog",
            )
            for i in range(40)
        ],
    )
    found = measure(store, choose(store.parts()), QUICK, networks())
    trust = cell(found, "detection", "auroc", score="trust score")
    assert trust.reason == "no image has it"
    assert "no trust score" in said(found)
    assert cell(found, "fidelity", "fidelity", space="avgpool", over="all").n == 20


def test_exact_copies_among_the_cases_never_answer_and_are_counted() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(30, 8)).astype(np.float32)
    store = MemoryCaseStore()
    entries = [entry(f"c{i:02d}", v, i % 3, pixel_hash=f"p{i}") for i, v in enumerate(vectors)]
    entries += [entry(f"q{i:02d}", v, i % 3, pixel_hash=f"p{i}", held_out=True) for i, v in enumerate(vectors[:12])]
    fill(store, entries)
    found = measure(store, choose(store.parts()), QUICK, networks())
    assert "12 of 12 images have an exact copy among the cases" in said(found)
    for row in found.per_query:
        assert f"c{row['id'][1:]}" not in row["nearest_avgpool"].split()


def test_training_images_can_be_measured_with_an_alarm_and_never_answer_themselves() -> None:
    store = filled(60, 0, informative=True, wrong=0.0)
    found = measure(store, choose(store.parts(), "train"), QUICK, networks())
    assert found.statements[0].level == Level.ALARM
    assert "training images" in found.statements[0].text
    for row in found.per_query:
        assert row["id"] not in row["nearest_avgpool"].split()


def test_without_held_out_images_or_cases_it_says_what_to_do() -> None:
    store = filled(20, 0, informative=True, wrong=0.0)
    with pytest.raises(UsageError, match="held out"):
        choose(store.parts())
    with pytest.raises(UsageError, match="holds no image"):
        measure(store, Part(Status.HELD_OUT, None, 0), QUICK, networks())
    alone = filled(0, 10, informative=True, wrong=0.0)
    with pytest.raises(EmptyCaseBase):
        measure(alone, choose(alone.parts()), QUICK, networks())


@pytest.mark.parametrize("wrong", [{"k": 0}, {"sample": -1}, {"control_cases": 0}])
def test_options_that_make_no_sense_are_refused(wrong: Mapping[str, Any]) -> None:
    with pytest.raises(UsageError):
        TwinOptions(**wrong)


def digits(scale: float, seed: int = 0) -> tuple[MemoryCaseStore, Head]:
    """200 digits as cases and 1000 noisy ones as queries, under a linear head fitted on the cases."""
    data = load_digits()
    order = np.random.default_rng(seed).permutation(len(data.target))[:1200]
    pixels = (data.data[order] / 16.0 + 0.01).astype(np.float32)
    noise = np.random.default_rng(seed + 1).normal(size=pixels.shape).astype(np.float32)
    labels = [f"digit{n}" for n in data.target[order]]
    pixels[200:] += scale * noise[200:]
    fitted = linear_head.fit(pixels[:200], labels[:200])
    said = linear_head.probabilities(pixels, fitted.weight, fitted.bias)
    store = MemoryCaseStore()
    entries = [
        replace(entry(f"{i:04d}", pixels[i], 0, label=labels[i], held_out=i >= 200), probabilities=said[i])
        for i in range(1200)
    ]
    with store.writing("test") as run:
        store.declare("avgpool", _fingerprint(64), {})
        store.retain(run, entries)
        store.publish(run, _changes(fitted.classes))
    return store, Head(fitted.weight, fitted.bias)


def _fingerprint(dim: int) -> Any:
    from tests.fakes import fingerprint

    return fingerprint(dim)


def _changes(classes: tuple[str, ...]) -> Any:
    from tests.fakes import changes

    return changes(facts={"fingerprint": "d161", "classes": list(classes), "fair": True})


@pytest.fixture(scope="module")
def on_digits() -> Evaluation:
    store, head = digits(0.2)
    return measure(store, choose(store.parts()), QUICK, networks(head))


def test_on_digits_neighbours_agree_far_above_their_control_and_less_on_errors(on_digits: Evaluation) -> None:
    overall = cell(on_digits, "fidelity", "fidelity", space="avgpool", over="all")
    errors = cell(on_digits, "fidelity", "fidelity", space="avgpool", over="errors")
    shuffled = cell(on_digits, "fidelity", "shuffled", space="avgpool", over="all")
    assert on_digits.settings["errors"] >= 100
    assert shuffled.value == pytest.approx(0.1, abs=0.04)
    assert overall.low is not None
    assert overall.low > 0.6
    assert errors.high is not None
    assert errors.high < overall.low


def test_on_digits_weights_of_the_class_tilt_the_vote_on_errors(on_digits: Evaluation) -> None:
    where = {"space": "contribution", "over": "errors"}
    own, rival = cell(on_digits, "fidelity", "fidelity", **where), cell(on_digits, "fidelity", "rival", **where)
    assert own.value is not None
    assert rival.value is not None
    assert own.value > rival.value
    assert "second class's weights" in said(on_digits)


def test_on_digits_every_score_is_measured_against_softmax(on_digits: Evaluation) -> None:
    titles = [row["score"] for row in table(on_digits, "detection").rows]
    assert titles == [
        "trust score", "trust score by label", "margin of distances", "k-NN distance", "agreement of the k nearest",
        "trust score in contribution", "max-softmax", "softmax margin", "entropy", "max-logit",
    ]  # fmt: skip
    softmax = cell(on_digits, "detection", "auroc", score="max-softmax")
    trust = cell(on_digits, "detection", "auroc", score="trust score")
    gain = cell(on_digits, "detection", "auroc_gain", score="trust score")
    assert softmax.value is not None
    assert trust.value is not None
    assert gain.value == pytest.approx(trust.value - softmax.value)
    assert softmax.value > 0.6
    assert "max-softmax" in said(on_digits)


def test_on_digits_a_nearest_twin_is_nearer_in_logits_than_any_twin(on_digits: Evaluation) -> None:
    where = {"space": "avgpool", "over": "all"}
    gap, any_twin = cell(on_digits, "nearness", "gap", **where), cell(on_digits, "nearness", "gap_of_any", **where)
    assert gap.high is not None
    assert any_twin.low is not None
    assert gap.high < any_twin.low


def test_on_digits_neighbours_contradict_errors_more_often_than_right_answers(on_digits: Evaluation) -> None:
    for row in table(on_digits, "alarms").rows:
        on_errors, on_right = row["errors"], row["right"]
        assert isinstance(on_errors, Measured)
        assert isinstance(on_right, Measured)
        assert on_errors.low is not None
        assert on_right.high is not None
        assert on_errors.low > on_right.high, row["sign"]


def test_every_space_of_the_base_has_its_rows_and_its_trust_score() -> None:
    random = np.random.default_rng(0)
    store = MemoryCaseStore()
    store.declare("clip", _fingerprint(6), {})
    entries = []
    for i in range(160):
        code = int(random.integers(3))
        own = (4 * np.eye(3, 12)[code] + random.normal(size=12) * 0.3).astype(np.float32)
        other = (random.normal(size=6) + 0.1).astype(np.float32)  # a lens that sees nothing of the answer
        made = entry(f"{i:03d}", own, code, label=("cat", "dog", "owl")[int(random.integers(3))], held_out=i >= 100)
        entries.append(replace(made, vectors={"avgpool": own, "clip": other}))
    fill(store, entries)
    found = measure(store, choose(store.parts()), QUICK, networks())
    assert found.settings["spaces_measured"] == ["avgpool", "clip"]
    own_first = cell(found, "fidelity", "by_predicted", space="avgpool", over="all")
    other_first = cell(found, "fidelity", "by_predicted", space="clip", over="all")
    assert own_first.value == 1.0
    assert other_first.value == pytest.approx(1 / 3, abs=0.2)
    assert "trust score in clip" in [row["score"] for row in table(found, "detection").rows]
    assert "The space contribution was not measured" in said(found)
