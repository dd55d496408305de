"""What a study is asked for is resolved and checked before anything is taught."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from showonce.app.study import Study, count_of, split_words, study_of, tasks_named, with_study
from showonce.config import Config
from showonce.errors import ShowonceError
from showonce.settings import load_config

LEARNER = """from dataclasses import dataclass
from showonce.config import number
from showonce.learning.methods.imitation import RFT

class Mine(RFT):
    @dataclass(frozen=True)
    class Options:
        order: float = number(0.5, 0, 10)
"""


def asked(*words: str, multirun: bool = False) -> tuple[Config, list[str]]:
    given, overrides = split_words(words, multirun)
    return with_study(load_config("compare", overrides), given), overrides


def study(*words: str, multirun: bool = False) -> Study:
    config, overrides = asked(*words, multirun=multirun)
    return study_of(config, [word.partition("=")[0] for word in overrides])


def names(made: Study) -> list[tuple[str, dict[str, object]]]:
    return [(arm.learner, dict(arm.settings)) for arm in made.arms]


def test_words_are_learners_tasks_seeds_and_a_product_of_settings() -> None:
    made = study(
        "learners=[sdft,rft]", "tasks=[app/dev/single/0-1,app/dev/multi/0]", "seeds=[0-1,7]",
        "set=learning.sdft.lr=[.01,.03]", "set=learning.gate.budget_run=5,6", "experiment.eval_screens=3",
    )  # fmt: skip
    assert [*made.tasks] == ["app/dev/single/0", "app/dev/single/1", "app/dev/multi/0"]
    assert made.seeds == (0, 1, 7) and len(made) == 2 * 4 * 3 * 3 == count_of(made.config)
    assert names(made)[1] == ("sdft", {"learning.sdft.lr": 0.01, "learning.gate.budget_run": 6})
    learning = made.arms[-1].config.learning
    assert (learning.learner, learning.sdft.lr, learning.gate.budget_run) == ("rft", 0.03, 6)
    assert [one[2] for one in made.lessons()][:24] == [0] * 24, "of one seed, all tasks and lines"


def test_hydras_multirun_gives_the_same_study() -> None:
    by_set = study("learners=[sdft,rft]", "seeds=0-1", "set=learning.sdft.lr=[.01,.03]", "task=app/dev/single/3")
    by_m = study(
        "learning.learner=sdft,rft", "seed=0,1", "learning.sdft.lr=.01,.03", "task=app/dev/single/3", multirun=True
    )
    assert [arm.key for arm in by_set.arms] == [arm.key for arm in by_m.arms]
    assert (by_set.tasks, by_set.seeds) == (by_m.tasks, by_m.seeds)
    assert by_set.config.compare == by_m.config.compare


def test_a_learner_has_one_line_for_values_that_it_does_not_read(elsewhere: Path) -> None:
    (elsewhere / "own_of_a_test.py").write_text(LEARNER)
    made = study(
        "learners=[frozen,sdft,own_of_a_test.py:Mine]", "set=learning.sdft.lr=[.01,.03]",
        "set=learning.options.order=[1,2]",
    )  # fmt: skip
    assert [learner for learner, _ in names(made)] == ["frozen", *["sdft"] * 2, *["own_of_a_test.py:Mine"] * 4]
    assert names(made)[0][1] == {} and names(made)[1][1] == {"learning.sdft.lr": 0.01}
    assert made.arms[-1].config.learning.options == {"order": 2} and not made.arms[1].config.learning.options
    before = made.arms[-1].key
    (elsewhere / "own_of_a_test.py").write_text(LEARNER + "\n")
    assert study("learners=[own_of_a_test.py:Mine]").arms[0].key.partition("#")[2] not in before


def test_sets_are_written_out() -> None:
    config, _ = asked("tasks=hard")
    assert len(tasks_named(config)) == 24 and all(name.startswith("hard/") for name in tasks_named(config))
    config, _ = asked("tasks=multi", "evaluation.apps=2")
    assert tasks_named(config) == ["app/dev/multi/0", "app/dev/multi/1"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["learners=[sdtf]"], "Did you mean 'sdft'?"),
        (["learners=[sdft,sdft]"], "sdft is named twice"),
        (["learners=[gone_of_a_test:Mine]"], "there is no module 'gone_of_a_test'"),
        (["learners=[broken_of_a_test.py:Mine]"], "broken_of_a_test.py:2"),
        (["learners=[sdft", "seeds=0"], "cannot be read"),
        (["seeds=2-0"], "ends before it begins"),
        (["seeds=0-99999"], "more than 10000"),
        (["seeds=a"], "whole numbers or a range"),
        (["seeds=0", "seed=1"], "given twice"),
        (["tasks=app/dev/single/0-99"], "has the numbers 0 to 15"),
        (["set=learning.sdft.lrr=[1,2]"], "Did you mean 'lr'?"),
        (["set=learning.sdft.lr=[.01,200]"], "must be a number in [0, 100]"),
        (["set=learning.sdft.lr=[a]"], "must be a number, not 'a'"),
        (["set=learning.sdft.lr=[.1,.1]"], "a value is there twice"),
        (["set=learning.sdft.lr=interval(0,1)"], "an interval has no list of values"),
        (["set=learning.sdft=[1]"], "is a section"),
        (["set=learning.learner=[rft]"], "write learners=[...] instead"),
        (["set=output.logs=[a,b]"], "no setting of a lesson"),
        (["set=evaluation.apps=[1,2]"], "no setting of a lesson"),
        (["learners=[frozen]", "set=learning.sdft.lr=[.1,.2]"], "no effect on these learners: nothing learns here"),
        (["learning.sdft.topk=4"], "learning.sdft.topk has no effect in `showonce compare`"),
        (["learners=[frozen]", "learning.gate.cooldown=1"], "nothing learns here"),
        (["learning.options.order=1"], "learning.options are those of a learner of one's own"),
        (["safety=step"], "compare acts without asking anybody"),
        (["demonstration=x"], "shows one task, and 5 are named"),
        (["experiment.episodes=3"], "its phases are those of `showonce run`"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_taught(words: list[str], told: str, elsewhere: Path) -> None:
    (elsewhere / "broken_of_a_test.py").write_text("a = 1\nb = a +\n")
    with pytest.raises(ShowonceError) as refusal:
        study(*words)
    assert told in str(refusal.value)


def test_a_file_may_hold_a_study(elsewhere: Path) -> None:
    (elsewhere / "mine.yaml").write_text(
        "defaults: [compare, _self_]\ncompare: {learners: [rft], tasks: [app/dev/single/1], seeds: [4],"
        " set: {learning.sdft.lr: [0.1, 0.2]}}\n"
    )
    made = study_of(with_study(load_config("mine.yaml"), {}))
    assert len(made) == 2 and made.seeds == (4,) and made.arms[1].settings == {"learning.sdft.lr": 0.2}
    assert study_of(replace(made.config)).arms == made.arms
