"""The eight terms of class association embedding, and their published weights.

For a pair of images of different classes with codes ``c`` and individual codes ``z``:

    reconstruction    ||G(c_A, z_A) - x_A||_1                                    10
    class code        ||E_c(G(c_A, z_B)) - c_A||_1                               1
    individual code   ||E_s(G(c_B, z_A)) - z_A||_1                               1
    cycle             ||G(c_A, E_s(G(c_B, z_A))) - x_A||_1                       10
    realness          cross-entropy of D_r(G(c_B, z_A)) to real                  1
    class             cross-entropy of D_c(G(c_B, z_A)) to y_B                   1
    discriminator     cross-entropy of D_r(swap) to fake, D_r(x) to real         1
    its class         cross-entropy of D_c(x) to y, real images only             2

each also with A and B exchanged; the L1 norm is a mean. R. Xie et al., ICDE 2024, https://arxiv.org/abs/2406.07961.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from casebase.networks.cae.nets import Autoencoder, Discriminator

WEIGHTS = {
    "reconstruction": 10.0, "class code": 1.0, "individual code": 1.0, "cycle": 10.0, "realness": 1.0, "class": 1.0,
}  # fmt: skip
DISCRIMINATOR = {"realness": 1.0, "class": 2.0}
FAKE, REAL = 0, 1


@dataclass(frozen=True, eq=False)
class Pass:
    """One forward pass over ``n`` pairs: ``images (2n, 3, S, S)``, A's first, then B's, and what was made of them."""

    images: Tensor
    codes: Tensor
    individual: Tensor
    rebuilt: Tensor
    swapped: Tensor


def exchanged(values: Tensor) -> Tensor:
    """The partner's row for every row: B's for A's, A's for B's."""
    first, second = values.chunk(2)
    return torch.cat([second, first])


def forward(net: Autoencoder, images: Tensor) -> Pass:
    """Encode, decode as it was, decode with the partner's class code: ``swapped[A] = G(c_B, z_A)``."""
    codes, individual = net.of_class(images), net.of_itself(images)
    both = net.decoder(torch.cat([codes, exchanged(codes)]), torch.cat([individual, individual]))
    rebuilt, swapped = both.chunk(2)
    return Pass(images, codes, individual, rebuilt, swapped)


def generator(net: Autoencoder, judge: Discriminator, one: Pass, targets: Tensor) -> dict[str, Tensor]:
    """Terms 1 to 6, unweighted, each the sum of both directions. ``targets (2n, C)`` are probabilities of classes."""
    codes, individual = net.of_class(one.swapped), net.of_itself(one.swapped)
    cycled = net.decoder(one.codes, individual)
    real, classes = judge(one.swapped)
    return {
        "reconstruction": 2 * functional.l1_loss(one.rebuilt, one.images),
        "class code": 2 * functional.l1_loss(codes, exchanged(one.codes)),
        "individual code": 2 * functional.l1_loss(individual, one.individual),
        "cycle": 2 * functional.l1_loss(cycled, one.images),
        "realness": 2 * functional.cross_entropy(real, _all(real, REAL)),
        "class": 2 * functional.cross_entropy(classes, exchanged(targets)),
    }


def of_discriminator(judge: Discriminator, images: Tensor, swapped: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Terms 7 and 8, unweighted; ``swapped`` is detached here."""
    real, classes = judge(images)
    made, _ = judge(swapped.detach())
    apart = functional.cross_entropy(made, _all(made, FAKE)) + functional.cross_entropy(real, _all(real, REAL))
    return {
        "realness": 2 * apart,
        "class": 2 * functional.cross_entropy(classes, targets),
    }


def weighted(terms: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """The weighted sum."""
    return torch.stack([weights[name] * value for name, value in terms.items()]).sum()


def _all(logits: Tensor, value: int) -> Tensor:
    return torch.full((len(logits),), value, device=logits.device)
