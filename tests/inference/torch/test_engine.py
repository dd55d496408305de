"""The torch engine beside its contract: features are kept, rows and scores agree with going on step by step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.scripted_engine import ScriptedState
from tests.tinyfactory import frame, save_checkpoint

from showonce.config import AdapterConfig
from showonce.errors import BadInput, ShowonceError
from showonce.inference.torch.adapter import Adapter
from showonce.inference.torch.backbone import Backbone
from showonce.inference.torch.engine import TorchEngine
from showonce.protocols import Parts


@pytest.fixture(scope="module", params=["tiny", "qwen3_vl"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TorchEngine:
    return TorchEngine(Backbone.load(save_checkpoint(tmp_path_factory.mktemp("checkpoint"), request.param)))


def prompt(engine: TorchEngine, seed: int, words: int) -> Parts:
    ids = [int(i) for i in np.random.default_rng(seed).integers(5, 60, words)]
    return [*ids, engine.encode(frame(seed)), *ids[:3]]


def test_scores_are_those_of_going_on_step_by_step(engine: TorchEngine) -> None:
    prompts = [prompt(engine, seed, 2 + 3 * seed) for seed in range(3)]
    answers = [[5, 6, 7, 8], [9], [10, 11]]
    logits_BTV, mask_BT = engine.answer_logits(prompts, answers, None)
    assert mask_BT.tolist() == [[True] * 4, [True] + [False] * 3, [True] * 2 + [False] * 2]
    for b, (parts, answer) in enumerate(zip(prompts, answers, strict=True)):
        state, logits_V = engine.extend(engine.start(), parts)
        for t, token in enumerate(answer):
            assert np.abs(logits_BTV[b, t].numpy() - logits_V).max() < 1e-4
            state, logits_V = engine.extend(state, [token])


def test_scores_with_a_shared_beginning(engine: TorchEngine) -> None:
    shared = prompt(engine, 9, 5)
    prompts = [prompt(engine, seed, 2 + 3 * seed) for seed in range(3)]
    answers = [[5, 6, 7, 8], [9], [10, 11]]
    state, _ = engine.extend(engine.start(), shared)
    whole = engine.score([[*shared, *p] for p in prompts], answers)
    split = engine.score(prompts, answers, prefix=state)
    for one, other, answer in zip(whole, split, answers, strict=True):
        assert one.shape == other.shape == (len(answer), engine.vocabulary)
        assert np.abs(one - other).max() < 1e-4


def test_a_frame_is_encoded_once(engine: TorchEngine) -> None:
    first = engine.encode(frame(30))
    again = engine.encode_many([frame(31), frame(30), frame(31)])
    assert again[1] is first
    assert again[0] is again[2]
    small = TorchEngine(engine.backbone, feature_cache=2)
    kept = [small.encode(frame(seed)) for seed in (1, 2, 3)]
    assert small.encode(frame(3)) is kept[2]
    assert small.encode(frame(1)) is not kept[0]


def test_states_stay_with_their_engine(engine: TorchEngine) -> None:
    with pytest.raises(ShowonceError, match="ScriptedState"):
        engine.extend(ScriptedState("base", 0, (1,)), [5])
    with pytest.raises(BadInput, match="at least one"):
        engine.extend(engine.start(), [])


def test_without_adapters_there_is_nothing_to_use(engine: TorchEngine) -> None:
    assert engine.version == "base"
    for call in (lambda: engine.use("candidate"), lambda: engine.put("candidate", {}, "v1")):
        with pytest.raises(BadInput, match="without an adapter"):
            call()
    engine.use(None)


def test_rows_are_refused_after_an_update(engine: TorchEngine) -> None:
    backbone = engine.backbone
    assert isinstance(backbone, Backbone)
    adapter = Adapter(backbone, AdapterConfig(kind="tokens"))
    learning = TorchEngine(backbone, adapter)
    learning.use("candidate")
    rows = learning.rows(learning.start(), 2)
    rows.extend([[5, 6], [7]])
    adapter.set_tensors({"tokens.5": torch.ones(backbone.width)})
    with pytest.raises(ShowonceError, match="start a new one"):
        rows.extend([[5], [7]])
