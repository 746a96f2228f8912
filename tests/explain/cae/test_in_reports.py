"""Walks in explanations: asked for together, to the rival that is shown; a sentence where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from casebase.answers import Rival
from casebase.explain.album import Look
from casebase.explain.cae.evidence import Walks, rival_of
from casebase.explain.work import Work
from casebase.explanations import QUERY_ID, Explanation
from tests.explain.cae.planted import BLUE, BRIGHT, PLAIN, Planted, association, seen, three
from tests.explain.cae.showing import FAILED, neighbour
from tests.explained import Made, read, shown


def work_of(red: float = 120.0, rivals: Sequence[str] = (BRIGHT, BLUE), **over: object) -> Work:
    made = Made(
        probabilities={PLAIN: 0.9, BRIGHT: 0.08, BLUE: 0.02},
        rivals=[Rival(one, 0.1, "runner-up", 7) for one in rivals],
        counterfactuals=(neighbour(),),
    )  # fmt: skip
    view = seen(red=red)[0]
    answer = made.explanation.retrieval
    return Work(answer, {}, {}, Look(view, view), f"query {red}", panel=False, **over)  # type: ignore[arg-type]


def views_of(works: Sequence[Work]) -> dict[str, np.ndarray]:
    return {one.query_key: one.query.view for one in works} | {"real1": seen((4, 1), 190)[0]}


def explanation(work: Work, view: Planted) -> Explanation:
    made = Made(probabilities={PLAIN: 0.9, BRIGHT: 0.08}, rivals=(Rival(BRIGHT, 0.1, "runner-up", 7),),
                counterfactuals=(neighbour(),)).explanation  # fmt: skip
    return replace(made, walk=work.walk, no_walk=work.no_walk, association=view.found)


def test_answers_are_encoded_together_and_each_gets_its_walk() -> None:
    view = three()
    works = [work_of(red) for red in (100.0, 110.0, 120.0)]
    calls = []
    encode = view.encode
    view.encode = lambda views: calls.append(len(views)) or encode(views)  # type: ignore[method-assign]
    Walks(view).add(works, views_of(works), 6)
    assert calls == [3]
    for one in works:
        assert one.walk.predicted == PLAIN
        assert one.walk.rival == BRIGHT
        assert len(one.walk.frames) == 6
        assert one.no_walk is None


def test_a_walk_costs_its_frames_and_the_bisection_and_no_more() -> None:
    def judged(n: int, frames: int) -> int:
        view, works = three(), [work_of(100.0 + place) for place in range(n)]
        Walks(view).add(works, views_of(works), frames)
        return view.asked

    once = judged(1, 8)
    assert once <= 8 + 12 + 3 + 6, "frames, bisection, image, reduced, rebuilt, ends that were tried"
    assert judged(4, 8) <= 4 * once
    assert judged(1, 20) - once == 12


def test_the_nearest_real_case_is_tried_first_as_an_end() -> None:
    view, work = three(), work_of()
    Walks(view).add([work], views_of([work]), 6)
    assert work.walk.reference == "real1"
    far = work_of()
    Walks(view).add([far], {far.query_key: far.query.view}, 6)
    assert far.walk.reference.startswith("case"), "its picture is not at hand, so another one ends the way"


def test_below_the_gate_there_is_a_sentence_and_nothing_is_made() -> None:
    view = three(found=association((PLAIN, BRIGHT, BLUE), [FAILED]))
    work = work_of()
    Walks(view).add([work], views_of([work]), 6)
    assert work.walk is None
    assert work.no_walk.startswith("No trustworthy generated view can be had for this set")
    assert view.decoded == view.asked == 0
    report = read(explanation(work, view))
    assert report.walk.missing.text == work.no_walk
    value = explanation(work, view).to_dict()
    assert value["walk"] is None
    assert value["no_walk"] == work.no_walk


def test_a_rival_that_takes_no_part_is_said_and_the_others_walk() -> None:
    view = three()
    works = [work_of(rivals=("owl",)), work_of(110.0)]
    Walks(view).add(works, views_of(works), 6)
    assert works[0].walk is None
    assert "owl takes no part" in works[0].no_walk
    assert works[1].walk is not None


def test_an_image_whose_file_is_gone_has_no_walk() -> None:
    view, work = three(), work_of()
    work.query = None
    Walks(view).add([work], {}, 6)
    assert "not at hand" in work.no_walk


def test_a_network_of_one_class_has_nowhere_to_walk_to() -> None:
    view, work = three(), work_of(rivals=())
    Walks(view).add([work], views_of([work]), 6)
    assert "no other class" in work.no_walk


def test_an_answer_that_is_no_number_leaves_the_report_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    view, work = three(), work_of()
    monkeypatch.setattr(view, "judge", lambda images: np.full((len(images), 3), np.nan, np.float32))
    Walks(view).add([work], views_of([work]), 6)
    assert work.walk is None
    assert work.no_walk.startswith("No walk is shown: ")


def test_the_walk_leads_to_the_first_rival_that_the_network_does_not_say_itself() -> None:
    assert rival_of(work_of()) == BRIGHT
    assert rival_of(work_of(rivals=(PLAIN, BLUE))) == BLUE


def test_a_report_without_an_embedding_has_no_such_section() -> None:
    report = Made().report
    assert report.walk is None
    value = Made().explanation.to_dict()
    assert value["walk"] is None
    assert value["no_walk"] is None


def test_a_report_shows_the_walk_beside_the_first_counterfactual() -> None:
    view, work = three(), work_of()
    Walks(view).add([work], views_of([work]), 6)
    told = explanation(work, view)
    told = replace(told, shown={**told.shown, QUERY_ID: shown(QUERY_ID), "real1": shown("real1")})
    section = read(told).walk
    assert section.rival == BRIGHT
    assert section.compared[-1].pixels is not None
    assert told.to_dict()["walk"]["synthetic"] is True
