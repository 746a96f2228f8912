"""Which classes take part in a training, asked before any image is read."""

from __future__ import annotations

import pytest

from casebase.errors import DataError, UsageError
from casebase.networks.cae.prepared import FEWEST, enough, scarce
from casebase.networks.cae.recipe import CaeRecipe

KNOWN = ("cat", "dog", "owl")
PREDICTED, LABELS = CaeRecipe(), CaeRecipe(target="labels")


def named(**counts: int) -> list[str]:
    return [name for name, n in counts.items() for _ in range(n)]


def test_the_classes_come_in_the_networks_order() -> None:
    said = named(owl=FEWEST, cat=FEWEST + 3, dog=FEWEST)
    assert enough(said, said, PREDICTED, KNOWN) == KNOWN


def test_what_counts_is_what_the_network_says_unless_labels_are_asked_for() -> None:
    predicted, labels = named(cat=12, dog=12), named(cat=12, owl=12)
    assert enough(labels, predicted, PREDICTED, KNOWN) == ("cat", "dog")
    assert enough(labels, predicted, LABELS, KNOWN) == ("cat", "owl")


def test_a_scarce_class_stays_out_and_is_told() -> None:
    said = named(cat=FEWEST, dog=FEWEST, owl=FEWEST - 1)
    found = enough(said, said, PREDICTED, KNOWN)
    assert found == ("cat", "dog")
    assert scarce(said, said, PREDICTED, found) == {"owl": FEWEST - 1}


@pytest.mark.parametrize(
    ("labels", "predicted", "recipe", "said"),
    [
        ([], [], PREDICTED, "there is no case; index images of a second class"),
        (named(cat=20), named(cat=20), PREDICTED, "all 20 cases are called 'cat'; index images of a second class"),
        (named(cat=10, dog=10), named(cat=20), PREDICTED, "called 'cat'; --target labels learns the 2 labels"),
        (named(cat=20), named(cat=10, dog=10), LABELS, "all 20 cases are labelled 'cat'; index images of a second"),
        (named(cat=12, dog=9), named(cat=12, dog=9), PREDICTED, "many that are called so: 'cat' has 12, 'dog' has 9;"),
        (named(cat=12, dog=9), named(cat=21), LABELS, "many that are labelled so: 'cat' has 12, 'dog' has 9;"),
        (named(cat=12, fox=12), named(cat=24), LABELS, "12 of 24 cases are labelled otherwise, 'fox' for one"),
    ],
)
def test_too_few_is_one_sentence(labels: list[str], predicted: list[str], recipe: CaeRecipe, said: str) -> None:
    with pytest.raises(DataError) as raised:
        enough(labels, predicted, recipe, KNOWN)
    assert said in str(raised.value)


def test_a_step_of_more_pairs_than_cases_is_refused_before_it_fills_the_memory() -> None:
    said = named(cat=FEWEST, dog=FEWEST)
    assert enough(said, said, CaeRecipe(batch=2 * FEWEST), KNOWN) == ("cat", "dog")
    with pytest.raises(UsageError, match=r"--batch-size 100,000 asks for more pairs a step than the 20 cases"):
        enough(said, said, CaeRecipe(batch=100_000), KNOWN)
