"""Plain data with tensors in it, as one JSON skeleton and one flat table of tensors (safetensors); no pickle.

In the skeleton a tensor is ``{"$tensor": key}``. Tensors are numpy arrays or torch tensors; torch is only imported for
a table that has torch tensors in it, and they come back as torch tensors on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from showonce.errors import StoreError

TENSOR: Final = "$tensor"


def is_torch(value: object) -> bool:
    """Whether a value is a torch tensor (without importing torch)."""
    return type(value).__module__.split(".")[0] == "torch" and hasattr(value, "detach")


def pack(tree: Any) -> tuple[Any, dict[str, Any]]:
    """Return the JSON skeleton of a tree of dicts, lists, plain values and tensors, and its tensors by key.

    Raises:
        StoreError: a value that cannot be stored; the text names its place and type.
    """
    tensors: dict[str, Any] = {}
    return _pack(tree, "", tensors), tensors


def _pack(value: Any, at: str, tensors: dict[str, Any]) -> Any:
    if isinstance(value, np.ndarray) or is_torch(value):
        tensors[at] = value
        return {TENSOR: at}
    if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _pack(v, f"{at}.{key}".lstrip("."), tensors) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_pack(v, f"{at}.{i}".lstrip("."), tensors) for i, v in enumerate(value)]
    raise StoreError(f"cannot store {at or 'the value'}: {type(value).__name__} is neither plain data nor a tensor.")


def unpack(skeleton: Any, tensors: Mapping[str, Any]) -> Any:
    """Build the tree from `pack`'s two parts; tuples come back as lists."""
    if isinstance(skeleton, list):
        return [unpack(v, tensors) for v in skeleton]
    if not isinstance(skeleton, dict):
        return skeleton
    return tensors[skeleton[TENSOR]] if TENSOR in skeleton else {k: unpack(v, tensors) for k, v in skeleton.items()}


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
