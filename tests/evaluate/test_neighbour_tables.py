"""The evidence and re-ranking tables of ``evaluate model``: the figures by hand, refusals, and where they stand."""

from __future__ import annotations

import numpy as np
import pytest

from casebase.evaluate import evidence, model, rerank
from casebase.evaluations import Measured
from casebase.evidence import EvidenceTable
from casebase.storage.memory import MemoryCaseStore
from tests.core.test_comparison import augrc as plain_augrc
from tests.core.test_rerank import made_up
from tests.core.test_weighing import CASES, confusable
from tests.fakes import clustered, entry, fill


def cell(table: object, row: int, key: str) -> Measured:
    found = table.rows[row][key]  # type: ignore[attr-defined]
    assert isinstance(found, Measured)
    return found


def judged(n: int = 300, *, errors: bool = True) -> EvidenceTable:
    """Softmax that tells right from wrong, a trust score that is noise."""
    from dataclasses import replace

    random = np.random.default_rng(0)
    softmax = random.permutation(n) / n
    right = random.random(n) < 0.3 + 0.7 * softmax if errors else np.ones(n, bool)
    base = made_up(n, 0, informed=0.0)
    return replace(base, softmax=softmax, right=right, twin=np.full(n, 0.1), unlike=0.1 + random.random(n) / 10)


def test_brier_ece_and_augrc_by_hand() -> None:
    share, right = np.array([0.9, 0.9, 0.2, 0.2]), np.array([True, False, False, False])
    assert evidence.brier(share, right) == pytest.approx((0.01 + 0.81 + 0.04 + 0.04) / 4)
    assert evidence.ece(share, right) == pytest.approx((abs(1.8 - 1) + abs(0.4 - 0)) / 4)
    table = judged()
    assert evidence.augrc(table.softmax, table.right) == pytest.approx(plain_augrc(table.softmax, table.right))


def test_softmax_wins_where_trust_is_noise_and_the_difference_is_paired() -> None:
    table = judged()
    found = evidence.measure({"avgpool": table}, draws=200)
    assert [row["score"] for row in found.rows] == [
        "softmax, as the network gives it", "softmax → P(correct)", "trust score → P(correct)", "trust score − softmax",
    ]  # fmt: skip
    softmax, trust, gap = (cell(found, row, "augrc") for row in (1, 2, 3))
    assert gap.value == pytest.approx((trust.value or 0) - (softmax.value or 0))
    assert gap.low is not None
    assert gap.low > 0
    brier = cell(found, 3, "brier")
    assert brier.low is not None
    assert brier.low > 0
    assert (cell(found, 1, "ece").value or 1) < 0.1


def test_calibration_mends_a_softmax_that_is_too_sure() -> None:
    from dataclasses import replace

    table = judged()
    sure = replace(table, softmax=0.5 + table.softmax / 2 * 0.98)
    found = evidence.measure({"avgpool": sure}, draws=50)
    raw, mended = cell(found, 0, "brier").value, cell(found, 1, "brier").value
    assert raw is not None
    assert mended is not None
    assert mended < raw
    assert (cell(found, 1, "ece").value or 1) < (cell(found, 0, "ece").value or 0)


def test_under_thirty_errors_augrc_is_told_but_not_which_score_is_better_and_without_errors_nothing() -> None:
    from dataclasses import replace

    table = judged(errors=False)
    right = np.ones(300, bool)
    right[:12] = False
    few = evidence.measure({"avgpool": replace(table, right=right)}, draws=20)
    assert few.rows[1]["errors"] == 12
    assert cell(few, 1, "augrc").value is not None
    assert cell(few, 1, "augrc").low is not None
    assert cell(few, 3, "augrc") == Measured(None, n=300, reason="12 errors, under 30")
    assert cell(few, 1, "brier").value is not None
    for row in evidence.measure({"avgpool": table}, draws=20).rows:
        assert row["brier"] == row["augrc"] == Measured(None, n=300, reason="no error")


def test_where_a_fit_has_room_for_one_block_p_correct_is_called_the_base_rate() -> None:
    """64 images, 10 errors: each fit on 51 or 52 of them has one block, so both rows would be equal to every digit."""
    from dataclasses import replace

    table = replace(judged(64), right=np.arange(64) % 6 != 0)
    found = evidence.measure({"avgpool": table}, draws=20)
    assert cell(found, 0, "brier").value is not None
    for row, reason in ((1, "the base rate"), (2, "the base rate"), (3, "both the base rate")):
        for key in ("brier", "ece"):
            assert cell(found, row, key) == Measured(None, n=64, reason=reason)
    (said,) = evidence.findings(found)
    assert "P(correct) is the base rate" in said.text
    assert "51 images has no room for two blocks of 30" in said.text
    assert said.text in found.notes
    roomy = evidence.measure({"avgpool": judged(300)}, draws=20)
    assert not any("base rate" in one.text for one in evidence.findings(roomy))


def test_where_calibration_makes_brier_worse_it_is_said() -> None:
    from dataclasses import replace

    random = np.random.default_rng(1)
    softmax = random.uniform(0.0, 1.0, 300)
    right = random.random(300) < softmax  # calibrated as it is: a fit in steps can only lose
    table = replace(judged(), softmax=softmax, right=right)
    found = evidence.measure({"avgpool": table}, draws=20)
    raw, read, trust = (cell(found, row, "brier").value or 0 for row in range(3))
    assert read > raw
    assert trust > raw
    texts = [one.text for one in evidence.findings(found)]
    assert len(texts) == 2
    assert f"Read as P(correct), softmax has a worse Brier score, {read:.4g}" in texts[0]
    assert f"the trust score has a worse Brier score, {trust:.4g}" in texts[1]
    sure = replace(judged(), softmax=0.5 + judged().softmax / 2 * 0.98)
    assert not any(
        "P(correct), softmax has" in one.text for one in evidence.findings(evidence.measure({"a": sure}, draws=20))
    )


def test_softmax_is_judged_where_no_image_has_a_trust_score() -> None:
    from dataclasses import replace

    alone = replace(judged(), unlike=np.full(300, np.nan))
    found = evidence.measure({"avgpool": alone}, draws=20)
    assert [row["n"] for row in found.rows] == [300, 300, 0]
    assert cell(found, 0, "brier").value is not None
    assert cell(found, 1, "brier").value is not None
    assert cell(found, 2, "brier") == Measured(None, n=0, reason="no image has it")
    few = evidence.measure({"avgpool": alone.rows(np.arange(300) < 18)}, draws=20)
    errors = int((~alone.right[:18]).sum())
    assert [(row["n"], row["errors"]) for row in few.rows] == [(18, errors), (0, 0)]
    assert cell(few, 0, "brier").reason == "18 images, 50 are needed"


def test_every_ece_of_a_page_is_told_in_per_cent() -> None:
    (column,) = (one for one in evidence.measure({"a": judged()}, draws=5).columns if one.key == "ece")
    assert column.kind == "share"


def test_reranking_counts_what_it_mends_and_spoils() -> None:
    found = rerank.measure({"avgpool": made_up(400, 0, informed=0.2)}, draws=200)
    (row,) = found.rows
    gain = cell(found, 0, "gain")
    assert gain.low is not None
    assert gain.low > 0
    assert (row["mended"], row["n"]) > (row["spoilt"], 0)  # type: ignore[operator]
    assert gain.value == pytest.approx((row["mended"] - row["spoilt"]) / 400)  # type: ignore[operator]
    before, after = cell(found, 0, "classifier").value, cell(found, 0, "reranked").value
    assert gain.value == pytest.approx((after or 0) - (before or 0))


def test_a_weight_chosen_on_validation_is_measured_on_the_rest() -> None:
    from dataclasses import replace

    table = made_up(400, 0, informed=0.2)
    groups = [f"g{i // 2}" for i in range(400)]
    split = replace(table, splits=["val" if i < 150 or i == 300 else "test" for i in range(400)], groups=groups)
    found = rerank.measure({"avgpool": split}, draws=50)
    assert [row["chosen"] for row in found.rows] == ["in five folds", "on the validation part"]
    assert found.rows[1]["n"] == 400 - 151 - 1  # 301 is of the group of 300, which was chosen on
    few = rerank.measure({"avgpool": made_up(40, 0, informed=0.2)}, draws=50)
    assert cell(few, 0, "gain").reason == "40 images, 50 are needed"


def test_a_part_called_dev_is_a_validation_part_as_everywhere() -> None:
    from dataclasses import replace

    split = replace(made_up(400, 0, informed=0.2), splits=["Dev" if i < 150 else "test" for i in range(400)])
    found = rerank.measure({"avgpool": split}, draws=20)
    assert [row["n"] for row in found.rows] == [400, 250]


def test_accuracies_of_grouped_images_have_the_wider_interval() -> None:
    from dataclasses import replace

    alone = made_up(400, 0, informed=0.2)
    order = np.argsort(alone.right, kind="stable")  # groups that are right as one, or wrong as one
    together = replace(
        alone.rows(np.ones(400, bool)), groups=[f"g{np.where(order == i)[0][0] // 10}" for i in range(400)]
    )

    def width(table: EvidenceTable) -> float:
        measured = cell(rerank.measure({"avgpool": table}, draws=20), 0, "classifier")
        return (measured.high or 0) - (measured.low or 0)

    assert width(together) > 2 * width(alone)


def test_an_ece_is_the_same_wherever_it_stands() -> None:
    """Shares on the edge of a bin, as cross-fitted ones often are, fall into the same bin in every table."""
    from casebase.evaluate import scores

    random = np.random.default_rng(0)
    share = random.choice([3 / 15, 7 / 15, 7.5 / 15, 12 / 15, 12.5 / 15, 1.0], size=500)
    right = random.random(500) < 0.6
    assert evidence.ece(share, right) == scores.equal_width(share, right).error


def test_evaluate_model_has_both_tables_for_held_out_images_only() -> None:
    store = MemoryCaseStore()
    fill(store, [*CASES, *confusable()])
    keys = [table.key for table in model.measure(store).tables]
    assert keys[-2:] == ["evidence", "rerank"]
    vectors, called = clustered(60)
    alone = MemoryCaseStore()
    fill(alone, [entry(f"{i:02d}", v, int(c)) for i, (v, c) in enumerate(zip(vectors, called, strict=True))])
    assert not {"evidence", "rerank"} & {table.key for table in model.measure(alone, split="train").tables}
