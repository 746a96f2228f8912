"""What a person reads: worst news first, every number with its words, nothing left blank."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from casebase.answers import Comparable, Rival, Role
from casebase.explain import sentences
from casebase.explain.figures import in_words, quadrants, within
from casebase.explanations import QUERY_ID, Deletion, Level, Report
from tests.explained import Made, read, row

FAR = Comparable(share=0.012, n=412, low=0.005, high=0.028, reference="held-out images")
AGAINST = (row("a", "dog", "dog"), row("b", "cat", "cat"), row("c", "cat", "dog"), row("d", "dog", "cat"))


def texts(report: Report) -> list[str]:
    return [statement.text for statement in (report.verdict, *report.also)]


def test_a_calm_answer_says_that_nothing_speaks_against_it_and_that_this_is_no_proof() -> None:
    report = Made().report
    assert report.verdict.text == "Nothing here speaks against the answer."
    assert report.verdict.level == Level.CALM
    assert report.also[0].text == "All 2 nearest cases are labelled and predicted cat. That is agreement, not proof."


def test_the_worst_news_comes_first_and_each_is_followed_by_its_reason() -> None:
    report = Made(
        known="k1", comparable=FAR, nearest=AGAINST, trust=0.8, probabilities={"cat": 0.5, "dog": 0.45}
    ).report
    assert texts(report) == [
        "The query is a training image.",
        "Case k1 has exactly these pixels; it is left out of the lists, and the network may know it by heart.",
        "No comparable case in this base.",
        f"Only {sentences.comparable(FAR, 'cat')}",
        "3 of 4 nearest cases contradict this answer.",
        f"Of the 4 nearest, {sentences.objections(AGAINST, 'cat')}.",
        "A case of another class is nearer than the nearest twin (0.80× its distance).",
        "The network is nearly undecided: cat 50.0 %, dog 45.0 %.",
    ]


def test_shares_come_with_their_n_and_interval_and_kinds_of_contradiction_with_their_count() -> None:
    assert sentences.comparable(FAR, "cat") == (
        "1.2 % of 412 images predicted cat have their own nearest twin as far away or farther "
        "(95 % interval 0.5 % to 2.8 %)."
    )
    assert sentences.objections((*AGAINST, AGAINST[0]), "cat") == (
        "2 are labelled and predicted dog; 1 is predicted dog, though labelled cat; "
        "1 is labelled dog, though predicted cat"
    )


def test_a_minority_that_contradicts_is_a_caution_and_a_majority_an_alarm() -> None:
    few = Made(nearest=(row("a", "dog", "dog"), row("b", "cat", "cat"), row("c", "cat", "cat"))).report
    assert (few.verdict.text, few.verdict.level) == ("1 of 3 nearest cases contradicts this answer.", Level.CAUTION)
    assert Made(nearest=AGAINST).report.verdict.level == Level.ALARM


def test_a_share_of_exactly_five_per_cent_is_still_comparable() -> None:
    edge = Comparable(share=sentences.RARE, n=100, low=0.02, high=0.11, reference="held-out images")
    assert "No comparable case in this base." not in texts(Made(comparable=edge).report)


def test_without_a_case_of_the_predicted_class_nothing_is_comparable() -> None:
    report = Made(twins=(), semi_factuals=(), trust=None, comparable=None).report
    assert report.verdict.text == "No comparable case in this base."
    assert report.also[0].text == "No case predicted cat in this base; nothing here can be called a twin."


def test_a_base_that_could_not_have_contradicted_is_not_called_calm() -> None:
    report = Made(counterfactuals=(), semi_factuals=(), rivals=(), trust=None, probabilities={"cat": 1.0}).report
    assert report.verdict.text.startswith("No case of this base is predicted otherwise")
    assert report.runner_up is None


def test_contradictions_stand_before_support() -> None:
    report = Made(rivals=(Rival("dog", 0.1, "runner-up", 7), Rival("owl", 0.02, "probable", 0))).report
    assert [section.key for section in report.sections] == ["nearest", "twins", "rival-1", "rival-2", "even-if"]
    failed = Deletion("cat", 0.2, 0.02, 0.05, 14, 20)
    passed = Deletion("dog", 0.2, 0.31, 0.04, 1, 20)
    levels = [check.level for check in Made(deletions=(passed, failed)).report.checks]
    assert levels == sorted(levels, key=[Level.ALARM, Level.CAUTION, Level.PLAIN, Level.CALM].index)
    assert levels[0] == Level.CAUTION


def test_only_cases_that_differ_are_marked_and_a_rivals_own_cases_are_not() -> None:
    report = Made(nearest=AGAINST, twins=(row("d", "dog", "cat", Role.TWIN),)).report
    nearest, twins, rival = report.sections[:3]
    assert [card.contradicts for card in nearest.cards] == [
        "labelled and predicted dog", None, "predicted dog, though labelled cat", "labelled dog, though predicted cat",
    ]  # fmt: skip
    assert twins.cards[0].contradicts == "labelled dog, though predicted cat"
    assert rival.cards[0].contradicts is None


def test_every_empty_list_says_why() -> None:
    rivals = (Rival("owl", 0.02, "probable", 0), Rival("fox", 0.01, "nearest", 1))
    report = Made(nearest=(), twins=(), counterfactuals=(), semi_factuals=(), rivals=rivals, trust=None).report
    assert {section.key: section.empty for section in report.sections} == {
        "nearest": "No case to compare with: this base holds nothing but the query itself.",
        "twins": "No case predicted cat in this base; nothing here can be called a twin.",
        "rival-1": "No case of this base is predicted owl.",
        "rival-2": "No case predicted fox is left once the query's own copies are taken out.",
        "even-if": "This needs a twin and a case of another class, and one of them is missing.",
    }
    assert Made().report.sections[0].empty is None


def test_the_trust_score_is_drawn_as_t_over_one_plus_t_and_read_in_words() -> None:
    softmax, trust, comparable = Made(trust=3.0).report.bars
    assert trust.value == pytest.approx(0.75)
    assert trust.figure == "3.0×"
    assert trust.reading == "The nearest case of another class is 3.0× as far as the nearest twin."
    assert "Not calibrated to a chance of being right." in softmax.note
    assert "Not calibrated to a chance of being right." in trust.note
    assert (comparable.value, comparable.low, comparable.high) == (0.4, 0.28, 0.54)
    assert "50 images" in comparable.reading
    assert "held-out images" in comparable.note


@pytest.mark.parametrize("trust", [None, float("inf"), float("nan")])
def test_a_trust_score_that_is_no_number_is_no_bar(trust: float | None) -> None:
    assert Made(trust=trust).report.bars[1].value is None


def test_ratios_and_percentiles_never_round_to_what_they_are_not() -> None:
    assert [sentences.times(t) for t in (0.0, 0.994, 1.0, 99.0, 1e9)] == ["<0.01×", "0.99×", "1.0×", "99.0×", ">99×"]
    percentiles = (0.0, 0.2, 37.4, 99.7, 100.0)
    assert [sentences.whole_percent(p) for p in percentiles] == ["0 %", "<1 %", "37 %", ">99 %", "100 %"]


def test_an_unknown_percentile_is_said_not_guessed() -> None:
    (card,) = Made(nearest=(row("a", "cat", "cat", percentile=None),)).report.sections[0].cards
    assert card.alike == "–"
    assert card.reading == "how alike is not known: too few pairs predicted cat to compare with"


def test_a_semi_factual_is_measured_from_the_rival_case_and_says_so() -> None:
    (card,) = Made().report.sections[-1].cards
    assert card.detail == "distance 0.250"
    assert card.reading == "of cat pairs are no more alike than these two"


def test_a_deletion_that_does_not_convince_says_what_the_map_does_not_show() -> None:
    good = sentences.deletion(Deletion("cat", 0.2, 0.31, 0.04, 1, 20))
    assert good.text == (
        "Hiding the 20 % of the picture that the map for cat marks lowers P(cat) by 0.31; hiding as much at random "
        "lowers it by 0.04 on average, and in 1 of 20 draws by as much."
    )
    bad = sentences.deletion(Deletion("cat", 0.2, -0.05, 0.04, 18, 20))
    assert "raises P(cat) by 0.05" in bad.text
    assert bad.text.endswith("This map does not mark what P(cat) depends on.")
    assert bad.level == Level.CAUTION
    nowhere = sentences.deletion(Deletion("cat", 0.2, 0.004, 0.001, 3, 20))
    assert nowhere.text.endswith("says nothing for or against the map.")
    assert nowhere.level == Level.PLAIN


def test_a_where_map_that_explains_too_little_is_counted_and_not_drawn() -> None:
    full, poor = Made().report, Made(residual=0.5).report
    assert [figure.role for figure in full.sections[0].cards[0].maps] == ["where", "where", "plain"]
    assert [figure.role for figure in poor.sections[0].cards[0].maps] == ["plain"]
    told = next(check for check in poor.checks if "where maps" in check.text)
    assert "explain at least 33.3 % of the likeness" in told.text
    assert "4 maps that explain less than half left out" in told.text
    assert told.level == Level.CAUTION


def test_where_maps_share_one_bound_over_the_page() -> None:
    where = Made().report.scales[1]
    assert (where.low, where.high[:6]) == ("−0.900 against the likeness", "+0.900")
    assert len(Made(residual=0.5).report.scales) == 1


def test_each_side_of_a_where_map_is_drawn_on_its_own_picture() -> None:
    explanation = Made().explanation
    query = explanation.shown[QUERY_ID]
    white = dataclasses.replace(query, view=np.full_like(query.view, 255))
    report = read(dataclasses.replace(explanation, shown={**explanation.shown, QUERY_ID: white}))
    # In the lower left corner the map is 0, the case black and the query white.
    on_query, on_case = (figure.pixels for figure in report.sections[0].cards[0].maps[:2])
    assert on_query is not None
    assert on_case is not None
    assert on_query[-1, 0].min() > 200
    assert on_case[-1, 0].max() < 100


def test_a_map_that_means_nothing_is_replaced_by_its_reason() -> None:
    report = Made(degenerate="the same value everywhere").report
    whole, called, rival = report.query_figures
    assert whole.pixels is not None
    assert (called.pixels, rival.pixels) == (None, None)
    assert called.alt == "The map for cat means nothing: the same value everywhere."
    assert sum("map of query for dog means nothing" in check.text for check in report.checks) == 1
    warned = Made(degenerate="flat", warnings=("the map for dog means nothing: flat",)).report
    assert not any("for dog means nothing" in check.text for check in warned.checks)  # said once is enough


def test_a_case_without_a_picture_says_so_on_its_card() -> None:
    card = Made(gone=("n1",)).report.sections[0].cards[0]
    assert (card.picture, card.maps) == (None, ())
    assert card.missing == "No picture of train/cat/n1.jpg: its file is gone, and no thumbnail was kept."


def test_a_query_without_a_picture_still_has_a_report() -> None:
    explanation = Made().explanation
    blind = dataclasses.replace(explanation, shown={k: v for k, v in explanation.shown.items() if k != QUERY_ID})
    report = read(blind)
    assert [figure.pixels for figure in report.query_figures] == [None]
    assert [figure.caption for figure in report.sections[0].cards[0].maps] == ["alike in the case", "looked at for cat"]


def test_pictures_say_what_they_are_evidence_for_and_where_the_mass_lies() -> None:
    report = Made().report
    picture = report.sections[0].cards[0].picture
    assert picture is not None
    assert picture.alt == (
        "Nearest, whatever their class, number 1: labelled cat, predicted cat, distance 0.250, file train/cat/n1.jpg."
    )
    assert "upper left 100 %, upper right 0 %, lower left 0 %, lower right 0 %" in report.query_figures[1].alt


def test_quadrants_split_odd_maps_in_the_middle_and_ignore_what_is_negative() -> None:
    assert quadrants(np.ones((3, 3), np.float32)) == pytest.approx((0.25, 0.25, 0.25, 0.25))
    assert quadrants(np.array([[3, -9], [0, 1]], np.float32)) == pytest.approx((0.75, 0.0, 0.0, 0.25))
    assert in_words(np.full((2, 2), -1, np.float32)) == "no part of the picture"


def test_pictures_shrink_to_the_side_asked_for_and_never_grow() -> None:
    wide = np.zeros((10, 40, 3), np.uint8)
    assert within(wide, 20).shape == (5, 20, 3)
    assert within(wide, 80) is wide


def test_disagreeing_labels_among_the_cases_shown_are_named_once() -> None:
    twice = row("d", "dog", "cat")
    told = sentences.disagreement([twice, twice, row("a", "cat", "cat")])
    assert told is not None
    assert told.text.startswith("1 of the 2 cases shown is labelled otherwise than predicted (d):")
    assert sentences.disagreement([row("a", "cat", "cat")]) is None


def test_warnings_of_search_and_maps_are_each_said_once() -> None:
    assert [one.text for one in Made(warnings=("only 2 of 5", "only 2 of 5")).report.warnings] == ["only 2 of 5"]


def test_given_provenance_stands_first_and_wins() -> None:
    own = read(Made().explanation, provenance=[("casebase", "0.1"), ("Cases searched", "all of them")]).provenance
    assert own[:2] == [("casebase", "0.1"), ("Cases searched", "all of them")]
    assert [name for name, _ in own].count("Cases searched") == 1
    assert ("Seed", "0") in own
    assert ("Index of the list nearest", "exact, recall 1.000 against exact search") in own


def test_commands_quote_names_and_leave_out_what_cannot_be_typed() -> None:
    spaced = Made(path="my cat.jpg", nearest=AGAINST).report
    assert spaced.next_commands == ["casebase cases show a --base 'my base'"]
    assert spaced.page_command == "casebase query 'my cat.jpg' --report report.html --base 'my base'"
    for path in ("bad\x1b[31m.jpg", "standard input"):
        assert Made(path=path).report.next_commands == []
        assert Made(path=path).report.page_command is None


def test_nothing_is_ever_explained_with_because() -> None:
    for made in (Made(), Made(known="k", comparable=FAR, nearest=AGAINST, residual=0.5, twins=())):
        report = made.report
        said = [*texts(report), *(c.text for c in report.checks)]
        said += [part for bar in report.bars for part in (bar.reading, bar.note, bar.mark)]
        said += [part or "" for s in report.sections for part in (s.title, s.lead, s.empty)]
        assert not [text for text in said if "because" in text.lower()]
