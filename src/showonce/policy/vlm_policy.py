"""The policy: a frozen vision-language model with an adapter looks at a screen and answers with one action."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from showonce.about import shipped, shipped_names
from showonce.actions import COORDINATE_DECIMALS, Action
from showonce.config import Config, InferenceConfig, PolicyConfig
from showonce.errors import ConfigError, Unavailable, nearest
from showonce.inference import check_backend, make_engine
from showonce.inference.decode import Answer, Decoded, Rules, decode, decode_batch
from showonce.inference.engine import LocalEngine
from showonce.inference.grammar import Grammar
from showonce.inference.torch.adapter import Adapter
from showonce.inference.torch.backbone import Backbone
from showonce.inference.torch.engine import TorchEngine
from showonce.inference.torch.features import Features, Parts
from showonce.policy.confidence import Calibration, pieces_of, read_confidence
from showonce.policy.dialects.base import Dialect
from showonce.policy.families import family_of, make_family
from showonce.policy.families.base import Checkpoint, Family
from showonce.policy.prompt import Tokens, split_prefix
from showonce.policy.prompt import highlight as highlighted
from showonce.policy.spelling import Spelling, number_tokens
from showonce.protocols import CHAMPION, Context, Sampling, State
from showonce.types import Frame, Observation, Parsed, ParseFailure, ParseResult, Proposal

ACTING: Final = "acting"  # stands for the adapter that acts
_NARRATION_TOKENS: Final = 48
_NARRATIONS: Final = 4096
_SNAPSHOTS: Final = 8  # demonstrations whose keys and values are kept

Prompt = Sequence[int | Features]


class VLMPolicy:
    """Several adapters share one engine; `propose` uses the acting one (None = adapter off) unless told otherwise.

    calibration: maps a raw confidence to a calibrated one, set by whoever learns it; calibration_source: the reading
    that it was made for (token | stated). spelling: how actions become token ids and back.
    """

    def __init__(
        self,
        engine: LocalEngine,
        tokenizer: Any,
        family: Family,
        dialect: Dialect,
        *,
        wrap: tuple[list[int], list[int]],
        vocabulary: int,
        config: PolicyConfig | None = None,
        inference: InferenceConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.engine = engine
        self.tokenizer = tokenizer
        self.family = family
        self.dialect = dialect
        self.config = config or PolicyConfig()
        inference = inference or InferenceConfig()
        stops = frozenset(family.stop_ids(tokenizer))
        self._widest = replace(family.geometry(family.largest), seen=family.largest)  # one grammar for all frames
        grammar = Grammar(tokenizer, dialect.grammar(self._widest), stops, vocabulary) if inference.grammar else None
        bins = tuple(number_tokens(tokenizer, COORDINATE_DECIMALS))
        self.rules = Rules(tokenizer, stops, grammar, inference.max_new_tokens, bins)
        self.spelling = Spelling(self.rules, dialect)
        self.tokens = Tokens(tokenizer, wrap)
        self.calibration: Calibration | None = None
        self.calibration_source = "token"
        self.acting: str | None = None
        self._rng = np.random.default_rng(seed)
        self._snapshots: OrderedDict[tuple[Any, ...], State] = OrderedDict()
        self._narrations: OrderedDict[tuple[str, Action], str] = OrderedDict()

    @property
    def adapter(self) -> Adapter | None:
        """The adapter, None when the policy was made without one."""
        adapters = self.engine.adapters if isinstance(self.engine, TorchEngine) else None
        return adapters if isinstance(adapters, Adapter) else None

    @property
    def backbone(self) -> Backbone:
        """The frozen model.

        Raises:
            Unavailable: the engine runs no torch model.
        """
        tower = self._torch().tower
        assert isinstance(tower, Backbone)
        return tower

    @property
    def adapter_version(self) -> str:
        """The version of the adapter that acts; "base" when it is off."""
        with self.engine.using(self.acting):
            return self.engine.version

    @property
    def history_frames(self) -> int:
        """How many frames of earlier steps its prompts show."""
        return self.family.history_frames

    @property
    def cached_prefixes(self) -> int:
        """How many demonstrations' keys and values are kept."""
        return len(self._snapshots)

    def use(self, name: str | None) -> None:
        """Choose the adapter that acts; None = base.

        Raises:
            BadInput: no adapter of that name.
        """
        with self.engine.using(name):
            self.acting = name

    def propose(
        self,
        observation: Observation,
        context: Context,
        sampling: Sampling = "greedy",
        *,
        adapter: str | None = ACTING,
        temperature: float = 1.0,
        rng: np.random.Generator | None = None,
    ) -> Proposal:
        """Answer one screen. adapter=None is the frozen policy's (shadow) answer; features are shared by all.

        temperature and rng matter for sampling="sample" alone. A text that is no action is a Proposal with a failure.
        """
        begun = time.perf_counter()
        with self.engine.using(self.acting if adapter == ACTING else adapter):
            version = self.engine.version
            decoded = self._decode(self.parts(observation, context), temperature if sampling == "sample" else 0.0, rng)
        return self.proposal(self.spelling.marked(decoded), observation, version, (time.perf_counter() - begun) * 1e3)

    def proposal(self, decoded: Decoded, observation: Observation, version: str, model_ms: float) -> Proposal:
        """Return what a marked answer to a screen proposes, with its confidences. version: of the adapter in use."""
        answered = time.perf_counter()
        parsed = self.read(decoded, observation)
        stated = parsed.confidence if isinstance(parsed, Parsed) else None
        confidence = read_confidence(decoded, stated, self.calibration, self.calibration_source)
        timings = {"model": model_ms, "parse": (time.perf_counter() - answered) * 1e3}
        return Proposal(
            text=decoded.text,
            action=parsed.action if isinstance(parsed, Parsed) else None,
            failure=parsed if isinstance(parsed, ParseFailure) else None,
            confidence=confidence,
            token_ids=decoded.token_ids,
            logprobs_T=decoded.logprobs_T,
            decision_T=decoded.decision_T,
            timings=timings,
            adapter_version=version,
            thought=parsed.thought if isinstance(parsed, Parsed) else "",
        )

    def read(self, answer: Decoded, observation: Observation) -> ParseResult:
        """Return the action that an answer to this screen names, or why there is none."""
        return self.spelling.read(answer, self.family.geometry((observation.width, observation.height)))

    def parts(self, observation: Observation, context: Context, highlight: Action | None = None) -> Parts:
        """Return the prompt: the student's view when context.demonstration is None, else the teacher's.

        highlight: a verified action on this very screen, which a teacher is shown as a box when
        policy.teacher_context says so (highlight: instead of the demonstration, both: beside it).
        """
        if highlight is not None and self.config.teacher_context != "demonstration":
            observation = highlighted(observation, highlight)
            if self.config.teacher_context == "highlight":
                context = replace(context, demonstration=None)
        narrations: list[str] = []
        if context.demonstration is not None:
            if self.config.demonstration_window == "aligned":
                context = replace(context, demonstration=context.demonstration.excerpt(context.progress))
            assert context.demonstration is not None
            frames = [replace(f, action=self.spelling.snapped(f.action)) for f in context.demonstration.frames]
            narrations = [self._narration(frame) for frame in frames]
            context = replace(context, demonstration=replace(context.demonstration, frames=tuple(frames)))
        form = self.config.demonstration_form
        prompt = self.family.prompt(observation, context, narrations, form)
        return self.tokens.parts(prompt, self.engine.encode_many, 0 if form == "narrated" else len(narrations))

    def answer(self, action: Action, confidence: float = 1.0, screen: Observation | None = None) -> list[int]:
        """Return the token ids of an action on a screen as this model would say it. See `Spelling.ids`.

        Where coordinates are pixels the screen decides the numbers; without one they are pixels of the largest.
        """
        geometry = self._widest if screen is None else self.family.geometry((screen.width, screen.height))
        return self.spelling.ids(action, confidence, geometry)

    def goal_ids(self, goal: str) -> tuple[int, ...]:
        """Return the tokens of a goal, as spelt at the beginning of a text and after a blank, without special ones.

        A lesson on the goal may train their rows; it stays specific where these tokens belong to this goal alone.
        """
        goal = self.family.spelt(goal)
        ids = [*self.tokens.ids(goal), *self.tokens.ids(f" {goal}")]
        return tuple(dict.fromkeys(i for i in ids if i not in self.tokenizer.all_special_ids))

    def label(self, token_ids: Sequence[int]) -> Decoded:
        """Return given tokens as an answer with decision_T and confidence_T. See `Spelling.label`."""
        return self.spelling.label(token_ids)

    def answer_logits(
        self, prompts: Sequence[Prompt], answers: Sequence[Sequence[int]], adapter: str | None, grad: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return teacher-forced logits_BTV (float32) of each answer token and mask_BT (bool), right padded.

        With grad they can be differentiated by the tensors of `adapter` that are trainable. Without, prompts that begin
        with the same demonstration share its keys and values.

        Raises:
            Unavailable: the engine cannot train.
        """
        engine = self._torch()
        with engine.using(adapter):
            if grad:
                return engine.score(prompts, answers, grad=True)
            rows: list[torch.Tensor] = [torch.empty(0)] * len(prompts)
            for at, members in self._groups(prompts):
                state = self._snapshot(prompts[members[0]][:at]) if at else None
                logits_BTV, mask_BT = engine.score(
                    [prompts[i][at:] for i in members],
                    [answers[i] for i in members],
                    prefix=state,
                )
                for row, i in enumerate(members):
                    rows[i] = logits_BTV[row, : int(mask_BT[row].sum())]
        logits_BTV = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        lengths_B1 = torch.tensor([[len(a)] for a in answers], device=logits_BTV.device)
        return logits_BTV, torch.arange(logits_BTV.shape[1], device=logits_BTV.device) < lengths_B1

    def sample(
        self, prompts: Sequence[Prompt], temperature: float, rng: np.random.Generator, adapter: str | None
    ) -> list[Decoded]:
        """Draw one answer a prompt under the grammar (temperature 0 = greedy); they are never executed.

        Each row has its own random stream, seeded from `rng` in order, so no prompt's answer depends on the others.

        Raises:
            Unavailable: the engine cannot train.
        """
        engine = self._torch()
        seeds = rng.integers(2**63, size=len(prompts))
        out: list[Decoded | None] = [None] * len(prompts)
        with engine.using(adapter):
            for at, members in self._groups(prompts):
                state = self._snapshot(prompts[members[0]][:at]) if at else engine.start()
                answers = [Answer(self.rules, temperature, np.random.default_rng(seeds[i])) for i in members]
                rows = engine.rows(state, len(members))
                for i, decoded in zip(
                    members, decode_batch(rows, [prompts[i][at:] for i in members], self.rules, answers), strict=True
                ):
                    out[i] = self.spelling.marked(decoded)
        return [d for d in out if d is not None]

    def narrate(self, frame: Frame) -> str:
        """Return what the frozen model says a demonstrated step does; "" when its family cannot. Said once per step."""
        key = (frame.observation.hash, frame.action)
        if key not in self._narrations:
            prompt = self.family.describe(frame)
            text = ""
            if prompt is not None:
                rules = replace(self.rules, grammar=None, max_new_tokens=_NARRATION_TOKENS)
                with self.engine.using(None):
                    parts = self.tokens.parts(prompt, self.engine.encode_many)
                    said = decode(self.engine, self.engine.start(), parts, rules)
                words = pieces_of(self.tokenizer, said.token_ids, said.text)
                text = (" " if self.family.words_apart else "").join(w for w in words if w).strip()
            self._narrations[key] = text
            while len(self._narrations) > _NARRATIONS:
                self._narrations.popitem(last=False)
        return self._narrations[key]

    def _narration(self, frame: Frame) -> str:
        if self.config.narrate == "model":
            return self.narrate(frame) or frame.note
        return frame.note if self.config.narrate == "note" else ""

    def _decode(self, parts: Parts, temperature: float, rng: np.random.Generator | None) -> Decoded:
        at = split_prefix(parts)
        state = self._snapshot(parts[:at]) if at else self.engine.start()
        return decode(self.engine, state, parts[at:], self.rules, temperature, rng or self._rng)

    def _snapshot(self, parts: Prompt) -> State:
        """Return the state after `parts`, computed once per content of the adapter in use."""
        key = (self.engine.identity, *(p.key if isinstance(p, Features) else p for p in parts))
        state = self._snapshots.get(key)
        if state is None:
            state, _ = self.engine.extend(self.engine.start(), parts)
            self._snapshots[key] = state
            while len(self._snapshots) > _SNAPSHOTS:
                self._snapshots.popitem(last=False)
        self._snapshots.move_to_end(key)
        return state

    @staticmethod
    def _groups(prompts: Sequence[Prompt]) -> list[tuple[int, list[int]]]:
        """Return (length of the shared prefix, indices) of prompts that begin with the same demonstration."""
        groups: dict[tuple[Any, ...], tuple[int, list[int]]] = {}
        for i, prompt in enumerate(prompts):
            at = split_prefix(prompt)
            key = tuple(p.key if isinstance(p, Features) else p for p in prompt[:at])
            groups.setdefault(key, (at, []))[1].append(i)
        return list(groups.values())

    def _torch(self) -> TorchEngine:
        if not isinstance(self.engine, TorchEngine):
            raise Unavailable(f"the engine {self.engine.name!r} cannot train: set inference.backend=torch.")
        return self.engine


def load_policy(config: Config) -> VLMPolicy:
    """Load checkpoint, engine and a fresh adapter (config.adapter="none": without one) as the configuration says.

    The champion acts; filling the adapter from a store or a folder is the caller's. config.seed seeds LoRA's first
    values and the policy's own sampling.

    Raises:
        ConfigError: no such checkpoint, backend, family or dialect.
        Unavailable: a backend that is not in this release, or a device or dtype that is not on this machine.
    """
    check_backend(config.inference.backend)
    if config.inference.backend != "torch":
        raise Unavailable(f"inference.backend={config.inference.backend!r} runs no model: set inference.backend=torch.")
    if config.inference.threads > 0:
        torch.set_num_threads(config.inference.threads)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA's condition for it
        torch.use_deterministic_algorithms(True)
    folder = find_checkpoint(config.policy.checkpoint)
    checkpoint = Checkpoint.read(folder)
    kind = family_of(checkpoint, config.policy.family)
    backbone = Backbone.load(folder, config.inference.device, config.inference.dtype)
    family, dialect = make_family(kind, checkpoint, backbone.tokenizer, config.policy.dialect, config.policy.unit)
    adapter = None if config.adapter == "none" else Adapter(backbone, config.policy.adapter, config.seed)
    policy = VLMPolicy(
        make_engine(config.inference, backbone, adapter),
        backbone.tokenizer,
        family,
        dialect,
        wrap=family.image_wrap(backbone.tokenizer) or backbone.image_wrap(),
        vocabulary=backbone.vocabulary,
        config=config.policy,
        inference=config.inference,
        seed=config.seed,
    )
    if adapter is not None:
        policy.use(CHAMPION)
    return policy


def find_checkpoint(name: str) -> Path:
    """Return the folder of a checkpoint: a path that is there, else a shipped name.

    Raises:
        ConfigError: neither.
    """
    if Path(name).is_dir():
        return Path(name)
    if name in shipped_names("checkpoints"):
        return shipped("checkpoints", name)
    raise ConfigError(
        f"policy.checkpoint={name!r} is neither a folder nor shipped.{nearest(name, shipped_names('checkpoints'))} "
        "Give the path of a folder of Hugging Face files, which must be there: showonce downloads no weights by itself."
    )
