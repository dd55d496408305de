"""Engines that run a model and the one decode loop over them. An engine is found by name; importing this loads none."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from showonce.config import AdapterConfig, InferenceConfig
from showonce.errors import ConfigError, Unavailable
from showonce.plugins import Registry
from showonce.protocols import Engine

# A part is a class or function that is called with (checkpoint folder: Path, config: InferenceConfig, adapter:
# AdapterConfig | None, seed: int) and returns a `protocols.Engine`.
ENGINES: Final = Registry(
    "engine", "showonce.engines", {"torch": "showonce.inference.torch.engine:load_engine"}, "inference.backend"
)
LATER: Final = ("mlx", "onnx", "tensorrt", "server")  # planned


def check_backend(name: str) -> None:
    """Check that there is such an engine, without importing it.

    Raises:
        Unavailable: one that comes in a later release; those that are here are listed.
        ConfigError: no such engine (nearest named).
    """
    if name in LATER and name not in ENGINES.names():
        raise Unavailable(f"inference.backend={name!r} is not in this release. Here are: {', '.join(ENGINES.names())}.")
    ENGINES.check(name)


def load_engine(folder: Path, config: InferenceConfig, adapter: AdapterConfig | None = None, seed: int = 0) -> Engine:
    """Load the engine that `config.backend` names over a checkpoint folder. seed: of an adapter's first values.

    Raises:
        ConfigError: no such engine, it cannot be imported, it is no engine, or it cannot read the checkpoint.
        Unavailable: an engine of a later release, or a device or dtype that this machine lacks.
    """
    check_backend(config.backend)
    engine: Engine = ENGINES.load(config.backend)(folder, config, adapter, seed)
    missing = [name for name in vars(Engine) if not name.startswith("_") and name not in dir(engine)]
    if missing:
        made = type(engine).__name__
        raise ConfigError(f"inference.backend={config.backend!r} made a {made}, no engine: it lacks {missing[0]!r}.")
    return engine
