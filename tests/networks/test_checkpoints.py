from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.torch import save_file
from torch import nn

from casebase.errors import CheckpointRefused, WeightsMissing
from casebase.networks.checkpoints import digest, load_into, load_state


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return (os.system, (f"touch {self.marker}",))


@pytest.mark.parametrize("save", ["torch", "pickle"])
def test_a_pickle_bomb_is_refused_by_name_and_leaves_no_marker(tmp_path: Path, save: str) -> None:
    marker, path = tmp_path / "marker", tmp_path / "evil.pt"
    bomb = {"weight": Bomb(marker)}
    if save == "torch":
        torch.save(bomb, path)
    else:
        path.write_bytes(pickle.dumps(bomb))
    with pytest.raises(CheckpointRefused, match=rf"{os.system.__module__}\.system"):
        load_state(path)
    assert not marker.exists()


def test_a_whole_network_and_programs_are_refused(tmp_path: Path) -> None:
    whole, exported = tmp_path / "whole.pt", tmp_path / "program.pt"
    torch.save(nn.Linear(2, 2), whole)
    with pytest.raises(CheckpointRefused, match=r"torch\.nn\.modules\.linear\.Linear"):
        load_state(whole)
    torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.zeros(1, 2),)), tmp_path / "program.pt2")
    (tmp_path / "program.pt2").rename(exported)
    with pytest.raises(CheckpointRefused, match="exported program"):
        load_state(exported)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore::DeprecationWarning")
def test_torchscript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "script.pt"
    torch.jit.script(nn.Linear(2, 2)).save(str(path))
    with pytest.raises(CheckpointRefused, match="TorchScript"):
        load_state(path)


@pytest.mark.parametrize("name", ["w.pt2", "w.bin", "w.onnx", "w"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(CheckpointRefused, match="safetensors preferred"):
        load_state(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04broken", b"\x80\x02."])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointRefused):
        load_state(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="no weights file"):
        load_state(tmp_path / "none.pt")


@pytest.mark.parametrize("value", [3, "text", [1.0], None])
def test_values_that_are_no_tensors_are_refused(tmp_path: Path, value: object) -> None:
    torch.save({"a": torch.zeros(1), "b": value}, tmp_path / "w.pt")
    with pytest.raises(CheckpointRefused, match="'b'"):
        load_state(tmp_path / "w.pt")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    save_file({"a": torch.tensor([1.0, bad])}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointRefused, match="'a' holds NaN"):
        load_state(tmp_path / "w.safetensors")


@pytest.mark.parametrize("wrap", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_wrappers_and_prefixes_come_off(tmp_path: Path, wrap: str | None, prefix: str) -> None:
    state = {f"{prefix}{n}": v for n, v in net().state_dict().items()}
    torch.save(state if wrap is None else {wrap: state, "epoch": 3}, tmp_path / "w.pth")
    found = load_state(tmp_path / "w.pth")
    assert digest(found) == digest(net().state_dict())


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2, dtype=torch.float16), "n": torch.tensor(3)}, tmp_path / "w.safetensors")
    found = load_state(tmp_path / "w.safetensors")
    assert found["a"].dtype == torch.float32
    assert found["n"].dtype == torch.int64


def test_a_mismatch_lists_its_keys_and_changes_nothing(tmp_path: Path) -> None:
    module = net()
    before = digest(module.state_dict())
    state = {n: torch.zeros_like(v) for n, v in module.state_dict().items()}
    state["head.extra"] = state.pop("3.bias")
    state["0.weight"] = torch.zeros(5, 3, 3, 3)
    with pytest.raises(CheckpointRefused) as told:
        load_into(module, state, tmp_path / "w.pt")
    for part in ("missing: 3.bias", "unexpected: head.extra", "0.weight [5, 3, 3, 3] where [4, 3, 3, 3]"):
        assert part in str(told.value)
    assert digest(module.state_dict()) == before


def test_at_most_five_names_of_a_kind_are_listed(tmp_path: Path) -> None:
    state = {f"extra{i}": torch.zeros(1) for i in range(8)} | net().state_dict()
    with pytest.raises(CheckpointRefused, match="and 3 more"):
        load_into(net(), state, tmp_path / "w.pt")


def test_step_counters_may_be_absent(tmp_path: Path) -> None:
    module = net()
    state = {n: v for n, v in module.state_dict().items() if not n.endswith("num_batches_tracked")}
    load_into(module, state, tmp_path / "w.pt")
    assert digest(state) == digest(module.state_dict())


@given(hnp.arrays(np.float16, hnp.array_shapes(max_dims=3, max_side=4), elements=st.floats(-100, 100, width=16)))
def test_the_digest_names_values_and_not_their_container(array: np.ndarray) -> None:
    half = torch.from_numpy(array)
    state = {"b": half, "a": torch.zeros(1)}
    assert digest(state) == digest({"a": torch.zeros(1, dtype=torch.float64), "b": half.float()})
    assert digest(state) != digest({"b": half + 1, "a": torch.zeros(1)})
    assert digest(state) != digest({"c": half, "a": torch.zeros(1)})
    assert digest({"b": half.reshape(-1), "x": torch.zeros(1)}) != digest({"b": half[None], "x": torch.zeros(1)})


def test_the_digest_is_that_of_the_file_it_was_saved_to(tmp_path: Path) -> None:
    state = net().state_dict()
    torch.save(state, tmp_path / "w.pt")
    save_file(dict(state), tmp_path / "w.safetensors")
    assert digest(load_state(tmp_path / "w.pt")) == digest(load_state(tmp_path / "w.safetensors")) == digest(state)
