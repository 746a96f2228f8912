"""A network that has learnt nothing: the architecture of another one with random weights, as a control.

What neighbours in its features agree with the explained network on is not owed to training. J. Adebayo et al., 2018,
"Sanity Checks for Saliency Maps", https://arxiv.org/abs/1810.03292, ask the same of saliency maps.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from inspect import signature

import torch
from torch import nn

from casebase.networks import backbones
from casebase.networks.explained import ExplainedNetwork
from casebase.networks.loaded import HeadPlan, seeded

SPREAD = 0.02
"""Standard deviation of parameters that no module draws by itself, such as class tokens: that of ViT and BERT."""
_DRAWERS = ("torch.", "torchvision.", "timm.")
"""Whose modules may draw by themselves; a user's own might want anything."""


def randomised(network: ExplainedNetwork, seed: int, *, layer: str | None = None) -> ExplainedNetwork:
    """The architecture of ``network`` with every parameter drawn anew, batch statistics as at the start; float32.

    A library's architecture is built again, with its own way of drawing weights; in a user's own one every module
    draws anew. Preprocessing, device, batch size and the named ``layer`` stay. It has no class names, so it predicts
    nothing.
    """
    old = network.loaded
    if backbones.parse(old.spec).runs_code:
        fresh = replace(old, module=redrawn(network.module, seed), classes=None, untrained=True)
    else:
        built = backbones.blueprint(old.spec, seed=seed)
        fresh = replace(built, preprocess=old.preprocess, classes=None, untrained=True, head=HeadPlan())
        layer = None if old.head.kind == "stacked" else layer
    return ExplainedNetwork(fresh, device=network.device, layer=layer, batch_size=network.batch_size)


def redrawn(module: nn.Module, seed: int) -> nn.Module:
    """A copy of a module of any kind with every parameter drawn anew and every batch statistic as at the start.

    Modules draw their own parameters (``reset_parameters``), also those that a library derives from torch's; what
    nobody draws, or a module leaves as it was, comes from a normal distribution.
    """
    copied = copy.deepcopy(module).eval()
    drawn: set[int] = set()
    with seeded(seed), torch.no_grad():
        for part in copied.modules():
            reset = getattr(part, "reset_parameters", None) or getattr(part, "_reset_parameters", None)
            home = getattr(reset, "__module__", None) or ""
            if callable(reset) and home.startswith(_DRAWERS) and not signature(reset).parameters:
                reset()
                drawn |= {id(parameter) for parameter in part.parameters(recurse=False)}
        for parameter, old in zip(copied.parameters(), module.parameters(), strict=True):
            left = torch.equal(parameter, old) and bool((old != old.flatten()[:1]).any())  # ones stay ones rightly
            if (left or id(parameter) not in drawn) and parameter.is_floating_point():
                parameter.normal_(0.0, SPREAD)
    return copied
