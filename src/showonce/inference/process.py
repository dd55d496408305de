"""What an engine shares with its whole process."""

from __future__ import annotations

import os

from showonce.config import InferenceConfig


def set_process(config: InferenceConfig, deterministic: bool = False, seed: int = 0) -> None:
    """Set torch's number of threads, its kernels and its global random state, where config.backend is torch.

    Only the owner of the process calls this (`cli`, the main function of a worker), once, before a policy is loaded:
    `load_policy` and everything else leave the process alone, so that several runs can share it. config.threads: 0 =
    torch's own choice. deterministic: deterministic kernels, and one thread. seed: of the global random state, which
    only LoRA's dropout draws from.
    """
    if config.backend != "torch":
        return
    import torch

    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA's condition for deterministic kernels
    torch.use_deterministic_algorithms(deterministic)
    if deterministic or config.threads > 0:
        torch.set_num_threads(1 if deterministic else config.threads)
    torch.manual_seed(seed)
