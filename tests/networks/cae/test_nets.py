"""The four networks against what is published of them, and the losses against hand-made numbers."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from casebase.association import Size
from casebase.networks.cae import losses
from casebase.networks.cae.nets import Autoencoder, Discriminator, SampleNorm, discriminator, modulated
from casebase.networks.cae.recipe import PAPER, PRESETS, SMALL, TEST


def count(net: nn.Module) -> int:
    return sum(value.numel() for value in net.parameters())


@pytest.mark.parametrize(
    ("preset", "counts"),
    [
        (PAPER, (2_764_936, 7_746_176, 9_762_051, 12_328_132)),
        (SMALL, (175_144, 264_992, 553_539, 771_892)),
        (TEST, (62_192, 108_024, 287_795, 434_536)),
    ],
)
def test_numbers_of_parameters_are_those_of_the_paper_and_of_its_small_forms(
    preset: str, counts: tuple[int, ...]
) -> None:
    size = PRESETS[preset].size
    net = Autoencoder(size)
    assert (count(net.of_class), count(net.of_itself), count(net.decoder)) == counts[:3]
    assert count(discriminator(size, 2)) == counts[3]


def test_an_iteration_of_the_small_preset_costs_what_its_convolutions_cost() -> None:
    """The handbook counts 11 GFLOP with a second forward pass for the discriminator, which is shared here."""
    size = PRESETS[SMALL].size
    net, judge = Autoencoder(size), discriminator(size, 2)
    images, targets = torch.rand(2, 3, 64, 64) * 2 - 1, torch.eye(2)
    with FlopCounterMode(display=False) as counter:
        one = losses.forward(net, images)
        losses.weighted(losses.of_discriminator(judge, images, one.swapped, targets), losses.DISCRIMINATOR).backward()
        losses.weighted(losses.generator(net, judge, one, targets), losses.WEIGHTS).backward()
    assert 8.5e9 < counter.get_total_flops() < 11e9


@pytest.mark.parametrize("preset", [SMALL, TEST])
def test_codes_and_images_have_the_shapes_that_are_promised(preset: str) -> None:
    size = PRESETS[preset].size
    net = Autoencoder(size)
    images = torch.rand(2, 3, size.side, size.side) * 2 - 1
    codes, maps = net.of_class(images), net.of_itself(images)
    assert codes.shape == (2, 8)
    assert maps.shape == (2, 4 * size.width, size.side // 4, size.side // 4)
    made = net.decoder(codes, maps)
    assert made.shape == images.shape
    assert float(made.detach().abs().max()) <= 1.0
    real, classes = Discriminator(size, 5)(images)
    assert (real.shape, classes.shape) == ((2, 2), (2, 5))


def test_modulation_gives_each_channel_the_mean_and_spread_of_the_code() -> None:
    maps = torch.randn(2, 3, 8, 8) * 5 + 2
    shift, scale = torch.tensor([[1.0, 2.0, 3.0]] * 2), torch.tensor([[0.5, 1.0, 2.0]] * 2)
    made = modulated(maps, shift, scale)
    assert torch.allclose(made.mean((2, 3)), shift, atol=1e-4)
    assert torch.allclose(made.std((2, 3), unbiased=False), scale, atol=1e-3)


def test_the_sample_norm_divides_by_the_unbiased_spread_of_the_whole_image() -> None:
    norm = SampleNorm(2)
    nn.init.ones_(norm.scale)
    maps = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 2, 1, 2)
    assert torch.allclose(norm(maps).flatten(), (maps - 2.5).flatten() / (maps.std() + 1e-5))


class Planted(Autoencoder):
    """A class code that is the mean of the red channel, an individual code that is the green one; no learning."""

    def __init__(self) -> None:
        super().__init__(Size(4, 1, 1))
        self.of_class, self.of_itself = Red(), Green()  # type: ignore[assignment]
        self.decoder = Joined()  # type: ignore[assignment]


class Red(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, :1].mean((2, 3))


class Green(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, 1:2]


class Joined(nn.Module):
    def forward(self, codes: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        return torch.cat([codes[:, :, None, None].expand_as(maps), maps, torch.zeros_like(maps)], 1)


class Certain(nn.Module):
    """Calls everything real with logit 2, and class 0 with logit 1."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        n = len(images)
        return torch.tensor([[0.0, 2.0]] * n), torch.tensor([[1.0, 0.0]] * n)


def test_every_term_is_the_formula_it_says() -> None:
    images = torch.zeros(2, 3, 4, 4)
    images[0, 0], images[1, 0] = 0.4, -0.4  # the class
    images[0, 1], images[1, 1] = 0.1, 0.3  # the individual
    images[:, 2] = 0.5  # what no code holds
    one = losses.forward(Planted(), images)
    assert one.swapped[0, 0].mean().item() == pytest.approx(-0.4)
    assert one.swapped[0, 1].mean().item() == pytest.approx(0.1)
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    judge: Discriminator = Certain()  # type: ignore[assignment]
    terms = {name: value.item() for name, value in losses.generator(Planted(), judge, one, targets).items()}
    assert terms["reconstruction"] == pytest.approx(2 * 0.5 / 3)  # only the third channel is lost
    assert terms["cycle"] == pytest.approx(2 * 0.5 / 3)
    assert terms["class code"] == pytest.approx(0.0, abs=1e-6)
    assert terms["individual code"] == pytest.approx(0.0, abs=1e-6)
    real = torch.log1p(torch.exp(torch.tensor(-2.0))).item()
    assert terms["realness"] == pytest.approx(2 * real)
    own = torch.log1p(torch.exp(torch.tensor(-1.0))).item()
    assert terms["class"] == pytest.approx(own + own + 1.0)  # A is to be B's class, B to be A's
    its = {n: v.item() for n, v in losses.of_discriminator(judge, images, one.swapped, targets).items()}
    assert its["realness"] == pytest.approx(2 * (real + real + 2.0))
    assert its["class"] == pytest.approx(own + own + 1.0)


def test_what_is_learnt_by_the_discriminator_does_not_reach_the_generator() -> None:
    size = PRESETS[TEST].size
    net, judge = Autoencoder(size), discriminator(size, 2)
    one = losses.forward(net, torch.rand(2, 3, 32, 32) * 2 - 1)
    losses.weighted(
        losses.of_discriminator(judge, one.images, one.swapped, torch.eye(2)), losses.DISCRIMINATOR
    ).backward()
    assert all(value.grad is None for value in net.parameters())
    assert any(value.grad is not None for value in judge.parameters())


def test_the_published_weights() -> None:
    assert losses.WEIGHTS == {
        "reconstruction": 10, "class code": 1, "individual code": 1, "cycle": 10, "realness": 1, "class": 1
    }  # fmt: skip
    assert losses.DISCRIMINATOR == {"realness": 1, "class": 2}
