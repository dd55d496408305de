"""A state with tensors in it comes back from JSON and safetensors as it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from showonce.errors import StoreError
from showonce.learning import packing


def test_packing_an_optimiser_state_of_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    weight = torch.nn.Parameter(torch.arange(6, dtype=torch.float32).reshape(2, 3))
    optimiser = torch.optim.AdamW([weight], lr=0.03, betas=(0.9, 0.98))
    weight.square().sum().backward()
    optimiser.step()
    skeleton, tensors = packing.pack({"optimiser": optimiser.state_dict(), "half": torch.ones(2, dtype=torch.bfloat16)})
    packing.write_tensors(tmp_path / "t.safetensors", tensors)
    again = packing.unpack(json.loads(json.dumps(skeleton)), packing.read_tensors(tmp_path / "t.safetensors"))
    fresh = torch.optim.AdamW([weight], lr=1.0)
    fresh.load_state_dict(again["optimiser"])
    assert fresh.param_groups[0]["betas"] == (0.9, 0.98)
    assert torch.equal(fresh.state[weight]["exp_avg"], optimiser.state[weight]["exp_avg"])
    assert fresh.state[weight]["step"] == 1
    assert again["half"].dtype == torch.bfloat16


def test_packing_plain_data_and_arrays(tmp_path: Path) -> None:
    tree = {
        "n": {1: "one", (): 2}, "t": (1, [2.5, None]), "inf": float("inf"), "$tensor": "text", "flag": True,
        "a": [np.arange(4, dtype=np.int64).reshape(2, 2).T, np.array(1.5, dtype=np.float32)], "s": np.float32(0.5),
    }  # fmt: skip
    skeleton, tensors = packing.pack(tree)
    packing.write_tensors(tmp_path / "t.safetensors", tensors)
    again = packing.unpack(json.loads(json.dumps(skeleton)), packing.read_tensors(tmp_path / "t.safetensors"))
    arrays, kept = again.pop("a"), tree.pop("a")
    assert again == tree
    for mine, theirs in zip(arrays, kept, strict=True):
        assert mine.shape == theirs.shape
        assert mine.dtype == theirs.dtype
        assert np.array_equal(mine, theirs)


def test_packing_names_what_it_cannot_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"a\.0: object"):
        packing.pack({"a": [object()]})
    (tmp_path / "t.safetensors").write_bytes(b"nonsense")
    with pytest.raises(StoreError, match="safetensors"):
        packing.read_tensors(tmp_path / "t.safetensors")
