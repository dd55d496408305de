"""What belongs to the process is set by its owner alone."""

from __future__ import annotations

from pathlib import Path

import torch
from tests.tinyfactory import save_checkpoint

from showonce.config import Config, InferenceConfig, PolicyConfig
from showonce.inference.process import set_process
from showonce.policy.vlm_policy import load_policy


def test_loading_leaves_the_process_alone_and_its_owner_sets_it(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path)
    threads = torch.get_num_threads()
    config = Config(
        deterministic=True, policy=PolicyConfig(checkpoint=str(folder)), inference=InferenceConfig(threads=threads + 1)
    )
    state = torch.random.get_rng_state()
    load_policy(config)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.random.get_rng_state(), state)
    try:
        set_process(config.inference, deterministic=False, seed=5)
        assert torch.get_num_threads() == threads + 1
        assert torch.initial_seed() == 5
        set_process(config.inference, deterministic=True)
        assert torch.get_num_threads() == 1
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(threads)
