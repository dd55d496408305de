"""A study gives what its lessons give one by one; it goes on where it was stopped, and may grow."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.app.conftest import MakeConfig
from tests.app.test_teach import quick

from showonce import teach
from showonce.app.compare import Compared, compare, unfinished
from showonce.app.study import Study, study_of, with_study
from showonce.config import Config
from showonce.errors import BadInput, StoreLocked
from showonce.runs.index import read_index
from showonce.versions.lock import StoreLock

TASKS = ("app/dev/single/0", "app/dev/single/1")


def study(config: Config, learners: tuple[str, ...] = ("sft_demo", "frozen"), seeds: tuple[int, ...] = (0,)) -> Study:
    return study_of(with_study(config, {"learners": learners, "tasks": TASKS, "seeds": seeds}))


@pytest.fixture
def config(make: MakeConfig) -> Config:
    made = quick(make(run_dir="logs/study", workers=0), episodes=1)
    return replace(made, learning=replace(made.learning, gate=replace(made.learning.gate, budget_run=1)))


def found(compared: Compared) -> list[tuple[object, ...]]:
    return [(one.line, one.task, one.seed, one.success, one.n, one.updates, one.prompts) for one in compared.lessons]


def test_two_processes_give_what_one_gives_and_what_teach_gives(config: Config) -> None:
    one = compare(study(config))
    assert [line.lessons for line in one.lines] == [2, 2] and one.lines[0].difference is None
    assert one.lines[1].difference is not None and not one.errors and not one.stopped
    two = compare(study(replace(config, run_dir="logs/again", workers=2)))
    assert found(one) == found(two)
    versions = {}
    for line in (one.folder / "jobs.jsonl").read_text().splitlines():
        record = json.loads(line)
        versions[record["key"]] = record["numbers"]["version"]
    taught = teach(config, TASKS[1], screens=2)
    assert versions[f"sft_demo|{TASKS[1]}|0"] == taught.version != "base" == versions[f"frozen|{TASKS[1]}|0"]
    assert taught.after is not None and taught.after.success == one.lessons[2].success and taught.prompts > 0
    assert {file.name for file in one.folder.iterdir()} >= {
        "comparison.csv", "comparison.json", "comparison.md", "comparison.png", "lessons.csv", "config.yaml",
    }  # fmt: skip
    rows = list(csv.DictReader((one.folder / "lessons.csv").read_text().splitlines()))
    assert [row["learner"] for row in rows] == ["sft_demo", "frozen"] * 2
    assert (one.folder / "comparison.png").read_bytes()[:4] == b"\x89PNG"


@contextmanager
def interrupted(title: str, total: int) -> Iterator[object]:
    """A progress bar under which Ctrl-C is pressed when the first lesson is done."""

    def advance(n: int) -> None:
        if n:
            raise KeyboardInterrupt

    yield advance


def test_a_study_goes_on_and_may_grow(config: Config) -> None:
    with pytest.raises(KeyboardInterrupt):
        compare(study(config, ("frozen",)), interrupted)  # type: ignore[arg-type]
    folder = Path("logs/study")
    first = (folder / "jobs.jsonl").read_text()
    assert len(first.splitlines()) == 1
    with open(folder / "jobs.jsonl", "a") as file:
        file.write('{"key": "frozen|app/dev/single/1|0", "sec')  # as a kill in the middle of a line leaves it
    (record,) = read_index("logs")
    assert (record.kind, record.learner, record.status) == ("compare", "frozen", "failed")
    anywhere = replace(study(config, ("frozen",)).config, run_dir="")
    assert unfinished(anywhere) == folder and unfinished(replace(anywhere, deterministic=True)) is None
    whole = compare(study(config, ("frozen",)))
    text = (folder / "jobs.jsonl").read_text()
    assert text.startswith(first) and [line.lessons for line in whole.lines] == [2]
    assert unfinished(anywhere) is None
    grown = compare(study(config, ("frozen", "in_context")))
    assert [line.lessons for line in grown.lines] == [2, 2]
    assert (folder / "jobs.jsonl").read_text().startswith(text)
    with pytest.raises(BadInput, match=r"begun under other settings \(experiment\)"):
        compare(study(replace(config, experiment=replace(config.experiment, eval_screens=9))))
    with StoreLock(folder), pytest.raises(StoreLocked):
        compare(study(config, ("frozen",)))


def test_a_lesson_that_fails_is_told_and_taught_again(config: Config) -> None:
    Path("failing_of_a_test.py").write_text(
        "from showonce.learning.methods.imitation import SFTDemonstration\n"
        "class Mine(SFTDemonstration):\n"
        "    def loss(self, batch):\n"
        "        raise ValueError('on purpose')\n"
    )
    wrong = compare(study(config, ("frozen", "failing_of_a_test.py:Mine")))
    assert [one.success is None for one in wrong.lessons] == [False, True] * 2
    assert "failing_of_a_test.py:4" in wrong.errors[0].error and wrong.lines[1].failed == 2
    assert read_index("logs")[0].status == "failed"
