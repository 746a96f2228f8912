"""The benchmark of the embedding on a small network: its contenders do what they are timed for, and what rows say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import cae_bench
from benchmarks.cae_bench import MATMUL, PASSES, STEP, WALK, Stepping, Walking, begin, matmul, rows, untrained, viewed
from benchmarks.timing import Lap
from casebase.association import LABELS
from casebase.explain.cae.walking import FRAMES
from casebase.networks.cae.recipe import SMALL, CaeRecipe
from casebase.networks.cae.run import Run
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.training_cases import TrainingCases
from tests.networks.prototypes.made import cases, network, pictures


@pytest.fixture(scope="module")
def judge() -> ExplainedNetwork:
    return network(*pictures(12))


@pytest.fixture(scope="module")
def those(judge: ExplainedNetwork) -> TrainingCases:
    return cases(judge, *pictures(12))


@pytest.fixture(scope="module")
def begun(judge: ExplainedNetwork, those: TrainingCases, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return begin(judge, those, CaeRecipe(preset=SMALL, target=LABELS), tmp_path_factory.mktemp("cae"))


@pytest.fixture(scope="module")
def walking(judge: ExplainedNetwork, those: TrainingCases, begun: Run) -> Walking:
    return Walking(untrained(judge, those, begun), viewed(those)[:1])


def test_a_walk_has_all_its_frames_though_nothing_is_trained(walking: Walking) -> None:
    assert len(walking.made.frames) == FRAMES
    assert walking.made.refused is None
    assert walking.judged >= FRAMES
    walking.walk()
    walking.passes()
    assert walking.furthest() <= cae_bench.ROUNDING


def test_a_step_is_the_trainings_own_and_its_work_is_about_what_is_written(
    begun: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cae_bench, "STEPS", 1)
    stepping = Stepping(begun)
    assert 0.75 < stepping.work / 1e9 / cae_bench.WORK < 1.25
    before = begun.step
    stepping.steps()
    assert begun.step == before + 1
    assert stepping.sound == 1.0
    matmul()()


def test_rows_hold_shares_inside_a_round_and_the_bar_of_a_walk(walking: Walking, begun: Run) -> None:
    stepping = Stepping(begun)
    laps = {STEP: [Lap(10.0, 10.0)], MATMUL: [Lap(1.0, 1.0)], WALK: [Lap(1.5, 1.5)], PASSES: [Lap(1.0, 1.0)]}
    found = rows(laps, stepping, walking)
    share, walk, ratio = found[0], found[4], found[5]
    rate, peak = stepping.work / (10.0 / cae_bench.STEPS), cae_bench.TIMES * 2.0 * cae_bench.SIDE**3
    assert share.figure.median == pytest.approx(rate / peak)
    assert share.passed is True
    assert (walk.figure.median, walk.passed) == (1.5, True)
    assert ratio.figure.median == 1.5
    slow = rows({**laps, WALK: [replace(laps[WALK][0], wall=2.5)]}, stepping, walking)
    assert slow[4].passed is False


def test_the_part_is_in_the_list() -> None:
    from benchmarks.run import PARTS

    assert PARTS["cae"] == "benchmarks.cae_bench"
    assert Path(cae_bench.__file__).is_file()
