"""``casebase cae train`` and the space ``cae``: learned, kept, asked in; and what is said where that cannot be.

The real trainings here are far too short to pass a gate; where one has to pass, the gates are opened. Where it does not
matter what was learned, the networks are planted as they were drawn at random.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from casebase.association import Association, Nodes
from casebase.cli.main import invoke
from casebase.errors import Diverged
from casebase.networks.cae import checks, reader, training
from casebase.networks.cae.nets import Autoencoder
from casebase.networks.cae.prepared import enough
from casebase.networks.cae.recipe import CaeRecipe
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.training_cases import TrainingCases
from casebase.settings import Settings
from casebase.storage import association_rows, lock
from casebase.storage.opening import make_store
from casebase.wiring import association_training
from tests.explain.cae import planted
from tests.flow.command import Call
from tests.flow.conftest import PLAIN, draw, photos_at

TRAIN = ("cae", "train", "--preset", "test", "--iterations", 1)


def open_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "gates", lambda _standing: [])


def plant(monkeypatch: pytest.MonkeyPatch, *failed: str, ended: str = "complete") -> None:
    """In the place of a training: networks drawn at random, and figures that nobody measured."""

    def train(
        network: ExplainedNetwork, cases: TrainingCases, recipe: CaeRecipe, folder: Path, _watch: object, *, fresh: bool
    ) -> tuple[Association, reader.Tensors]:
        size = recipe.plan.size
        torch.manual_seed(recipe.seed)
        net = Autoencoder(size)
        found = replace(
            planted.association(), classifier=network.classifier_fingerprint or "", preset=recipe.preset, size=size,
            view=network.preprocess.crop, failed=list(failed), settings={"ended": ended, "iterations": 1},
            classes=enough(cases.labels, cases.predicted, recipe, network.classes or ()),
        )  # fmt: skip
        codes = np.eye(2, size.code, dtype=np.float32)
        return found, reader.Tensors(
            net.state_dict(), torch.zeros(size.code), Nodes(codes, np.arange(2), cases.ids[:2])
        )

    monkeypatch.setattr(training, "train", train)


@pytest.fixture(scope="module")
def shared_trained(tmp_path_factory: pytest.TempPathFactory, shared_wrong: Path) -> Path:
    """A base with an embedding that passed, which no test changes."""
    base = Path(shutil.copytree(shared_wrong, tmp_path_factory.mktemp("trained") / "base"))
    with pytest.MonkeyPatch.context() as patched:
        plant(patched)
        assert invoke([*map(str, TRAIN), "--base", str(base), "--quiet", "--json"]) == 0
    return base


@pytest.fixture
def trained(tmp_path: Path, shared_trained: Path) -> Path:
    return Path(shutil.copytree(shared_trained, tmp_path / "trained"))


@pytest.fixture
def untouched(tmp_path: Path, shared_wrong: Path) -> Path:
    """A base without an embedding, of one's own."""
    return Path(shutil.copytree(shared_wrong, tmp_path / "untouched"))


@pytest.fixture
def own(tmp_path: Path, shared_parts: Path, model: Path, call: Call) -> tuple[Path, Path]:
    """Pictures and their base, both to be changed."""
    pictures = Path(shutil.copytree(shared_parts, tmp_path / "pictures"))
    call("index", pictures, "--model", model, *PLAIN, "--base", tmp_path / "own", "--json").expect(0)
    return pictures, tmp_path / "own"


def weights_in(base: Path) -> list[Path]:
    return [path for path in sorted((base / "models").iterdir()) if association_rows.of_association(path.name)]


def spaces_of(base: Path, call: Call) -> set[str]:
    found = call("stats", "--base", base, "--json").expect(0).json["spaces"]
    return {name for name, one in found.items() if one["ready"]}


# -- learned and asked in ----------------------------------------------------------------------------------------


def test_a_training_that_passes_ends_with_its_table_and_what_to_type_next(
    untouched: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_gates(monkeypatch)
    done = call(*TRAIN, "--base", untouched).expect(0)
    assert "Class association embedding of 3 classes" in done.out
    assert "Preset test, 32 x 32 pixels" in done.out
    for row in ("reassigned, worst direction", "edits nearest, of all lenders", "a linear reader tells the class"):
        assert row in done.out
    assert "Every gate was passed." in done.out
    assert f"next: casebase cae show --base {untouched}" in done.out
    for told in ("reading: 50 to do", "training: 1 to do", "class codes: 50 to do", "iteration 1:", "losses recons"):
        assert told in done.err
    sheets = untouched / "cae" / "test" / "sheets"
    assert f"sample sheets, synthetic images all of them: {sheets}" in done.err
    assert [path.name for path in sorted(sheets.iterdir())] == ["synthetic-000001.png"]
    assert [path.name for path in sheets.parent.iterdir()] == ["sheets"]  # nothing to go on with is left


def test_what_is_printed_as_json_is_what_is_kept(trained: Path, call: Call) -> None:
    import casebase

    with casebase.open(trained) as opened:
        found = opened.association()
        assert found is not None
        assert found.to_dict()["schema"] == "casebase.cae/1"
    (file,) = weights_in(trained)
    assert file == association_rows.tensor_file(trained, found.digest)
    told = call("stats", "--base", trained, "--json").expect(0).json
    assert told["cae"]["digest"] == found.digest
    assert told["fingerprint"] == found.classifier
    assert "class association test: 3 classes, passed its gates, made " in call("stats", "--base", trained).out
    assert call("verify", "--base", trained, "--json").expect(0).json["checked"]["cae"] == "test"


def test_twins_can_be_asked_for_in_the_space(trained: Path, stranger: Path, call: Call) -> None:
    answer = call("query", stranger, "--space", "cae", "--no-overlays", "--base", trained, "--json").expect(0).json
    assert answer["search"]["space"] == "cae"
    assert len(answer["twins"]) == 5
    assert not any("not to be trusted" in one for one in answer["warnings"])
    default = call("query", stranger, "--no-overlays", "--base", trained, "--json").expect(0).json
    assert [row["distance"] for row in default["nearest"]] != [row["distance"] for row in answer["nearest"]]


def test_a_stored_image_is_nearest_to_itself_in_it(own: tuple[Path, Path], call: Call, monkeypatch) -> None:
    """The codes that are stored are those a query gets: the same views, in batches of another size."""
    plant(monkeypatch)
    pictures, base = own
    call(*TRAIN, "--base", base, "--json").expect(0)
    import casebase

    with casebase.open(base) as opened:
        store = opened._store
        for block in store.examined("cae", "active"):
            networks = opened._explainers.networks(store, "cae")
            embedder = networks.embedder("cae")
            from casebase import reading

            picture = reading.read(pictures / block.cases[0].path)
            seen = embedder.read(np.stack([embedder.preprocess.pixels(picture.image)])).features[0]
            np.testing.assert_allclose(seen, block.features[0], rtol=1e-3, atol=1e-5)


def test_mistakes_summaries_and_evaluations_can_use_the_space(trained: Path, tmp_path: Path, call: Call) -> None:
    call("errors", "--space", "cae", "--limit", 1, "--out", tmp_path / "errors", "--base", trained).expect(0)
    call("prototypes", "summarize", "--space", "cae", "--base", trained).expect(0)
    measured = call("evaluate", "twins", "--base", trained, "--json").expect(0).json
    assert "cae" in measured["settings"]["spaces_measured"]


def test_the_same_training_again_gives_the_same_codes_and_leaves_one_file(
    trained: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    (before,) = weights_in(trained)
    call(*TRAIN, "--base", trained, "--json").expect(0)
    assert weights_in(trained) == [before]
    other = call(*TRAIN, "--seed", 7, "--base", trained, "--json").expect(0).json
    assert weights_in(trained) == [association_rows.tensor_file(trained, other["digest"])] != [before]


def test_labels_can_be_learned_instead(untouched: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    open_gates(monkeypatch)
    done = call(*TRAIN, "--target", "labels", "--base", untouched).expect(0)
    assert "trained on the labels" in done.out.replace("\n", " ")


# -- gates -------------------------------------------------------------------------------------------------------


def test_one_that_fails_its_gates_is_kept_shown_and_ends_with_their_code(
    untouched: Path, stranger: Path, call: Call
) -> None:
    done = call(*TRAIN, "--base", untouched).expect(1)
    assert "are needed." in done.out
    assert "Every gate was passed" not in done.out
    assert "failed its gates, since " in done.err
    assert "it is kept to be looked at, and shown as no explanation" in done.err
    assert f"`casebase cae train --preset test --iterations 2 --base {untouched}` trains longer" in done.err
    assert len(weights_in(untouched)) == 1
    told = call("stats", "--base", untouched, "--json").json["cae"]
    assert not told["trustworthy"]
    assert "of its gates, made" in call("stats", "--base", untouched).out
    answer = call("query", stranger, "--space", "cae", "--no-overlays", "--base", untouched, "--json").expect(0).json
    assert answer["warnings"][0].startswith("the class codes of this base are not to be trusted: ")
    default = call("query", stranger, "--no-overlays", "--base", untouched, "--json").expect(0).json
    assert not any("not to be trusted" in one for one in default["warnings"])
    twins = call("evaluate", "twins", "--base", untouched, "--json").expect(0).json
    assert "not to be trusted" in twins["statements"][0]["text"]


def test_a_failed_one_is_printed_as_json_too(untouched: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "it copies")
    done = call(*TRAIN, "--base", untouched, "--json").expect(1)
    assert not done.json["trustworthy"]
    assert done.json["failed"] == ["it copies"]
    assert done.err.endswith("trains longer\n")


def test_one_that_fails_does_not_replace_one_that_passed(
    trained: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, "it copies", "it does nothing")
    (before,) = weights_in(trained)
    done = call(*TRAIN, "--seed", 7, "--base", trained).expect(1)
    assert "✕ It copies." in done.out
    assert "it copies (and 1 more); it is not kept, and the one of " in done.err
    assert weights_in(trained) == [before]
    assert call("stats", "--base", trained, "--json").json["cae"]["trustworthy"]
    call("verify", "--base", trained).expect(0)


# -- a base that goes on -----------------------------------------------------------------------------------------


def test_a_later_index_brings_new_images_into_the_space(
    own: tuple[Path, Path], stranger: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    pictures, base = own
    call(*TRAIN, "--base", base, "--json").expect(0)
    draw("cat", 600).save(pictures / "train" / "cat" / "late.png")
    draw("dog", 601).save(pictures / "train" / "dog" / "0000.png")
    (pictures / "train" / "owl" / "0000.png").unlink()
    done = call("index", pictures, *PLAIN, "--base", base, "--json").expect(0).json
    assert (done["added"], done["updated"], done["withdrawn"]) == (1, 1, 1)
    assert "cae" in done["space"]
    assert spaces_of(base, call) == {"avgpool", "cae"}
    assert len(weights_in(base)) == 1  # tidied up around it
    answer = call("query", stranger, "--space", "cae", "--k", 50, "--no-overlays", "--base", base, "--json").json
    assert any(row["path"].endswith("late.png") for row in answer["nearest"])
    call("verify", "--deep", "--base", base).expect(0)


def test_images_that_came_during_the_training_get_their_codes_too(
    own: tuple[Path, Path], call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    pictures, base = own
    train = training.train  # the planted one

    def meanwhile(*given: object, **named: object) -> object:
        found = train(*given, **named)  # type: ignore[arg-type]
        draw("owl", 700).save(pictures / "train" / "owl" / "late.png")
        call("index", pictures, *PLAIN, "--base", base, "--json").expect(0)
        return found

    monkeypatch.setattr(training, "train", meanwhile)
    call(*TRAIN, "--base", base, "--json").expect(0)
    assert spaces_of(base, call) == {"avgpool", "cae"}
    assert call("stats", "--base", base, "--json").json["cases"] == 37


def test_after_another_head_the_space_is_closed_until_it_is_made_anew(
    own: tuple[Path, Path], stranger: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    pictures, base = own
    old = call(*TRAIN, "--base", base, "--json").expect(0).json["classifier"]
    for number in range(3):
        draw("owl", 500 + number).save(pictures / "train" / "cat" / f"odd{number}.png")
    done = call("index", pictures, *PLAIN, "--refit-head", "--base", base, "--json").expect(0).json
    assert any(f"`casebase cae train --base {base}` makes a new one" in one for one in done["warnings"])
    new = done["fingerprint"]
    assert new != old
    assert spaces_of(base, call) == {"avgpool"}
    said = call("query", stranger, "--space", "cae", "--no-overlays", "--base", base).expect(1).sentence
    assert old in said
    assert new in said
    assert f"`casebase cae train --base {base}`" in said
    call("query", stranger, "--no-overlays", "--base", base, "--json").expect(0)
    found = call("verify", "--base", base, "--json").expect(4).json["findings"]
    assert any("explains the network" in one["what"] for one in found)
    assert "of another network" in call("stats", "--base", base).out.replace("\n", " ")
    call(*TRAIN, "--base", base, "--json").expect(0)
    assert spaces_of(base, call) == {"avgpool", "cae"}


def test_weights_that_are_gone_keep_nobody_from_indexing(trained: Path, shared_parts: Path, stranger, call) -> None:
    (file,) = weights_in(trained)
    file.unlink()
    said = call("query", stranger, "--space", "cae", "--no-overlays", "--base", trained).expect(1).sentence
    assert f"`casebase cae train --base {trained}`" in said
    done = call("index", shared_parts, *PLAIN, "--base", trained, "--json").expect(0).json
    assert any("new images get no class code: no cae-" in one for one in done["warnings"])


def test_a_training_that_is_kept_waiting_goes_on_where_it_was(
    untouched: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer, when everything has been computed: nothing of it is lost, and nothing of it is visible."""
    open_gates(monkeypatch)
    with lock.writer(untouched, "index"):
        assert "is being written" in call(*TRAIN, "--base", untouched).expect(5).sentence
    assert spaces_of(untouched, call) == {"avgpool"}
    assert (untouched / "cae" / "test" / "state.pt").exists()
    again = call(*TRAIN, "--base", untouched).expect(0)
    assert "iteration" not in again.err  # no step was made anew
    assert spaces_of(untouched, call) == {"avgpool", "cae"}


def test_one_that_is_replaced_while_it_is_read_is_read_anew(
    trained: Path, stranger: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    (old,) = weights_in(trained)
    load, asked = reader.load, []

    def slow(path: Path, digest: str) -> reader.Tensors:
        asked.append(path)
        if len(asked) == 1:
            call(*TRAIN, "--seed", 7, "--base", trained, "--json").expect(0)
        return load(path, digest)

    monkeypatch.setattr(reader, "load", slow)
    call("query", stranger, "--space", "cae", "--no-overlays", "--base", trained, "--json").expect(0)
    (new,) = weights_in(trained)
    assert asked[:2] == [old, new]
    assert old not in asked[1:]


# -- bad input ---------------------------------------------------------------------------------------------------


def test_a_base_that_is_not_there_and_one_without_cases(tmp_path: Path, call: Call) -> None:
    call(*TRAIN, "--base", tmp_path / "none").expect(10)
    make_store(Settings(base=tmp_path / "empty")).close()
    assert "holds no case yet" in call(*TRAIN, "--base", tmp_path / "empty").expect(1).sentence


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--preset", "huge"), "--preset must be one of paper, small, test, not 'huge'"),
        (("--iterations", "0"), "--iterations must be at least 1"),
        (("--batch-size", "0"), "--batch-size must be at least 1"),
        (("--target", "truth"), "--target must be predicted or labels"),
    ],
)
def test_choices_that_make_no_sense(shared_wrong: Path, call: Call, words: tuple[str, ...], said: str) -> None:
    assert said in call("cae", "train", *words, "--base", shared_wrong).expect(2).sentence


def test_asking_in_the_space_before_there_is_one_says_what_makes_it(
    untouched: Path, shared_parts: Path, stranger: Path, call: Call
) -> None:
    for words in (
        ("query", stranger, "--no-overlays"), ("errors",), ("prototypes", "summarize"), ("index", shared_parts),
        ("index", shared_parts, "--dry-run"),
    ):  # fmt: skip
        said = call(*words, "--space", "cae", "--base", untouched).expect(2).sentence
        assert "`casebase cae train` makes it" in said
    assert "there is avgpool, contribution, clip, cae" in (
        call("index", shared_parts, "--space", "best", "--base", untouched).expect(2).sentence
    )


Indexed = Callable[[dict[str, int]], Path]


@pytest.fixture
def indexed(tmp_path: Path, model: Path, call: Call) -> Indexed:
    """A base of so many pictures of each kind, which the network calls what they are."""

    def make(counts: dict[str, int], size: tuple[int, int] = (48, 40)) -> Path:
        for kind, each in counts.items():
            photos_at(tmp_path / "some", each, [kind], size)
        base = tmp_path / "base"
        call("index", tmp_path / "some", "--model", model, *PLAIN, "--base", base, "--json").expect(0)
        return base

    return make


def test_one_class_only(indexed: Indexed, call: Call) -> None:
    said = call(*TRAIN, "--base", indexed({"cat": 12})).expect(1).sentence
    assert "all 12 cases are called 'cat'; index images of a second class" in said


def test_a_class_with_a_handful_of_images_takes_no_part(
    indexed: Indexed, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    base = indexed({"cat": 12, "dog": 12, "owl": 4})
    done = call(*TRAIN, "--base", base, "--json").expect(0)
    assert "classes with fewer than 10 cases take no part in the training: owl (4)" in done.err
    assert done.json["classes"] == ["cat", "dog"]
    assert spaces_of(base, call) == {"avgpool", "cae"}  # the owls have codes all the same


def test_two_classes_one_of_them_a_handful(indexed: Indexed, call: Call) -> None:
    base = indexed({"cat": 12, "dog": 4})
    said = call(*TRAIN, "--base", base).expect(1).sentence
    assert "between classes of at least 10 cases each" in said
    assert "'cat' has 12, 'dog' has 4" in said
    assert not (base / "cae").exists()  # told before anything is read or made


def test_images_smaller_than_the_preset_name_one_that_fits(shared_wrong: Path, call: Call) -> None:
    said = call("cae", "train", "--base", shared_wrong).expect(2).sentence  # 48 x 40; small works at 64
    assert "the preset small works at 64 x 64 pixels, and 36 of 36 cases have a shorter side below 48" in said
    assert "choose --preset test, which works at 32" in said


def test_images_too_small_for_any_preset(indexed: Indexed, call: Call) -> None:
    said = call(*TRAIN, "--base", indexed({"cat": 12, "dog": 12}, size=(20, 16))).expect(2).sentence  # type: ignore[call-arg]
    assert "36 pixels" not in said
    assert "index larger images" in said


def test_images_a_little_smaller_than_the_preset_are_fine(
    indexed: Indexed, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    call(*TRAIN, "--base", indexed({"cat": 12, "dog": 12}, size=(28, 28)), "--json").expect(0)  # type: ignore[call-arg]


def test_an_image_whose_file_is_gone_or_changed_is_named_before_the_training(
    own: tuple[Path, Path], call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    pictures, base = own
    (pictures / "test" / "cat" / "0000.png").unlink()
    said = call(*TRAIN, "--base", base).expect(1).sentence
    assert "1 of 50 cannot be read; the first, test/cat/0000.png: no such file" in said
    assert "`casebase index`" in said
    assert not (base / "cae" / "test").exists()
    call("index", pictures, *PLAIN, "--base", base, "--json").expect(0)
    call(*TRAIN, "--base", base, "--json").expect(0)


def test_a_training_that_diverges_keeps_the_embedding_before(
    trained: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverges(*_given: object, **_named: object) -> None:
        raise Diverged("a loss was no number any more at iteration 1 of 2")

    (before,) = weights_in(trained)
    monkeypatch.setattr(training, "train", diverges)
    assert "a loss was no number any more" in call(*TRAIN, "--base", trained).expect(1).sentence
    assert weights_in(trained) == [before]


def test_a_training_that_ends_early_says_so(untouched: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, ended="a loss was no number any more at iteration 2 of 2")
    out = call(*TRAIN, "--base", untouched).expect(0).out
    assert "The training ended early: a loss was no number any more at iteration 2 of 2" in out


def test_codes_that_tell_nothing_apart_are_not_kept(
    untouched: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader.CaeReader, "codes", lambda _self, views: np.zeros((len(views), 8), np.float32))
    said = call(*TRAIN, "--base", untouched).expect(1).sentence
    assert "the class codes of 50 of 50 images are zero or not finite" in said
    assert weights_in(untouched) == []


def test_a_second_training_is_told_who_is_at_it(trained: Path, call: Call) -> None:
    with lock.writer(trained / association_training.FOLDER, "cae train"):
        assert "cae train" in call(*TRAIN, "--base", trained).expect(5).sentence


def test_a_full_disk_is_told_and_the_embedding_before_stays(
    trained: Path, stranger: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    (before,) = weights_in(trained)

    def full(*_given: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(association_rows, "_values", full)
        assert "no space left on the disk" in call(*TRAIN, "--seed", 7, "--base", trained).expect(1).sentence
    call("query", stranger, "--space", "cae", "--no-overlays", "--base", trained, "--json").expect(0)
    call("verify", "--base", trained).expect(0)
    assert before in weights_in(trained)
