"""Train the tiny model from scratch on the embedded world and write checkpoints/tiny.

    python scripts/pretrain.py                          # the recipe in one run (the shipped checkpoint: see its card)
    python scripts/pretrain.py joint_minutes=2 out=logs/try    # a quick try; every field of PretrainConfig is a key
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
from collections import defaultdict, deque
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from omegaconf import OmegaConf
from rich.progress import Progress
from torch.multiprocessing.spawn import start_processes

import corpus
from page_corpus import Pages, page_sequence
from page_corpus import dense_targets as page_targets
from page_words import held_out_pages_hash
from showonce.environments.embedded.draw import draw
from showonce.environments.embedded.language import held_out_hash
from showonce.runtime.stop import end_with_parent
from tiny_model import Shape, save
from trainee import Trainee, answer_loss, collate, evaluate

HELD_OUT_HASH = "1abf941debcac64f29c70deabc918bcfa87e9ca04daddff41d6c372b3372e4da"
HELD_OUT_PAGES_HASH = "675ae76becf8eac4ea0f12833002ab6474167f711bde4d33d880c4c356c127e6"
DENSE_PARTS = 6  # micro-batches of a dense step
FORMS = ("plain", "narrated", "frames_narrated", "frames")


@dataclass
class PretrainConfig:
    """The recipe. Lengths are tokens; minutes are wall clock of this run and decide when a stage ends."""

    out: str = "checkpoints/tiny"
    work: str = "logs/pretrain"
    seed: int = 0
    workers: int = 2
    dense_minutes: float = 10.0
    joint_minutes: float = 150.0
    dense_batch: int = 96
    micro: int = 16
    micros: int = 6  # micro-batches per optimiser step
    dense_lr: float = 2e-3
    lr: float = 2e-3
    warmup: int = 60
    cooldown: float = 0.1  # share of the joint stage, at its end, in which the rate falls to zero
    plain_length: int = 192
    frames_length: int = 240
    forms: tuple[float, ...] = (0.38, 0.48, 0.14, 0.0)
    forms_from: float = 0.12  # demonstrations are switched on after this share of the joint stage
    pages: str = ""  # folders of rendered pages (scripts/pages.py), commas between; empty: the embedded world alone
    page_share: float = 0.5  # share of the joint stage's micro-batches that come from pages
    dense_micros: int = 0  # dense micro-batches added to a step of the joint stage: they are cheap and teach to read
    page_forms: tuple[float, ...] = (0.5, 0.0, 0.3, 0.2)
    dense_weight: float = 0.3
    code_noise: float = 0.02
    eval_every: float = 5.0  # minutes
    resume: bool = False
    shape: Shape = field(default_factory=Shape)


class Optimiser:
    """float32 masters of bfloat16 weights: Muon for hidden matrices, AdamW for the rest."""

    def __init__(self, trainee: Trainee, lr: float) -> None:
        self.parameters = [p for p in trainee.parameters() if p.requires_grad]
        names = {id(p): n for n, p in trainee.named_parameters()}
        self.names = [names[id(p)] for p in self.parameters]
        self.masters = [p.detach().float().clone().requires_grad_() for p in self.parameters]
        hidden: list[torch.Tensor] = []
        rest: list[torch.Tensor] = []
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
        norm = float(self.flat[:-1].norm())
        scale = min(1.0, 2.0 / (norm + 1e-6))
        at = 0
        for m in self.masters:
            m.grad = (self.flat[at : at + m.numel()] * scale).view_as(m)
            at += m.numel()
        for optimiser in (self.muon, self.adam):
            for group in optimiser.param_groups:
                group["lr"] = lr
            optimiser.step()  # type: ignore[no-untyped-call]
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
        """Copy masters by name; optimiser moments too, when every shape is the same as in the kept state."""
        same = True
        with torch.no_grad():
            for name, m, p in zip(self.names, self.masters, self.parameters, strict=True):
                kept = state["masters"].get(name)
                grown = "embed_tokens" in name or "lm_head" in name  # a vocabulary may have grown at its end
                fits = kept is not None and kept.shape[1:] == m.shape[1:] and len(kept) <= len(m)
                same = same and kept is not None and kept.shape == m.shape
                if not fits or (kept.shape != m.shape and not grown):
                    continue
                m[: len(kept)].copy_(kept)
                p.copy_(m)
        if same:
            self.muon.load_state_dict(state["muon"])
            self.adam.load_state_dict(state["adam"])


def worker(rank: int, config: PretrainConfig, counter: Any) -> None:
    """One process of the training."""
    torch.set_num_threads(1)
    end_with_parent()
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(29_500 + os.getppid() % 1000))
    if config.workers > 1:
        dist.init_process_group("gloo", rank=rank, world_size=config.workers)
    trainee = Trainee(config.shape, config.seed).to(torch.bfloat16)
    optimiser = Optimiser(trainee, config.lr)
    state: dict[str, Any] = {"stage": "dense", "step": 0, "minutes": 0.0, "sequences": 0}
    file = Path(config.work) / "state.pt"
    if config.resume and file.is_file():
        saved = torch.load(file, weights_only=True)
        optimiser.restore(saved["optimiser"])
        state = saved["state"]
    run = Run(rank, config, counter, trainee, optimiser, state)
    if state["stage"] == "dense":
        run.stage("dense", config.dense_minutes)
        state.update(stage="joint", step=0, minutes=0.0)
    run.stage("joint", config.joint_minutes)
    if rank == 0:
        run.keep()
        run.say("final " + json.dumps(run.scores(24)))
        with torch.no_grad():
            for p, m in zip(optimiser.parameters, optimiser.masters, strict=True):
                p.data = m.detach().to(torch.bfloat16)
        trainee.place_words()
        save(trainee.model, config.shape, Path(config.out))
        card = {"held_out": held_out_hash(), "config": asdict(config), **state}
        (Path(config.work) / "pretrain.json").write_text(json.dumps(card, indent=1, default=str))


class Run:
    """The training as one worker process does it."""

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
        self.log: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=50))
        self.pages = Pages(config.pages) if config.pages else None
        self.fresh_pages = Pages(config.pages, "eval") if config.pages and rank == 0 else None

    def say(self, text: str) -> None:
        if self.rank == 0:
            s = self.state
            line = f"{s['stage']} {s['minutes']:.1f} min step {s['step']} seqs {s['sequences']} {text}"
            print(line, flush=True)
            with (Path(self.config.work) / "log.txt").open("a") as f:
                f.write(line + "\n")

    def keep(self) -> None:
        """Write the state for `resume`, to a temporary file that then replaces the old one."""
        file = Path(self.config.work) / "state.pt"
        torch.save({"optimiser": self.optimiser.state(), "state": self.state}, file.with_suffix(".tmp"))
        os.replace(file.with_suffix(".tmp"), file)
        self.trainee.place_words()
        save(self.trainee.model, self.config.shape, Path(self.config.work) / "snapshot")

    def rate(self, stage: str, share: float) -> float:
        config = self.config
        peak = config.dense_lr if stage == "dense" else config.lr
        warm = min(1.0, (int(self.state["step"]) + 1) / config.warmup)
        if stage == "dense":
            return peak * warm
        return peak * warm * min(1.0, max(0.02, (1.0 - share) / config.cooldown))

    def stage(self, name: str, minutes: float) -> None:
        """Train until the stage's minutes are used up (all workers agree through worker 0's clock)."""
        self.last = self.shown = self.kept = time.time()
        with Progress(disable=self.rank != 0) as progress:
            bar = progress.add_task(name, total=minutes)
            while self.state["minutes"] < minutes:
                self.one_step(name, self.state["minutes"] / minutes)
                progress.update(bar, completed=self.state["minutes"])

    def one_step(self, name: str, share: float) -> None:
        """Take micro-batches from the shared counter until none is left, then step together; log and save at times."""
        done = 0
        self.barrier_reset(name)
        while (number := self.take()) >= 0:
            if name == "dense":
                self.dense_micro(1.0)
            elif number >= self.config.micros:
                self.dense_micro(self.config.dense_weight)
            else:
                self.joint_micro(share)
            done += 1
        self.log["norm"].append(self.optimiser.step(self.rate(name, share), done))
        size = self.config.dense_batch // DENSE_PARTS if name == "dense" else self.config.micro
        self.state["step"] += 1
        self.state["sequences"] += self.config.micros * size
        now = time.time()
        spent = torch.tensor([(now - self.last) / 60.0])
        if self.config.workers > 1:
            dist.broadcast(spent, 0)
        self.last = now
        self.state["minutes"] += spent.item()
        if self.rank == 0 and now - self.shown > 20:
            self.say(" ".join(f"{k} {np.mean(v):.3f}" for k, v in self.log.items()))
            self.shown = now
        if self.rank == 0 and now - self.kept > 60 * self.config.eval_every:
            self.kept = now
            if name == "joint":
                self.say("eval " + json.dumps(self.scores()))
            self.keep()

    def scores(self, batches: int = 6) -> dict[str, float]:
        """Return token accuracy by kind of question on fresh screens."""
        plain, frames = self.config.plain_length, self.config.frames_length
        lengths = {"plain": plain, "narrated": plain, "frames_narrated": frames}
        micro, seed = self.config.micro, self.config.seed
        found = evaluate(self.trainee, lengths, seed, corpus.make_sequence, batches, micro)
        if self.fresh_pages is not None:
            del lengths["narrated"]
            lengths["frames"] = frames
            found |= evaluate(self.trainee, lengths, seed, partial(page_sequence, self.fresh_pages), batches, micro)
        return found

    def barrier_reset(self, stage: str) -> None:
        if self.config.workers > 1:
            dist.barrier()
        if self.rank == 0:
            self.counter.value = self.config.micros + (self.config.dense_micros if stage == "joint" else 0)
        if self.config.workers > 1:
            dist.barrier()

    def take(self) -> int:
        """Return the number of the micro-batch to do, below 0 when none is left."""
        with self.counter.get_lock():
            self.counter.value -= 1
            return int(self.counter.value)

    def dense_micro(self, weight: float) -> None:
        frames, targets = [], []
        for _ in range(self.config.dense_batch // DENSE_PARTS):
            if self.pages is not None and self.rng.random() < self.config.page_share:
                view = self.pages.look(self.pages.draw(self.rng), self.rng)
                frames.append(view.frame)
                targets.append(page_targets(view.things))
                continue
            scene = corpus.random_scene(self.rng)
            frames.append(draw(scene))
            targets.append(corpus.dense_targets(scene))
        features = self.trainee.see(torch.as_tensor(np.stack(frames)))
        loss, accuracy = self.trainee.dense_loss(features, torch.as_tensor(np.stack(targets)))
        (weight * loss).backward()
        self.log["seen"].append(loss.item())
        for key, value in zip(("kind", "colour", "shape", "label", "x", "y", "state"), accuracy, strict=True):
            self.log[key].append(value)

    def joint_micro(self, share: float) -> None:
        config = self.config
        pages = self.pages if self.pages is not None and self.rng.random() < config.page_share else None
        forms = config.forms if pages is None else config.page_forms
        form = "plain" if share < config.forms_from else self.rng.choices(FORMS, forms)[0]
        length = config.frames_length if form.startswith("frames") else config.plain_length
        sequences = [
            page_sequence(pages, self.rng, length, form)
            if pages is not None
            else corpus.make_sequence(self.rng, length, form)
            for _ in range(config.micro)
        ]
        batch = collate(sequences, length, config.shape.width)
        features, logits = self.trainee(batch, config.code_noise)
        loss = answer_loss(logits, batch)
        last = np.cumsum([len(s.frames) for s in sequences]) - 1
        targets = torch.as_tensor(np.stack([s.dense for s in sequences if s.dense is not None]))
        dense, _ = self.trainee.dense_loss(features[torch.as_tensor(last)], targets)
        (loss + config.dense_weight * dense / len(corpus.DENSE_SIZES)).backward()
        kind = "" if pages is None else "page_"
        self.log[f"{kind}loss"].append(loss.item())
        self.log[f"{kind}dense"].append(dense.item())


def main(config: PretrainConfig) -> None:
    """Check the held-out list, then train."""
    if held_out_hash() != HELD_OUT_HASH:
        raise SystemExit(
            f"the test apps have changed: their hash is {held_out_hash()}, planned for was {HELD_OUT_HASH}. "
            "A model trained now could not be compared; write the new hash here only together with a new checkpoint."
        )
    if config.pages and held_out_pages_hash() != HELD_OUT_PAGES_HASH:
        raise SystemExit(
            f"the held-out MiniWoB++ tasks have changed: their hash is {held_out_pages_hash()}, planned for was "
            f"{HELD_OUT_PAGES_HASH}. Write the new one here only together with a new checkpoint."
        )
    Path(config.work).mkdir(parents=True, exist_ok=True)
    counter = mp.get_context("spawn").Value("i", 0)
    if config.workers == 1:
        worker(0, config, counter)
    else:
        start_processes(worker, (config, counter), nprocs=config.workers, start_method="spawn")


if __name__ == "__main__":
    from hydra import compose, initialize
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="pretrain", node=PretrainConfig)
    with initialize(version_base=None, config_path=None):
        main(OmegaConf.to_object(compose("pretrain", overrides=sys.argv[1:])))  # type: ignore[arg-type]
