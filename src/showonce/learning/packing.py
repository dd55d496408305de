"""A nested state with tensors in it as one JSON skeleton and one flat table of tensors; no pickle.

Takes what an optimiser's `state_dict()` holds: dicts (keys of any JSON scalar, so the integer keys of torch too),
lists, tuples, numbers, text, None, numpy arrays and torch tensors. torch is only used for a tree that has torch
tensors in it; what was saved as torch comes back as torch, on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from showonce.errors import StoreError

TENSOR: Final = "$tensor"  # a tensor, by its key in the table
PAIRS: Final = "$pairs"  # a dict that JSON cannot hold as it is
TUPLE: Final = "$tuple"
FLOAT: Final = "$float"  # inf and nan


def is_torch(value: object) -> bool:
    """Whether a value is a torch tensor (without importing torch)."""
    return type(value).__module__.split(".")[0] == "torch" and hasattr(value, "detach")


def pack(tree: Any) -> tuple[Any, dict[str, Any]]:
    """Return the JSON skeleton of a tree and its tensors by key.

    Raises:
        StoreError: a value that cannot be stored; the text names its place and type.
    """
    tensors: dict[str, Any] = {}
    return _pack(tree, "", tensors), tensors


def _pack(value: Any, at: str, tensors: dict[str, Any]) -> Any:
    if isinstance(value, np.ndarray) or is_torch(value):
        key = at or "value"
        tensors[key] = value
        return {TENSOR: key}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {FLOAT: str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        items = [(k, _pack(v, f"{at}.{k}" if at else str(k), tensors)) for k, v in value.items()]
        if all(isinstance(k, str) and not k.startswith("$") for k, _ in items):
            return dict(items)
        return {PAIRS: [[_pack(k, f"{at}.key", tensors), v] for k, v in items]}
    if isinstance(value, (list, tuple)):
        packed = [_pack(v, f"{at}.{i}" if at else str(i), tensors) for i, v in enumerate(value)]
        return {TUPLE: packed} if isinstance(value, tuple) else packed
    raise StoreError(f"cannot store {at or 'the value'}: {type(value).__name__} is neither plain data nor a tensor.")


def unpack(skeleton: Any, tensors: Mapping[str, Any]) -> Any:
    """Build the tree back from `pack`'s two parts."""
    if isinstance(skeleton, list):
        return [unpack(v, tensors) for v in skeleton]
    if not isinstance(skeleton, dict):
        return skeleton
    if len(skeleton) == 1:
        ((key, value),) = skeleton.items()
        if key == TENSOR:
            return tensors[value]
        if key == TUPLE:
            return tuple(unpack(v, tensors) for v in value)
        if key == PAIRS:
            return {unpack(k, tensors): unpack(v, tensors) for k, v in value}
        if key == FLOAT:
            return float(value)
    return {k: unpack(v, tensors) for k, v in skeleton.items()}


def write_tensors(path: Path, tensors: Mapping[str, Any]) -> None:
    """Write a table of tensors as one safetensors file, with the framework they came from in its header."""
    if any(is_torch(t) for t in tensors.values()):
        import torch
        from safetensors.torch import save_file

        whole = {k: torch.as_tensor(t).detach().cpu().clone().contiguous() for k, t in tensors.items()}
        save_file(whole, str(path), metadata={"framework": "torch"})
    else:
        from safetensors.numpy import save_file as save_arrays

        arrays = {k: np.array(t, order="C", copy=True) for k, t in tensors.items()}
        save_arrays(arrays, str(path), metadata={"framework": "numpy"})


def read_tensors(path: Path) -> dict[str, Any]:
    """Read what `write_tensors` wrote: torch tensors on the CPU or numpy arrays, as they were saved.

    Raises:
        StoreError: not a safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            framework = (file.metadata() or {}).get("framework", "torch")
        with safe_open(str(path), framework="pt" if framework == "torch" else "numpy") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise StoreError(f"cannot read {path} as safetensors: {error}.") from error
