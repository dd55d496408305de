"""Many episodes, one decode: threads that each run an episode ask one policy, which answers all of them together.

A decoder of a small model spends most of its time on calling kernels, not in them: 32 answers in one batch cost little
more than a few. `BatchedPolicy` is a policy like any other, so the episodes still run through the one loop; its
threads wait for one another at every step.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np

from showonce.policy.vlm_policy import VLMPolicy
from showonce.protocols import Context, Parts, Policy, Sampling
from showonce.types import Observation, Proposal

WIDTH: Final = 32  # answers in one batch


@dataclass(frozen=True, eq=False)
class Question:
    """One screen to be answered, as `Policy.propose` is asked it."""

    observation: Observation
    context: Context
    sampling: Sampling = "greedy"

    @property
    def key(self) -> tuple[str, str, str, int]:
        """The sort key within a batch, so that the order of threads does not change the answers."""
        return self.sampling, self.observation.hash, self.context.goal, self.context.progress


Result = Proposal | Exception


def batchable(policy: Policy) -> VLMPolicy | None:
    """Return the policy where one decode of its engine answers many screens (`EngineCapabilities.rows`), else None."""
    return policy if isinstance(policy, VLMPolicy) and policy.engine.capabilities.rows else None


def propose_many(policy: VLMPolicy, questions: Sequence[Question], seed: int = 0) -> list[Result]:
    """Answer all questions with the adapter that acts, in one greedy decode (and one of draws, where sampling asks).

    Greedy answers are those of `policy.propose`, up to the rounding of batched sums. Draws are at temperature 1 and
    depend on `seed` and on the questions that are asked together, not on their order. Where a question cannot be
    answered, the exception is returned in place of a proposal.
    """
    results: list[Result] = [RuntimeError("not answered")] * len(questions)
    _encode(policy, questions)
    prompts: dict[int, Parts] = {}
    with policy.engine.using(policy.acting):
        for i in sorted(range(len(questions)), key=lambda i: questions[i].key):
            try:
                prompts[i] = policy.parts(questions[i].observation, questions[i].context)
            except Exception as error:
                results[i] = error
    for sampling in ("greedy", "sample"):
        members = [i for i in prompts if questions[i].sampling == sampling]
        if members:
            try:
                found: Sequence[Result] = _answer(policy, [questions[i] for i in members], prompts, members, seed)
            except Exception:
                found = [_alone(policy, questions[i], seed) for i in members]
            for i, result in zip(members, found, strict=True):
                results[i] = result
    return results


def _encode(policy: VLMPolicy, questions: Sequence[Question]) -> None:
    """Compute the features of all frames together; an error is left to `policy.parts`, which raises it by frame."""
    try:
        policy.engine.encode_many([q.observation for q in questions])
    except Exception:
        return


def _answer(
    policy: VLMPolicy, questions: Sequence[Question], prompts: dict[int, Parts], members: Sequence[int], seed: int
) -> list[Result]:
    begun = time.perf_counter()
    sampling = questions[0].sampling
    rng = np.random.default_rng([seed, zlib.crc32(repr([q.key for q in questions]).encode())])
    answers = policy.sample([prompts[i] for i in members], float(sampling == "sample"), rng, policy.acting)
    share_ms = (time.perf_counter() - begun) * 1e3 / len(members)
    version = policy.adapter_version
    return [policy.proposal(a, q.observation, version, share_ms) for a, q in zip(answers, questions, strict=True)]


def _alone(policy: VLMPolicy, question: Question, seed: int) -> Result:
    """Answer one question by itself, so that an error is raised in the thread that asked it."""
    try:
        rng = np.random.default_rng([seed, zlib.crc32(repr(question.key).encode())])
        return policy.propose(question.observation, question.context, question.sampling, rng=rng)
    except Exception as error:
        return error


class BatchedPolicy:
    """A policy for up to `width` threads at a time; each takes part within `member()`.

    A batch is answered as soon as as many have asked as take part (or `width`). The adapter that acts must not change
    while a thread takes part.
    """

    def __init__(self, policy: VLMPolicy, width: int = WIDTH, seed: int = 0) -> None:
        self._policy = policy
        self._width = max(1, width)
        self._seed = seed
        self._version = policy.adapter_version
        self._changed = threading.Condition()
        self._members = 0
        self._waiting: list[Question] = []
        self._results: dict[int, Result] = {}  # by id of the question
        self.batches = 0  # decodes so far

    @property
    def adapter_version(self) -> str:
        """The version of the adapter that acted when this was made."""
        return self._version

    @property
    def history_frames(self) -> int:
        """How many frames of earlier steps the policy's prompts show."""
        return self._policy.history_frames

    @contextmanager
    def member(self) -> Iterator[None]:
        """Take part: within this block other threads' questions wait for this thread's."""
        with self._changed:
            self._members += 1
        try:
            yield
        finally:
            with self._changed:
                self._members -= 1
                self._changed.notify()  # a waiting thread may now have the last missing question

    def propose(self, observation: Observation, context: Context, sampling: Sampling = "greedy") -> Proposal:
        """Answer one screen, together with those of the others.

        Raises:
            Exception: the one that this question raises when it is asked alone.
        """
        question = Question(observation, context, sampling)
        with self._changed:
            self._waiting.append(question)
            while id(question) not in self._results:
                if len(self._waiting) >= min(self._members, self._width):
                    self._flush()
                else:
                    self._changed.wait()
            result = self._results.pop(id(question))
        if isinstance(result, Exception):
            raise result
        return result

    def _flush(self) -> None:
        """Answer the first `width` questions. The lock is held: all other threads wait for these answers."""
        batch, self._waiting = self._waiting[: self._width], self._waiting[self._width :]
        results: list[Result]
        try:
            results = propose_many(self._policy, batch, self._seed)
        except Exception as error:  # every waiting thread gets it, else it would wait for ever
            results = [error] * len(batch)
        self._results.update(zip((id(q) for q in batch), results, strict=True))
        self.batches += 1
        self._changed.notify_all()
