"""New heads on old backbones: the last linear layer exchanged, or one put behind a network that has none."""

from __future__ import annotations

import copy
from collections import OrderedDict

from torch import nn

from casebase.errors import ModelError
from casebase.networks.loaded import HeadPlan


def shared_copy(module: nn.Module) -> nn.Module:
    """A copy with its own structure and hooks that shares every weight: no memory, no surprise for the original.

    Hooks of the original are not taken along.
    """
    memo = {id(t): t for t in [*module.parameters(), *module.buffers()]}
    copied = copy.deepcopy(module, memo)
    for part in copied.modules():
        part._forward_hooks.clear()
        part._forward_pre_hooks.clear()
    return copied


def put(module: nn.Module, plan: HeadPlan, dim: int, outputs: int) -> nn.Module:
    """A shared copy of ``module`` whose head is a new linear layer from ``dim`` features to ``outputs`` scores.

    Where ``plan`` is ``own``, the module itself. The new layer's weights are torch's random ones; find it by
    :func:`linear_of`.
    """
    if plan.kind == "own":
        return module
    linear = nn.Linear(dim, outputs)
    if plan.kind == "stacked":
        return nn.Sequential(OrderedDict(backbone=shared_copy(module), head=linear))
    copied = shared_copy(module)
    if plan.name not in dict(copied.named_modules()):
        raise ModelError(f"this network has no part {plan.name!r} to put a head in place of")
    if plan.kind == "linear":
        copied.set_submodule(plan.name, linear)
    elif plan.kind == "tail":
        pooled = OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), linear=linear)
        copied.set_submodule(plan.name, nn.Sequential(pooled))
    else:
        raise ModelError(f"unknown kind of head {plan.kind!r}; known are own, linear, tail, stacked")
    return copied


def linear_of(module: nn.Module, plan: HeadPlan) -> nn.Linear:
    """The linear layer that :func:`put` has put there."""
    names = {"linear": plan.name, "tail": f"{plan.name}.linear", "stacked": "head"}
    found = module.get_submodule(names[plan.kind])
    if not isinstance(found, nn.Linear):
        raise ModelError(f"the part {names[plan.kind]!r} of this network is no linear layer")
    return found


def plan_for(head: str | None, tail: str | None, *, embeds: bool, old: HeadPlan) -> HeadPlan:
    """How a new head is put on a network with this anatomy; raises ``ModelError`` where there is no place for one."""
    if old.kind != "own":
        return old
    if embeds:
        return HeadPlan("stacked")
    if head is not None:
        return HeadPlan("linear", head)
    if tail is not None:
        return HeadPlan("tail", tail)
    raise ModelError("this network has no linear layer at its end, so no new head can be put on it")
