"""The home-made recipe collapses and the detector says so; the head's initial values alone prevent it."""

from __future__ import annotations

from tests.networks.prototypes.home_made import home_made


def test_the_detector_catches_the_home_made_recipe() -> None:
    found = home_made()
    assert found.figures["largest_share"] > 0.85
    assert found.figures["gap"] < -0.3
    told = " · ".join(found.alarms)
    for word in (
        "of the images are called",
        "an offset decides",
        "hardly differs between images",
        "below the network's",
    ):
        assert word in told


def test_the_same_recipe_under_a_signed_head_does_not_collapse() -> None:
    found = home_made(signed_head=True)
    assert found.figures["accuracy"] > 0.9
    assert found.figures["largest_share"] <= 0.65
    assert abs(found.figures["margin_ratio"]) < 1.5
    # what it still has is far prototypes, where the log is flat: that is told, and nothing else
    assert len(found.alarms) == 1
    assert "hardly differs between images" in found.alarms[0]
