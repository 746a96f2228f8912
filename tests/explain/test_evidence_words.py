"""Calibrated evidence, the panel and re-ranking as a person reads them: on the page, on the terminal, in sentences."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest

from casebase.answers import Rival, Role
from casebase.correctness import Calibrated, Comparison, Difference, uncalibrated
from casebase.explain import evidence_words
from casebase.explain.render_html import HtmlRenderer
from casebase.explain.work import mapped_cases, shown_cases
from casebase.explanations import Level
from casebase.panel import Contender
from casebase.rerank import Choice, Gain, Reranked
from tests.cli.test_render_terminal import EVIL, printed
from tests.explain.test_render_html import Page
from tests.explained import Made, row

LIKE = Calibrated(39 / 41, 0.839, 0.987, 41, 2, 350)
OFTEN_WRONG = Calibrated(24 / 41, 0.434, 0.722, 41, 17, 350)
NEVER = uncalibrated("no held-out answer is wrong, so no score can tell right from wrong here", 138)
WORSE = Comparison(350, 40, Difference(0.0278, 0.041, 0.0132, 0.0044, 0.0232), Difference(0.095, 0.114, 0.019, 0, 0.04))


def test_a_score_is_read_as_a_share_of_right_answers_with_n_and_interval() -> None:
    assert evidence_words.similar_answers(LIKE) == (
        "Of 41 held-out answers with evidence like this, 39 were right (95 % interval 83.9 % to 98.7 %)."
    )
    everyone = evidence_words.similar_answers(Calibrated(1.0, 0.953, 1.0, 78, 0, 243))
    assert everyone.startswith("Of 78 held-out answers with evidence like this, all of them were right")


def test_the_share_of_errors_is_the_rest_with_its_interval_turned_round() -> None:
    assert evidence_words.similar_errors(LIKE) == (
        "Among 41 held-out answers with similar evidence, 2 were wrong: 4.9 % (95 % interval 1.3 % to 16.1 %)."
    )
    assert "1 was wrong" in evidence_words.similar_errors(replace(LIKE, n_errors=1))


def test_without_an_error_the_plain_share_has_its_bound() -> None:
    for said in (evidence_words.similar_answers(NEVER), evidence_words.similar_errors(NEVER)):
        assert said == (
            "Not calibrated to a chance of being right: no held-out answer is wrong, so no score can tell right from "
            "wrong here. 0 errors among 138 held-out images: an error rate of at most 2.1 % at 95 %."
        )
    few = uncalibrated("only 31 held-out images to learn from, 50 are needed", 31, 4)
    assert evidence_words.not_calibrated(few).endswith("4 errors among 31 held-out images.")
    assert evidence_words.not_calibrated(uncalibrated("this base has no held-out images")).endswith(
        "no held-out images."
    )


@pytest.mark.parametrize(
    ("low", "high", "brief", "whole"),
    [
        (
            -0.02,
            -0.01,
            "Here it finds wrong answers better than softmax.",
            "The trust score finds wrong answers better",
        ),
        (0.01, 0.02, "Here softmax finds wrong answers better: go by softmax.", "Softmax finds wrong answers better"),
        (-0.01, 0.02, "Here it does not find", "The trust score does not find wrong answers better than softmax"),
    ],
)
def test_where_trust_does_not_beat_softmax_it_is_said(low: float, high: float, brief: str, whole: str) -> None:
    found = replace(WORSE, augrc=Difference(0.03, 0.03 + (low + high) / 2, (low + high) / 2, low, high))
    assert evidence_words.verdict_on_trust(found).startswith(brief)
    said = evidence_words.comparison(found)
    assert said.startswith(whole)
    assert "(350 held-out images, 40 errors)" in said
    assert "Less is better." in said


def test_under_thirty_errors_no_ranking_is_told() -> None:
    few = Comparison(350, 12)
    assert "Too few errors (12 among 350)" in evidence_words.verdict_on_trust(few)
    assert "cannot be told (350 held-out images, 12 errors; 30 errors are needed)" in evidence_words.comparison(few)
    text = " ".join(s.text for s in Made(correct=(LIKE, LIKE), comparison=few).report.checks)
    assert "12 errors" in text
    assert "AUROC" not in text
    assert "AUGRC" not in text


def test_the_bars_are_drawn_at_p_correct_with_its_interval_and_keep_the_raw_value() -> None:
    softmax, trust, _ = Made(correct=(LIKE, OFTEN_WRONG), comparison=WORSE).report.bars
    assert (softmax.name, trust.name) == ("Softmax → P(correct)", "Trust → P(correct)")
    assert (softmax.value, softmax.low, softmax.high) == (LIKE.p, 0.839, 0.987)
    assert softmax.figure == "95.1 %"
    assert "39 were right" in softmax.reading
    assert softmax.note == "The network gives 90.0 % to cat, 10.0 % to dog."
    assert trust.value == OFTEN_WRONG.p
    assert trust.note.startswith(
        "The nearest case of another class is 1.8× as far as the nearest twin. Here softmax finds"
    )


def test_where_it_cannot_be_had_the_raw_bar_stays_and_says_why() -> None:
    softmax, trust, _ = Made(correct=(NEVER, NEVER)).report.bars
    assert (softmax.name, softmax.value) == ("Softmax", 0.9)
    assert "at most 2.1 % at 95 %" in softmax.note
    assert trust.name == "Trust score"
    assert "no held-out answer is wrong" in trust.note


def test_evidence_that_is_often_wrong_is_a_caution_in_the_verdict() -> None:
    report = Made(correct=(LIKE, OFTEN_WRONG)).report
    assert report.verdict.text == "Of 41 held-out answers with a trust score like this, only 24 were right."
    assert report.verdict.level == Level.CAUTION
    assert Made(correct=(LIKE, LIKE)).report.verdict.level == Level.CALM


SIDES = (
    Contender("cat", 0.5, row("p1", "cat", "cat"), None, 9, 5),
    Contender("dog", 0.4, row("p2", "dog", "dog"), row("p3", "cat", "dog"), 7, 5),
    Contender("owl", 0.06, None, row("p4", "cat", "owl"), 50, 50),
    Contender("fox", 0.04, None, None, 0, 0),
)
PANEL = Made(
    probabilities={"cat": 0.5, "dog": 0.4, "owl": 0.06, "fox": 0.04}, panel=SIDES, side_by_side=True,
    rivals=(Rival("dog", 0.4, "probable", 7),),
)  # fmt: skip


def test_the_panel_shows_every_class_and_says_where_a_case_is_missing() -> None:
    panel = PANEL.report.panel
    assert panel is not None
    assert [(s.name, s.probability, s.role) for s in panel.sides] == [
        ("cat", "50.0 %", "predicted"),
        ("dog", "40.0 %", "rival"),
        ("owl", "6.0 %", "rival"),
        ("fox", "4.0 %", "rival"),
    ]
    cat, dog, owl, fox = panel.sides
    assert cat.card is not None
    assert (cat.card.case_id, cat.nearer, cat.card.contradicts) == ("p1", None, None)
    assert dog.nearer is not None
    assert (dog.nearer.case_id, dog.nearer.contradicts) == ("p3", "labelled cat, though predicted dog")
    assert owl.card is None
    assert owl.empty == "None of the 50 nearest cases predicted owl is labelled so."
    assert fox.empty == "No case of this base is predicted fox."
    assert panel.lead.startswith("The two most probable classes are 10.0 points apart.")
    assert [figure.role for figure in cat.card.maps] == ["where", "where", "plain"]


def test_a_sure_answer_has_no_panel_unless_it_is_asked_for() -> None:
    assert Made(panel=SIDES[:2]).report.panel is None
    asked = Made(panel=SIDES[:2], side_by_side=True).report.panel
    assert asked is not None
    assert asked.lead == "The nearest case of each probable class at the same size, the answer first."


def test_cases_of_the_panel_are_shown_and_mapped_only_with_it() -> None:
    answer = PANEL.explanation.retrieval
    for find in (shown_cases, mapped_cases):
        assert {"p1", "p2", "p3", "p4"} <= set(find(answer, panel=True))
        assert not {"p1", "p2", "p3", "p4"} & set(find(answer))


def test_the_page_has_the_panel_right_after_the_querys_pictures() -> None:
    text = HtmlRenderer().page(PANEL.report)
    order = [
        "The query, and where the network looked",
        "Side by side: the nearest case",
        "Nearest, whatever their class",
    ]
    assert [text.index(f">{title}") for title in order] == sorted(text.index(f">{title}") for title in order)
    parsed = Page(text)
    assert [a["class"] for a in parsed.all("section") if str(a.get("class")).startswith("side ")] == [
        "side predicted", "side rival", "side rival", "side rival",
    ]  # fmt: skip
    assert "sides n4" in text
    assert "Nearer still, but labelled otherwise" in text
    assert "The nearest, labelled otherwise" in text
    assert "None of the 50 nearest cases predicted owl is labelled so." in text
    assert "Side by side" not in HtmlRenderer().page(Made().report)


def test_the_page_draws_p_correct_with_its_interval() -> None:
    text = HtmlRenderer().page(Made(correct=(LIKE, LIKE), comparison=WORSE).report)
    assert "Softmax → P(correct)" in text
    assert f'width="{100 * (LIKE.p or 0):.2f}"' in text
    assert '<rect class="span" x="83.90"' in text
    assert "39 were right (95\u00a0% interval 83.9\u00a0% to 98.7\u00a0%)." in text
    assert "go by softmax" in text


@pytest.mark.parametrize("width", [100, 80, 60, 40])
def test_the_terminal_shows_the_panel_side_by_side_and_fits(width: int) -> None:
    text, _, _ = printed(PANEL.report, width).partition("Next:")  # commands stay whole, to be pasted
    assert max(map(len, text.splitlines())) <= width
    head = text.index("Side by side")
    assert text.index("undecided") < head
    assert head < text.index("Nearest, whatever their class")
    for said in ("● 50.0 %", "◇ 40.0 %", "✕ nearer still:", "cat → dog"):
        assert said in text, said
    assert "labelled so." in re.sub(r"\s+", " ", text)
    if width == 100:
        line = next(line for line in text.splitlines() if "● 50.0 %" in line)
        assert "◇ 40.0 %" in line
        assert "◇ 4.0 %" in line


def test_the_terminal_reads_p_correct() -> None:
    text = re.sub(r"\s+", " ", printed(Made(correct=(LIKE, NEVER), comparison=WORSE).report))
    assert "Softmax → P(correct) 95.1 % Of 41 held-out answers with evidence like this, 39 were right" in text
    assert "0 errors among 138 held-out images: an error rate of at most 2.1 % at 95 %." in text


GAIN = Gain(0.9, 0.93, 0.03, 0.01, 0.05, 300)
MOVED = Reranked("dog", "cat", Choice(5.0, GAIN), {"cat": -1.0, "dog": 0.5}, {"cat": 0.5, "dog": None})


def test_a_reranked_answer_shows_the_classifiers_own_beside_it() -> None:
    made = Made(
        reranked=MOVED, twins=(row("d1", "dog", "dog", Role.TWIN),), nearest=(row("d1", "dog", "dog"),),
        rivals=(Rival("cat", 0.9, "probable", 7),), counterfactuals=(row("n1", "cat", "cat", Role.COUNTERFACTUAL),),
    )  # fmt: skip
    report = made.report
    assert (report.called, report.confidence, report.runner_up) == ("dog", 0.1, "cat")
    assert report.reranked is not None
    assert report.reranked.text == (
        "Re-ranked with neighbours: dog. The classifier alone says cat. Twins and rivals below are for dog. Weight of "
        "the neighbours 5; cross-validated on 300 held-out images: accuracy 90.0 % to 93.0 %, +3.0 points (95 % "
        "interval +1.0 to +5.0)."
    )
    assert [s.title for s in report.sections[:3]] == ["Nearest, whatever their class", "Why dog: twins", "Why not cat"]
    assert report.verdict.text == "Nothing here speaks against the answer."
    for text in (HtmlRenderer().page(report).replace("\u00a0", " "), re.sub(r"\s+", " ", printed(report))):
        assert "The classifier alone says cat." in text


def test_a_weight_of_zero_says_that_nothing_changes() -> None:
    none = Choice(
        0.0, Gain(0.9, 0.895, -0.005, -0.02, 0.01, 300), "on 300 held-out images no weight gains more than noise could"
    )
    said = evidence_words.reranked(Reranked("cat", "cat", none, {}, {}))
    assert said.startswith("Re-ranking changes nothing: on 300 held-out images no weight gains more")
    assert "−0.5 points (95 % interval −2.0 to +1.0)" in said
    still = evidence_words.reranked(Reranked("cat", "cat", Choice(5.0, GAIN), {}, {}))
    assert still.startswith("Re-ranked with neighbours: still cat, as the classifier alone says.")


def test_hostile_names_stay_text_in_panel_and_reranking() -> None:
    sides = (
        Contender(EVIL, 0.6, row("p1", EVIL, EVIL), row("p2", "x", EVIL), 3, 3),
        Contender("dog", 0.3, None, None, 0, 0),
    )
    made = Made(
        probabilities={EVIL: 0.6, "dog": 0.3}, panel=sides, side_by_side=True,
        reranked=Reranked(EVIL, "dog", Choice(5.0, GAIN), {}, {}), correct=(uncalibrated(EVIL, 3, 1), None),
    )  # fmt: skip
    page = HtmlRenderer().page(made.report)
    assert "<b>[/]" not in page
    assert "<b>[/]" in html.unescape(page)
    assert not set(page) & {"\x1b", "\udcff", "\x07"}
    assert not set(printed(made.report)) & {"\x1b", "\udcff", "\x07"}
