"""How many answers a second one thread gives: one by one, and through the batched policy.

    python -m benchmarks.batched_policy              # under a minute
    python -m benchmarks.batched_policy --quick
    python -m benchmarks.batched_policy --checkpoint FOLDER

Greedy answers to fresh screens of one app, student and teacher view, in CPU time of this process, so that other load on
the machine does not count. The floor is the same policy asked one by one. Both must give the same answers. Batching
saves the cost of calling kernels; about half of the time that is left goes into matrix products, so a smaller model
gains more.
"""

from __future__ import annotations

import sys
import time
from typing import Final

import torch

from benchmarks.verdict import Row, finish, parser
from showonce.config import Config, PolicyConfig
from showonce.environments.registry import find_task, make_environment
from showonce.evaluation.goals import Goal
from showonce.policy.batched import WIDTH, Question, propose_many
from showonce.policy.vlm_policy import VLMPolicy, load_policy
from showonce.protocols import Context
from showonce.runtime.recorder import shown_by_oracle
from showonce.types import Observation, Proposal

GOAL: Final = Goal(">=", 2.5, ".1f", unit="x")
SAME: Final = Goal("=", 1.0)


def screens(first: int, n: int) -> list[Observation]:
    """Return the first screens of an app."""
    environment, task = make_environment("embedded"), find_task("app/dev/single/0")
    found = [environment.reset(task, seed) for seed in range(first, first + n)]
    environment.close()
    return found


def one_by_one(policy: VLMPolicy, questions: list[Question]) -> tuple[float, list[str]]:
    """Return the milliseconds of one answer, and the answers."""
    begun = time.process_time()
    found = [policy.propose(q.observation, q.context).text for q in questions]
    return (time.process_time() - begun) * 1e3 / len(questions), found


def batched(policy: VLMPolicy, questions: list[Question]) -> tuple[float, list[str]]:
    """Return the milliseconds of one answer in batches of WIDTH, and the answers."""
    begun, found = time.process_time(), []
    for at in range(0, len(questions), WIDTH):
        answers = propose_many(policy, questions[at : at + WIDTH])
        found += [a.text if isinstance(a, Proposal) else repr(a) for a in answers]
    return (time.process_time() - begun) * 1e3 / len(questions), found


def main() -> int:
    """Measure, print the rows and the verdict, and return the exit code."""
    arguments = parser(__doc__, quick="one batch instead of four")
    arguments.add_argument("--checkpoint", default="tiny")
    arguments.add_argument("--batches", type=int, default=4)
    given = arguments.parse_args()
    torch.set_num_threads(1)
    policy = load_policy(Config(policy=PolicyConfig(checkpoint=given.checkpoint), adapter="none"))
    task = find_task("app/dev/single/0")
    shown = shown_by_oracle(make_environment("embedded"), task, 0)
    n = (1 if given.quick else max(given.batches, 1)) * WIDTH
    rows, equal, asked = list[Row](), 0, 0
    for at, (view, demonstration) in enumerate((("student", None), ("teacher", shown))):
        context = Context(task.goal, demonstration=demonstration)
        sides = [screens(1000 * (3 * at + i), n) for i in range(2)]
        questions = [[Question(screen, context) for screen in side] for side in sides]
        batched(policy, [Question(screen, context) for screen in screens(1000 * (3 * at + 2), WIDTH)])  # warm up
        slow, texts = one_by_one(policy, questions[0])
        quick, _ = batched(policy, questions[1])
        _, again = batched(policy, questions[0])
        equal, asked = equal + sum(a == b for a, b in zip(texts, again, strict=True)), asked + n
        note = f"{slow:.1f} ms one by one, {quick:.1f} ms in batches of {WIDTH}"
        rows.append(Row(f"{view}: answers a second in batches / one by one", slow / quick, GOAL, "x", n, note=note))
    rows.append(Row("share of answers that are the same in batches", equal / asked, SAME, n=asked))
    return finish(rows, given)


if __name__ == "__main__":
    sys.exit(main())
