"""How many answers a second one thread gives: one by one, and through the batched policy.

    python -m benchmarks.batched_policy              # under a minute; exit code 0 when the goal holds
    python -m benchmarks.batched_policy --checkpoint FOLDER

Greedy answers to fresh screens of one app, student and teacher view, on the CPU time of this process, so that other
load on the machine does not count. Both give the same answers. What batching saves is the cost of calling kernels: of
the time that is left, about half goes into matrix products at the processor's peak, so a smaller model gains more.
"""

from __future__ import annotations

import argparse
import sys
import time

import torch

from showonce.config import Config, PolicyConfig
from showonce.environments.registry import find_task, make_environment
from showonce.policy.batched import WIDTH, Question, propose_many
from showonce.policy.vlm_policy import VLMPolicy, load_policy
from showonce.protocols import Context
from showonce.runtime.recorder import shown_by_oracle
from showonce.types import Observation, Proposal

GOAL = 2.5  # times


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
    """Print the times and the verdict; return 0 when batching is as much quicker as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", default="tiny")
    parser.add_argument("--batches", type=int, default=4)
    given = parser.parse_args()
    torch.set_num_threads(1)
    policy = load_policy(Config(policy=PolicyConfig(checkpoint=given.checkpoint), adapter="none"))
    task = find_task("app/dev/single/0")
    shown = shown_by_oracle(make_environment("embedded"), task, 0)
    n = max(given.batches, 1) * WIDTH
    ratios, same = [], True
    for at, (view, demonstration) in enumerate((("student", None), ("teacher", shown))):
        context = Context(task.goal, demonstration=demonstration)
        sides = [screens(1000 * (3 * at + i), n) for i in range(2)]
        questions = [[Question(screen, context) for screen in side] for side in sides]
        batched(policy, [Question(screen, context) for screen in screens(1000 * (3 * at + 2), WIDTH)])  # warm up
        slow, texts = one_by_one(policy, questions[0])
        quick, _ = batched(policy, questions[1])
        _, again = batched(policy, questions[0])
        same &= texts == again
        ratios.append(slow / quick)
        print(f"{view}: {slow:.1f} ms one by one, {quick:.1f} ms in batches of {WIDTH}: {ratios[-1]:.1f} times as many")
    passed = same and min(ratios) >= GOAL
    print(f"{'PASS' if passed else 'FAIL'}: {min(ratios):.1f} times, goal >= {GOAL:g}; answers the same: {same}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
