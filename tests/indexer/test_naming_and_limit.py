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


def test_a_limit_takes_in_turn_from_every_class_and_split() -> None:
    listed = [Listed(f"{c}/{i}.jpg", c, s) for c in "ab" for s in ("test", "train") for i in range(5)]
    some = Source(Path("/x"), listed).chosen(None, 6)
    assert sorted((i.label, i.split) for i in some).count(("a", "test")) in (1, 2)
    assert {(i.label, i.split) for i in some} == {("a", "test"), ("a", "train"), ("b", "test"), ("b", "train")}
    assert some == [i for i in listed if i in some]
