"""Rows in a file: what was put is there, also after a kill; another key begins anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from casebase.errors import ModelError
from casebase.networks.cached_rows import CachedRows

SHAPE = (5, 2, 3)
BLOCK = np.arange(30, dtype=np.float32).reshape(SHAPE) / 4


def rows(*index: int) -> np.ndarray:
    return np.array(index, np.intp)


def test_rows_come_back_in_any_order_and_what_is_missing_is_known(tmp_path: Path) -> None:
    cache = CachedRows(tmp_path / "new", "features", SHAPE, {"seed": 0})
    assert len(cache) == 5
    assert cache.missing().tolist() == [0, 1, 2, 3, 4]
    cache.put(rows(3, 1), BLOCK[[3, 1]])
    assert cache.missing().tolist() == [0, 2, 4]
    assert np.array_equal(cache.rows(rows(1, 3, 1)), BLOCK[[1, 3, 1]])
    again = CachedRows(tmp_path / "new", "features", SHAPE, {"seed": 0})
    assert again.missing().tolist() == [0, 2, 4]
    again.put(again.missing(), BLOCK[[0, 2, 4]])
    assert np.array_equal(again.rows(np.arange(5)), BLOCK)
    with pytest.raises(ModelError, match="1 of the rows"):
        cache.rows(rows(0, 1))


def test_another_key_shape_or_dtype_and_a_cut_file_begin_anew(tmp_path: Path) -> None:
    def full(**more) -> CachedRows:
        cache = CachedRows(tmp_path, "features", SHAPE, {"seed": 0})
        cache.put(np.arange(5), BLOCK)
        return cache

    for shape, key, dtype in (
        (SHAPE, {"seed": 1}, "float32"),
        ((5, 3, 2), {"seed": 0}, "float32"),
        (SHAPE, {"seed": 0}, "float16"),
    ):
        full()
        assert len(CachedRows(tmp_path, "features", SHAPE, {"seed": 0}).missing()) == 0
        assert len(CachedRows(tmp_path, "features", shape, key, dtype).missing()) == 5
    full()
    with (tmp_path / "features.rows").open("rb+") as file:
        file.truncate(10)
    assert len(CachedRows(tmp_path, "features", SHAPE, {"seed": 0}).missing()) == 5
    full().remove()
    assert list(tmp_path.iterdir()) == []


def test_half_precision_is_named_and_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    cache = CachedRows(tmp_path, "inputs", (2, 2), {}, "float16")
    cache.put(rows(0), np.array([[0.1, 1000.0]], np.float32))
    assert cache.rows(rows(0)).dtype == np.float32
    assert cache.rows(rows(0))[0].tolist() == pytest.approx([0.1, 1000.0], rel=2**-11)
    for bad in (1e5, np.nan, np.inf):
        with pytest.raises(ModelError, match="float16"):
            cache.put(rows(1), np.array([[0.0, bad]], np.float32))
    assert cache.missing().tolist() == [1]
    with pytest.raises(ModelError, match="shape"):
        cache.put(rows(1), np.zeros((1, 3), np.float32))


def test_a_killed_process_keeps_what_it_put(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, numpy as np; from pathlib import Path;"
        "from casebase.networks.cached_rows import CachedRows;"
        "c = CachedRows(Path(sys.argv[1]), 'features', (3, 2), {});"
        "c.put(np.array([2]), np.ones((1, 2))); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=dict(os.environ), check=False)
    assert killed.returncode == -9
    cache = CachedRows(tmp_path, "features", (3, 2), {})
    assert cache.missing().tolist() == [0, 1]
    assert cache.rows(rows(2)).tolist() == [[1.0, 1.0]]


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot be cached in"):
        CachedRows(tmp_path / "file", "features", SHAPE, {})
