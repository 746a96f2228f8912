"""Labels are matched to the names a network gives its classes."""

from pathlib import Path

from casebase.indexer.sources import Listed, Source, matched


def test_underscores_and_case_do_not_hide_a_class() -> None:
    found = matched(["Rhodesian_ridgeback", "TENCH", "owl"], ["tench", "Rhodesian ridgeback"])
    assert found == {"Rhodesian_ridgeback": "Rhodesian ridgeback", "TENCH": "tench"}


def test_names_that_differ_in_case_only_are_told_apart_by_it() -> None:
    classes = ["Cardigan", "cardigan"]
    assert matched(["Cardigan", "cardigan"], classes) == {"Cardigan": "Cardigan", "cardigan": "cardigan"}
    assert matched(["CARDIGAN"], classes) == {}


def test_a_renamed_source_keeps_everything_but_the_label() -> None:
    source = Source(Path("/x"), [Listed("a.jpg", "red_fox", "train", "g"), Listed("b.jpg", "owl")])
    assert source.renamed({"red_fox": "red fox"}).listed == [
        Listed("a.jpg", "red fox", "train", "g"),
        Listed("b.jpg", "owl"),
    ]
