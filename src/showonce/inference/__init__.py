"""Engines that run a model (torch, a scripted one for tests) and the one decode loop over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from showonce.config import InferenceConfig
from showonce.errors import ConfigError, Unavailable, nearest

if TYPE_CHECKING:
    from showonce.inference.torch.batching import Tower
    from showonce.inference.torch.engine import Adapters, TorchEngine

HERE: Final = ("torch", "scripted")
LATER: Final = ("mlx", "onnx", "tensorrt", "server")


def check_backend(name: str) -> None:
    """Say no to a backend that is not in this release.

    Raises:
        Unavailable: a backend that comes later; what is here is listed.
        ConfigError: no such backend at all.
    """
    if name in LATER:
        raise Unavailable(f"inference.backend={name!r} is not in this release. Here are: {', '.join(HERE)}.")
    if name not in HERE:
        raise ConfigError(f"inference.backend={name!r} is not a backend.{nearest(name, HERE)}")


def make_engine(config: InferenceConfig, tower: Tower, adapters: Adapters | None = None) -> TorchEngine:
    """Return the engine of a config over a loaded backbone and its adapters.

    Raises:
        Unavailable: a backend that is not in this release, or one that runs no model.
        ConfigError: no such backend.
    """
    check_backend(config.backend)
    if config.backend != "torch":
        raise Unavailable(f"inference.backend={config.backend!r} runs no model; set inference.backend=torch.")
    from showonce.inference.torch.engine import TorchEngine

    return TorchEngine(tower, adapters, config.feature_cache)
