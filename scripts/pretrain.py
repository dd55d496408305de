"""Train the tiny model from scratch on the embedded world and write checkpoints/tiny.

    python scripts/pretrain.py                          # the recipe of the shipped checkpoint
    python scripts/pretrain.py joint_minutes=2 out=/tmp/tiny   # a quick try
    python scripts/pretrain.py resume=true              # go on where it was stopped

Two stages. *dense*: the vision tower alone learns, through throw-away linear heads, what covers each cell of the
screen. *joint*: everything learns the answers of `corpus.py`, the dense loss staying on with a small weight.
Workers are processes with one thread each that steal micro-batches from a shared counter, so that other load on the
machine slows training gracefully. Weights are bfloat16 with float32 masters; Muon for hidden matrices, AdamW for the
rest. `evaluate` prints accuracy per kind of question on fresh screens.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn import functional as F

import corpus
from corpus import CODED, COORDINATE, FRESH, MAX_STEPS, OTHER, PHRASES, VOCAB, Sequence
from showonce.environments.embedded.language import held_out_hash
from tiny_model import BINS, Shape, build_model, save

HELD_OUT_HASH = "1abf941debcac64f29c70deabc918bcfa87e9ca04daddff41d6c372b3372e4da"
FORMS = ("plain", "narrated", "frames_narrated", "frames")


@dataclass
class PretrainConfig:
    """The recipe. Lengths are tokens; minutes are wall clock of this run and decide when a stage ends."""

    out: str = "checkpoints/tiny"
    work: str = "logs/pretrain"
    seed: int = 0
    workers: int = 2
    dense_minutes: float = 6.0
    joint_minutes: float = 60.0
    dense_batch: int = 96
    micro: int = 16
    micros: int = 6  # micro-batches per optimiser step
    dense_lr: float = 2e-3
    lr: float = 2e-3
    warmup: int = 60
    cooldown: float = 0.25  # last share of the joint stage in which the rate falls to zero
    plain_length: int = 192
    frames_length: int = 240
    forms: tuple[float, ...] = (0.38, 0.48, 0.14, 0.0)
    forms_from: float = 0.12  # demonstrations are switched on after this share of the joint stage
    dense_weight: float = 0.3
    code_noise: float = 0.02
    eval_every: float = 3.0  # minutes
    resume: bool = False
    compile: bool = False
    shape: Shape = field(default_factory=Shape)


class Trainee(nn.Module):
    """The model, the code book of coded words, and the throw-away heads of the dense loss."""

    def __init__(self, shape: Shape, seed: int) -> None:
        super().__init__()
        self.model = build_model(shape, seed)
        self.codes = nn.Parameter(torch.randn(MAX_STEPS, len(PHRASES), shape.width) * 0.04)
        self.heads = nn.ModuleList([nn.Linear(shape.width, n) for n in corpus.DENSE_SIZES])

    def see(self, frames: torch.Tensor) -> torch.Tensor:
        """uint8 frames (N, 112, 112, 3) -> features (N, 49, width)."""
        pixels = (frames.permute(0, 3, 1, 2).to(self.codes.dtype) / 127.5) - 1.0
        inner = self.model.model
        side = pixels.shape[-1] // inner.config.vision_config.patch_size
        mask = torch.ones(len(pixels), side, side, dtype=torch.bool)
        hidden = inner.vision_model(pixel_values=pixels, patch_attention_mask=mask).last_hidden_state
        return inner.connector(hidden)  # type: ignore[no-any-return]

    def dense_loss(self, features: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, list[float]]:
        """Cross-entropy of every head; position and label heads count only where something is."""
        loss, accuracy = features.new_zeros((), dtype=torch.float32), []
        present = targets[..., 0] > 0
        for i, head in enumerate(self.heads):
            keep = torch.ones_like(present) if i == 0 else present
            if i in (1, 2):
                keep = targets[..., 0] == 1
            if i == 3:
                keep = targets[..., 3] > 0
            logits = head(features[keep]).float()
            target = targets[..., i][keep]
            loss = loss + (2.0 if i == 3 else 1.0) * F.cross_entropy(logits, target)
            accuracy.append((logits.argmax(-1) == target).float().mean().item())
        return loss, accuracy

    def forward(self, batch: dict[str, Any], noise: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features (N, 49, d) and logits (P, V) at the supervised positions of a packed batch."""
        features = self.see(batch["frames"])
        table = self.model.model.text_model.embed_tokens.weight
        embeds = table[batch["ids"].clamp(min=0)]
        flat = embeds.reshape(-1, embeds.shape[-1]).clone()
        flat[batch["image_at"]] = features.reshape(-1, features.shape[-1]).to(flat.dtype)
        flat[batch["fresh_at"]] = batch["fresh"].to(flat.dtype)
        if len(batch["code_at"]):
            steps = torch.arange(MAX_STEPS).expand(len(batch["code_at"]), -1)
            used = (batch["programs"] >= 0).unsqueeze(-1)
            code = (self.codes[steps, batch["programs"].clamp(min=0)] * used).sum(1)
            flat[batch["code_at"]] = (code + noise * torch.randn_like(code)).to(flat.dtype)
        hidden = self.model.model.text_model(
            inputs_embeds=flat.view_as(embeds), attention_mask=batch["mask"].to(flat.dtype),
            position_ids=batch["positions"], use_cache=False,
        ).last_hidden_state  # fmt: skip
        return features, self.model.lm_head(hidden.reshape(-1, hidden.shape[-1])[batch["at"]])


def collate(sequences: list[Sequence], length: int, width: int) -> dict[str, Any]:
    """Pack sequences into fixed tensors. Questions see the prefix and themselves only."""
    n = len(sequences)
    ids = np.zeros((n, length), np.int64)
    segment = np.full((n, length), -1, np.int64)
    positions = np.zeros((n, length), np.int64)
    at: list[int] = []
    target: list[int] = []
    kind: list[int] = []
    weight: list[float] = []
    tag: list[str] = []
    slot: list[int] = []
    image_at: list[int] = []
    fresh_at: list[int] = []
    fresh: list[np.ndarray] = []
    code_at: list[int] = []
    programs: list[list[int]] = []
    for row, s in enumerate(sequences):
        base = row * length
        vectors = np.random.default_rng(s.fresh).normal(0, 0.05, (2, width)).astype(np.float32)
        end = len(s.prefix)
        ids[row, :end], segment[row, :end], positions[row, :end] = s.prefix, 0, np.arange(end)
        image_at += [base + i for i, t in enumerate(s.prefix) if t == VOCAB["<image>"]]
        start = end
        for number, q in enumerate(s.questions, 1):
            tokens = q.prompt + q.answer
            stop = start + len(tokens)
            if stop > length:
                break
            ids[row, start:stop], segment[row, start:stop] = tokens, number
            positions[row, start:stop] = np.arange(end, end + len(tokens))
            first = base + start + len(q.prompt) - 1
            for i, (t, k, w) in enumerate(zip(q.answer, q.kinds, q.weights, strict=True)):
                if w > 0:
                    at.append(first + i)
                    target.append(t)
                    kind.append(k)
                    weight.append(w)
                    tag.append(q.tag)
                    slot.append(i)
            if q.program:
                code_at.append(base + start + q.prompt.index(CODED))
                programs.append([*q.program, *[-1] * (MAX_STEPS - len(q.program))])
            start = stop
        for i in np.flatnonzero((ids[row] == FRESH) | (ids[row] == OTHER)):
            fresh_at.append(base + int(i))
            fresh.append(vectors[0 if ids[row, i] == FRESH else 1])
    causal = np.tril(np.ones((length, length), bool))
    allowed = causal & ((segment[:, None, :] == 0) | (segment[:, None, :] == segment[:, :, None]))
    mask = np.where(allowed, 0.0, -1e9).astype(np.float32)[:, None]
    tensor = torch.as_tensor
    return {
        "frames": tensor(np.stack([f for s in sequences for f in s.frames])), "ids": tensor(ids), "mask": tensor(mask),
        "positions": tensor(positions), "image_at": tensor(image_at), "fresh_at": tensor(np.array(fresh_at, np.int64)),
        "fresh": tensor(np.array(fresh, np.float32).reshape(-1, width)), "code_at": tensor(np.array(code_at, np.int64)),
        "programs": tensor(np.array(programs, np.int64).reshape(-1, MAX_STEPS)), "at": tensor(at),
        "target": tensor(target),
        "kind": tensor(kind), "weight": tensor(weight, dtype=torch.float32), "tag": tag, "slot": slot,
    }  # fmt: skip


def answer_loss(logits: torch.Tensor, batch: dict[str, Any]) -> torch.Tensor:
    """Weighted cross-entropy; a coordinate's target is smoothed over its neighbouring bins (.1, .8, .1)."""
    logp = F.log_softmax(logits.float(), -1)
    target, weight = batch["target"], batch["weight"]
    own = logp.gather(1, target[:, None])[:, 0]
    place = (target - corpus.FIRST_BIN) % BINS
    left = logp.gather(1, (target - (place > 0).long())[:, None])[:, 0]
    right = logp.gather(1, (target + (place < BINS - 1).long())[:, None].clamp(max=logp.shape[1] - 1))[:, 0]
    score = torch.where(batch["kind"] == COORDINATE, 0.8 * own + 0.1 * left + 0.1 * right, own)
    return -(score * weight).sum() / weight.sum()


class Optimiser:
    """float32 masters of bfloat16 weights: Muon for hidden matrices, AdamW for the rest."""

    def __init__(self, trainee: Trainee, lr: float) -> None:
        self.parameters = [p for p in trainee.parameters() if p.requires_grad]
        names = {id(p): n for n, p in trainee.named_parameters()}
        self.names = [names[id(p)] for p in self.parameters]
        self.masters = [p.detach().float().clone().requires_grad_() for p in self.parameters]
        hidden, rest = [], []
        for p, m in zip(self.parameters, self.masters, strict=True):
            name = names[id(p)]
            matrix = (p.ndim == 2 and ".layers." in name) or "modality_projection" in name
            (hidden if matrix else rest).append(m)
        self.muon = torch.optim.Muon(hidden, lr=lr, momentum=0.95, weight_decay=0.02, adjust_lr_fn="match_rms_adamw")
        self.adam = torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.98), weight_decay=0.0)
        self.flat = torch.zeros(sum(m.numel() for m in self.masters) + 1)

    def step(self, lr: float, share: int) -> float:
        """Sum gradients over the workers, clip, step; `share`: micro-batches that this worker did."""
        at = 0
        for p in self.parameters:
            n = p.numel()
            self.flat[at : at + n] = p.grad.float().reshape(-1) if p.grad is not None else 0.0
            p.grad = None
            at += n
        self.flat[-1] = share
        if dist.is_initialized():
            dist.all_reduce(self.flat)
        self.flat[:-1] /= self.flat[-1].clone()
        norm = self.flat[:-1].norm().item()
        scale = min(1.0, 2.0 / (norm + 1e-6))
        at = 0
        for m in self.masters:
            m.grad = (self.flat[at : at + m.numel()] * scale).view_as(m)
            at += m.numel()
        for optimiser in (self.muon, self.adam):
            for group in optimiser.param_groups:
                group["lr"] = lr
            optimiser.step()
        with torch.no_grad():
            for p, m in zip(self.parameters, self.masters, strict=True):
                p.copy_(m)
        return norm

    def state(self) -> dict[str, Any]:
        return {
            "masters": dict(zip(self.names, self.masters, strict=True)),
            "muon": self.muon.state_dict(),
            "adam": self.adam.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over masters by name; optimiser moments too when every shape is the same as when they were kept."""
        same = True
        with torch.no_grad():
            for name, m, p in zip(self.names, self.masters, self.parameters, strict=True):
                kept = state["masters"].get(name)
                if kept is None or kept.shape != m.shape:
                    same = False
                    continue
                m.copy_(kept)
                p.copy_(kept)
        if same:
            self.muon.load_state_dict(state["muon"])
            self.adam.load_state_dict(state["adam"])


@torch.no_grad()
def evaluate(trainee: Trainee, config: PretrainConfig, batches: int = 6) -> dict[str, float]:
    """Return accuracy by kind of question on fresh screens: coordinates within one bin count as right."""
    rng = random.Random(987_654 + config.seed)
    right: dict[str, list[float]] = defaultdict(list)
    for form in FORMS[:3]:
        length = config.frames_length if form.startswith("frames") else config.plain_length
        for _ in range(batches):
            batch = collate(
                [corpus.make_sequence(rng, length, form) for _ in range(config.micro)], length, config.shape.width
            )
            _, logits = trainee(batch, 0.0)
            guess = logits.float().argmax(-1)
            close = torch.where(
                batch["kind"] == COORDINATE, (guess - batch["target"]).abs() <= 1, guess == batch["target"]
            )
            for ok, tag, kind, slot in zip(
                close.tolist(), batch["tag"], batch["kind"].tolist(), batch["slot"], strict=True
            ):
                if kind == corpus.CONFIDENCE:
                    right["confidence"].append(ok)
                elif slot > 0 or tag == "describe":
                    right[tag or "other"].append(ok)
    return {k: round(float(np.mean(v)), 3) for k, v in sorted(right.items())}


def worker(rank: int, config: PretrainConfig, counter: Any) -> None:
    """One process of the training."""
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(29_500 + os.getppid() % 1000))
    if config.workers > 1:
        dist.init_process_group("gloo", rank=rank, world_size=config.workers)
    trainee = Trainee(config.shape, config.seed).to(torch.bfloat16)
    frozen = torch.zeros(len(VOCAB), 1, dtype=torch.bool)
    optimiser = Optimiser(trainee, config.lr)
    state: dict[str, Any] = {"stage": "dense", "step": 0, "minutes": 0.0, "sequences": 0}
    file = Path(config.work) / "state.pt"
    if config.resume and file.is_file():
        saved = torch.load(file, weights_only=True)
        optimiser.restore(saved["optimiser"])
        state = saved["state"]
    del frozen
    run = Run(rank, config, counter, trainee, optimiser, state)
    if state["stage"] == "dense":
        run.stage("dense", config.dense_minutes)
        state.update(stage="joint", step=0, minutes=0.0)
    run.stage("joint", config.joint_minutes)
    if rank == 0:
        run.keep()
        run.say("final " + json.dumps(evaluate(trainee, config, 24)))
        with torch.no_grad():
            for p, m in zip(optimiser.parameters, optimiser.masters, strict=True):
                p.data = m.detach().to(torch.bfloat16)
        save(trainee.model, config.shape, Path(config.out))
        card = {"held_out": held_out_hash(), "config": asdict(config), **state}
        (Path(config.work) / "pretrain.json").write_text(json.dumps(card, indent=1, default=str))


class Run:
    """A worker's view of the training."""

    def __init__(
        self,
        rank: int,
        config: PretrainConfig,
        counter: Any,
        trainee: Trainee,
        optimiser: Optimiser,
        state: dict[str, Any],
    ) -> None:
        self.rank, self.config, self.counter = rank, config, counter
        self.trainee, self.optimiser, self.state = trainee, optimiser, state
        self.rng = random.Random(f"{config.seed}-{rank}-{state['stage']}-{state['step']}")
        self.call: Any = torch.compile(trainee) if config.compile else trainee
        self.log: dict[str, list[float]] = defaultdict(list)

    def say(self, text: str) -> None:
        if self.rank == 0:
            s = self.state
            line = f"{s['stage']} {s['minutes']:.1f} min step {s['step']} seqs {s['sequences']} {text}"
            print(line, flush=True)
            with (Path(self.config.work) / "log.txt").open("a") as f:
                f.write(line + "\n")

    def keep(self) -> None:
        """Write the state for `resume`, aside first."""
        file = Path(self.config.work) / "state.pt"
        torch.save({"optimiser": self.optimiser.state(), "state": self.state}, file.with_suffix(".tmp"))
        os.replace(file.with_suffix(".tmp"), file)
        save(self.trainee.model, self.config.shape, Path(self.config.work) / "snapshot")

    def rate(self, stage: str, share: float) -> float:
        config = self.config
        peak = config.dense_lr if stage == "dense" else config.lr
        warm = min(1.0, (self.state["step"] + 1) / config.warmup)
        if stage == "dense":
            return peak * warm
        return peak * warm * min(1.0, max(0.02, (1.0 - share) / config.cooldown))

    def stage(self, name: str, minutes: float) -> None:
        """Train until the stage's minutes are used up (all workers agree through worker 0's clock)."""
        last = shown = kept = time.time()
        while self.state["minutes"] < minutes:
            share = self.state["minutes"] / minutes
            done = 0
            self.barrier_reset()
            while self.take():
                (self.dense_micro if name == "dense" else self.joint_micro)(share)
                done += 1
            norm = self.optimiser.step(self.rate(name, share), done)
            self.state["step"] += 1
            self.state["sequences"] += self.config.micros * (
                self.config.dense_batch // 6 if name == "dense" else self.config.micro
            )
            now = time.time()
            spent = torch.tensor([(now - last) / 60.0])
            if self.config.workers > 1:
                dist.broadcast(spent, 0)
            last = now
            self.state["minutes"] += spent.item()
            self.log["norm"].append(norm)
            if self.rank == 0 and now - shown > 20:
                self.say(" ".join(f"{k} {np.mean(v[-50:]):.3f}" for k, v in self.log.items()))
                shown = now
            if self.rank == 0 and now - kept > 60 * self.config.eval_every:
                kept = now
                if name == "joint":
                    self.say("eval " + json.dumps(evaluate(self.trainee, self.config)))
                self.keep()

    def barrier_reset(self) -> None:
        if self.config.workers > 1:
            dist.barrier()
        if self.rank == 0:
            self.counter.value = self.config.micros
        if self.config.workers > 1:
            dist.barrier()

    def take(self) -> bool:
        with self.counter.get_lock():
            self.counter.value -= 1
            return bool(self.counter.value >= 0)

    def dense_micro(self, share: float) -> None:
        frames, targets = [], []
        for _ in range(self.config.dense_batch // 6):
            scene = corpus.random_scene(self.rng)
            frames.append(corpus.draw(scene))
            targets.append(corpus.dense_targets(scene))
        features = self.trainee.see(torch.as_tensor(np.stack(frames)))
        loss, accuracy = self.trainee.dense_loss(features, torch.as_tensor(np.stack(targets)))
        loss.backward()
        self.log["dense"].append(loss.item())
        for key, value in zip(("kind", "colour", "shape", "label", "x", "y", "state"), accuracy, strict=True):
            self.log[key].append(value)

    def joint_micro(self, share: float) -> None:
        config = self.config
        form = "plain" if share < config.forms_from else self.rng.choices(FORMS, config.forms)[0]
        length = config.frames_length if form.startswith("frames") else config.plain_length
        sequences = [corpus.make_sequence(self.rng, length, form) for _ in range(config.micro)]
        batch = collate(sequences, length, config.shape.width)
        features, logits = self.call(batch, config.code_noise)
        loss = answer_loss(logits, batch)
        last = np.cumsum([len(s.frames) for s in sequences]) - 1
        targets = torch.as_tensor(np.stack([corpus.dense_targets(s.scene) for s in sequences if s.scene is not None]))
        dense, _ = self.trainee.dense_loss(features[torch.as_tensor(last)], targets)
        (loss + config.dense_weight * dense / len(corpus.DENSE_SIZES)).backward()
        self.log["loss"].append(loss.item())
        self.log["dense"].append(dense.item())


def main(config: PretrainConfig) -> None:
    """Check the held-out list, then train."""
    if held_out_hash() != HELD_OUT_HASH:
        raise SystemExit(
            f"the test apps have changed: their hash is {held_out_hash()}, planned for was {HELD_OUT_HASH}. "
            "A model trained now could not be compared; write the new hash here only together with a new checkpoint."
        )
    Path(config.work).mkdir(parents=True, exist_ok=True)
    counter = mp.get_context("spawn").Value("i", 0)
    if config.workers == 1:
        worker(0, config, counter)
    else:
        mp.start_processes(worker, (config, counter), nprocs=config.workers, start_method="spawn")


if __name__ == "__main__":
    from omegaconf import OmegaConf

    schema = OmegaConf.structured(PretrainConfig)
    main(OmegaConf.to_object(OmegaConf.merge(schema, OmegaConf.from_cli())))  # type: ignore[arg-type]
