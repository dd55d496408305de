"""A state with tensors in it comes back from JSON and safetensors as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from showonce.errors import StoreError
from showonce.learning import packing


def again(tree: Any, folder: Path) -> Any:
    skeleton, tensors = packing.pack(tree)
    packing.write_tensors(folder / "t.safetensors", tensors)
    return packing.unpack(json.loads(json.dumps(skeleton)), packing.read_tensors(folder / "t.safetensors"))


def test_tensors_of_torch(tmp_path: Path) -> None:
    tree = {"optimiser": {"lora.a.A.exp_avg": torch.ones(2, dtype=torch.bfloat16), "lora.a.A.step": torch.tensor(3.0)}}
    found = again(tree, tmp_path)["optimiser"]
    assert torch.equal(found["lora.a.A.exp_avg"], torch.ones(2, dtype=torch.bfloat16))
    assert found["lora.a.A.step"] == 3 and found["lora.a.A.step"].shape == ()


def test_plain_data_and_arrays(tmp_path: Path) -> None:
    arrays = [np.arange(4, dtype=np.int64).reshape(2, 2).T, np.array(1.5, dtype=np.float32)]
    tree = {"n": {"one": 1}, "l": [2.5, None, 2**100], "flag": True, "a": arrays}
    found = again(tree, tmp_path)
    for mine, theirs in zip(found.pop("a"), tree.pop("a"), strict=True):  # type: ignore[call-overload]
        assert mine.shape == theirs.shape and mine.dtype == theirs.dtype and np.array_equal(mine, theirs)
    assert found == tree


@pytest.mark.parametrize("value", [object(), float("nan"), {1: "a key that is no text"}])
def test_what_cannot_be_stored_is_named(value: Any, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"a\.0"):
        packing.pack({"a": [value]})


def test_a_file_that_is_no_table_of_tensors(tmp_path: Path) -> None:
    (tmp_path / "t.safetensors").write_bytes(b"nonsense")
    with pytest.raises(StoreError, match="safetensors"):
        packing.read_tensors(tmp_path / "t.safetensors")
