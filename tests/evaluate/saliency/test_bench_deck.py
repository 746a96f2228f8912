"""The course study's rows: as printed, and corrected where its own columns say otherwise."""

from __future__ import annotations

import pytest

from casebase.evaluate.saliency import deck
from casebase.evaluate.saliency.marks import Mark, Outcome, Row
from casebase.evaluate.saliency.metric import Figure, Metric, Scored
from casebase.evaluate.saliency.summary import Summary

ROAD = Metric(
    "road", "ROAD", "made up", (Figure("road_combined", "ROAD combined", "higher", "points"),),
    lambda values, subject, settings: Scored({}), lambda settings: 1,
)  # fmt: skip


def number(text: str) -> float:
    return float(text.replace("−", "-"))


@pytest.mark.parametrize("row", deck.ROWS, ids=lambda row: f"{row.network}-{row.method}")
def test_road_combined_is_half_of_b_minus_s_once_the_slips_are_corrected(row: deck.Printed) -> None:
    b, s, combined = (number(value) for value in row.values[4:7])
    corrected = number((row.corrected or {}).get("road_combined", row.values[6]))
    assert corrected == pytest.approx((b - s) / 2, abs=0.0051)
    assert (abs(combined - (b - s) / 2) > 0.01) == (row.corrected is not None)


def test_increases_are_multiples_of_two_per_cent_as_fifty_images_demand() -> None:
    for row in deck.ROWS:
        assert all(number(row.values[place]) % 2 == 0 for place in (0, 2))


def outcome(shap: float) -> Outcome:
    rows = []
    for name, value in (("gradcam", 0.1), ("shap", shap)):
        marks = [
            Mark(
                place,
                f"{place}.png",
                "cat",
                0.9,
                figures={("road", "road_combined"): value + place * (value - 0.1) / 9},
            )
            for place in range(6)
        ]
        rows.append(Row("torchvision:resnet50 (a.pt)", name, name, marks=marks))
    return Outcome(rows, [ROAD], [f"{n}.png" for n in range(6)], [None] * 6, {}, {})


def test_own_rows_stand_below_the_same_network_and_method() -> None:
    _, road = deck.tables(Summary(outcome(0.05), 0))
    place = next(i for i, row in enumerate(road.rows) if row["whose"] == "here")
    assert road.rows[place - 1]["row"] == "ResNet-50, Grad-CAM"
    assert [row["whose"] for row in road.rows].count("as printed") == 6
    assert [row["road_combined"] for row in road.rows if row["whose"] == "corrected"] == ["19.26", "−6.43"]
    assert road.rows[0]["road_combined_number"] == pytest.approx(0.0222)


def test_an_order_other_than_the_decks_is_a_finding() -> None:
    assert not any("the other way round" in said.text for said in deck.statements(Summary(outcome(0.05), 0)))
    assert any("the other way round" in said.text for said in deck.statements(Summary(outcome(0.3), 0)))


@pytest.mark.parametrize(
    ("network", "name", "same"),
    [
        ("torchvision:resnet50", "resnet50", True),
        ("timm:resnet50.a1_in1k", "resnet50", True),
        ("torchvision:resnet18", "resnet50", False),
        ("torchvision:vgg16_bn", "vgg16", False),
    ],
)
def test_networks_are_told_apart(network: str, name: str, same: bool) -> None:
    assert deck._is(network, name) is same
