"""The policy: a vision-language model looks at a screen and answers with one action."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

import numpy as np

from showonce.about import shipped, shipped_names
from showonce.actions import COORDINATE_DECIMALS, Action
from showonce.config import Config, InferenceConfig, PolicyConfig
from showonce.errors import ConfigError, Unavailable, nearest
from showonce.inference import check_backend, load_engine
from showonce.inference.decode import Decoded, GrowingAnswer, Rules, decode, decode_batch
from showonce.inference.grammar import Grammar
from showonce.inference.prefixes import Prefixes, prefix_length
from showonce.policy.confidence import CalibrationMap, pieces_of, read_confidence
from showonce.policy.dialects.base import Dialect, Geometry
from showonce.policy.families import family_of, make_family
from showonce.policy.families.base import Checkpoint, Family
from showonce.policy.prompt import Tokens
from showonce.policy.prompt import highlight as highlighted
from showonce.policy.spelling import Spelling, number_tokens
from showonce.protocols import ACTING, CHAMPION, AdapterSets, Context, Engine, Features, Parts, Policy, Sampling
from showonce.types import Frame, Observation, Parsed, ParseFailure, ParseResult, Proposal

_NARRATION_TOKENS: Final = 48
_NARRATIONS: Final = 4096
_NOMINAL: Final = (1000, 1000)  # pixels; stands for the screen where none is given

Prompt = Sequence[int | Features]


class VLMPolicy:
    """A prompt family and a dialect over one engine.

    acting: the set of the adapter that `propose` uses unless it is given another, None = adapter off. calibration: maps
    a raw confidence to a calibrated one, set by learning; calibration_source: the reading that it was made for
    (token | stated). spelling: how actions become token ids and back. prefixes: keys and values of demonstrations.
    """

    def __init__(
        self,
        engine: Engine,
        family: Family,
        dialect: Dialect,
        *,
        config: PolicyConfig | None = None,
        inference: InferenceConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.engine = engine
        self.tokenizer = tokenizer = engine.tokenizer
        self.family = family
        self.dialect = dialect
        self.config = config or PolicyConfig()
        inference = inference or InferenceConfig()
        stops = frozenset(family.stop_ids(tokenizer))
        lark = dialect.grammar(family.geometry(_NOMINAL))
        grammar = Grammar(tokenizer, lark, stops, engine.vocabulary) if inference.grammar else None
        bins = tuple(number_tokens(tokenizer, COORDINATE_DECIMALS))
        self.rules = Rules(tokenizer, stops, grammar, inference.max_new_tokens, bins)
        self._unit = family.geometry(_NOMINAL).unit
        self.spelling = Spelling(self.rules, dialect)
        self.tokens = Tokens(tokenizer, family.image_wrap(tokenizer) or engine.image_wrap())
        self.prefixes = Prefixes(engine)
        self.calibration: CalibrationMap | None = None
        self.calibration_source = "token"
        self.acting: str | None = None
        self.prompts = 0  # made so far: what a lesson cost the model
        self._rng = np.random.default_rng(seed)
        self._narrations: OrderedDict[tuple[str, Action], str] = OrderedDict()

    @property
    def adapter(self) -> AdapterSets | None:
        """The adapter's sets of tensors; None where nothing can be trained."""
        return self.engine.adapter

    @property
    def adapter_version(self) -> str:
        """The version of the adapter that acts; "base" when it is off."""
        with self.engine.using(self.acting):
            return self.engine.version

    @property
    def history_frames(self) -> int:
        """How many frames of earlier steps its prompts show."""
        return self.family.history_frames

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
        """Return a marked answer as a Proposal, parsed and with confidences. version: of the adapter in use."""
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
        return self.spelling.read(answer, self._geometry(observation))

    def parts(self, observation: Observation, context: Context, highlight: Action | None = None) -> Parts:
        """Return the prompt: the student's view when context.demonstration is None, else the teacher's.

        highlight: a verified action on this very screen, which a teacher is shown as a box when
        policy.teacher_context says so (highlight: instead of the demonstration, both: beside it).
        """
        self.prompts += 1
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
        """Return the token ids of an action on a screen in this model's spelling. See `Spelling.ids`.

        Where coordinates are pixels, the screen's size decides the numbers; None = a screen of 1000 x 1000.
        """
        return self.spelling.ids(action, confidence, self._geometry(screen))

    def goal_ids(self, goal: str) -> tuple[int, ...]:
        """Return the tokens of a goal, as spelt at the beginning of a text and after a blank, without special ones.

        A lesson on the goal may train their rows; it stays specific where these tokens belong to this goal alone.
        """
        goal = self.family.spelt(goal)
        ids = [*self.tokens.ids(goal), *self.tokens.ids(f" {goal}")]
        return tuple(dict.fromkeys(i for i in ids if i not in self.tokenizer.all_special_ids))

    def label(self, token_ids: Sequence[int], screen: Observation | None = None) -> Decoded:
        """Return given tokens as an answer to a screen with decision_T and confidence_T. See `answer`."""
        return self.spelling.label(token_ids, self._geometry(screen))

    def label_action(self, action: Action, screen: Observation) -> Decoded:
        """Return an action on a screen as the answer that names it, with confidence 1."""
        return self.label(self.answer(action, screen=screen), screen)

    def sample(
        self, prompts: Sequence[Prompt], temperature: float, rng: np.random.Generator, adapter: str | None
    ) -> list[Decoded]:
        """Draw one answer a prompt under the grammar (temperature 0 = greedy); nothing is executed.

        Each row has its own random stream, seeded from `rng` in order, so no prompt's answer depends on the others.
        """
        seeds = rng.integers(2**63, size=len(prompts))
        out: list[Decoded | None] = [None] * len(prompts)
        with self.engine.using(adapter):
            for state, members, rests in self.prefixes.grouped(prompts):
                rngs = [np.random.default_rng(seeds[i]) for i in members]
                rules = [self._rules_after(prompts[i]) for i in members]
                if self.engine.capabilities.rows:
                    answers = [GrowingAnswer(own, temperature, rng) for own, rng in zip(rules, rngs, strict=True)]
                    found = decode_batch(self.engine.rows(state, len(members)), rests, self.rules, answers)
                else:
                    found = [
                        decode(self.engine, state, rest, own, temperature, rng)
                        for rest, own, rng in zip(rests, rules, rngs, strict=True)
                    ]
                for i, decoded in zip(members, found, strict=True):
                    out[i] = self.spelling.marked(decoded)
        return [d for d in out if d is not None]

    def narrate(self, frame: Frame) -> str:
        """Return the frozen model's description of a demonstrated step (cached), "" when its family has none."""
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
        at, rules = prefix_length(parts), self._rules_after(parts)
        return decode(self.engine, self.prefixes.state(parts[:at]), parts[at:], rules, temperature, rng or self._rng)

    def _rules_after(self, prompt: Prompt) -> Rules:
        """Return the rules of an answer to a prompt: pixels end where the image of its last frame does."""
        seen = next((part.seen for part in reversed(prompt) if not isinstance(part, int)), _NOMINAL)
        return self.spelling.rules(Geometry(self._unit, seen=seen))

    def _geometry(self, screen: Observation | None) -> Geometry:
        return self.family.geometry((screen.width, screen.height) if screen else _NOMINAL)


def local_policy(policy: Policy, instead: str) -> VLMPolicy:
    """Return the same policy as one whose model runs in this process, which learning needs.

    instead: the setting that does without it, for the error ("learning=frozen").

    Raises:
        Unavailable: its model runs elsewhere.
    """
    if not hasattr(policy, "engine"):
        raise Unavailable(
            f"a {type(policy).__name__} runs no model in this process: set {instead}, or inference.backend=torch."
        )
    return cast(VLMPolicy, policy)


def load_policy(config: Config) -> VLMPolicy:
    """Load engine, prompt family and a fresh adapter (config.adapter="none": without one) as the configuration says.

    The champion acts; filling the adapter from a store or a folder is the caller's. config.seed seeds LoRA's first
    values and the policy's own sampling. Settings of the process (threads, deterministic kernels) are left alone; see
    `inference.process.set_process`.

    Example:
        >>> from showonce import load_config, make_environment
        >>> from showonce.environments.registry import find_task
        >>> from showonce.protocols import Context
        >>> screen = make_environment("embedded").reset(find_task("skill/click_icon"), seed=1)
        >>> load_policy(load_config("run")).propose(screen, Context("click red circle")).action.verb
        'click'

    Raises:
        ConfigError: no such checkpoint, backend, family or dialect.
        Unavailable: a backend that is not in this release, or a device or dtype that is not on this machine.
    """
    check_backend(config.inference.backend)
    folder = find_checkpoint(config.policy.checkpoint)
    checkpoint = Checkpoint.read(folder)
    kind = family_of(checkpoint, config.policy.family)
    adapter = None if config.adapter == "none" else config.policy.adapter
    engine = load_engine(folder, config.inference, adapter, config.seed)
    family, dialect = make_family(kind, checkpoint, engine.tokenizer, config.policy.dialect, config.policy.unit)
    policy = VLMPolicy(engine, family, dialect, config=config.policy, inference=config.inference, seed=config.seed)
    if engine.adapter is not None:
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
