"""The errors' exit codes and the hint that names the nearest valid choice."""

from __future__ import annotations

import pytest

from showonce import errors
from showonce.errors import nearest


@pytest.mark.parametrize(
    ("word", "choices", "hint"),
    [
        ("clikc", ("click", "scroll", "type"), " Did you mean 'click'?"),
        ("budget_rum", ("budget_run", "budget_task"), " Did you mean 'budget_run'?"),
        ("zzz", ("type", "click", "click"), " Valid choices: click, type."),
        ("zzz", (), ""),
    ],
)
def test_nearest(word: str, choices: tuple[str, ...], hint: str) -> None:
    assert nearest(word, choices) == hint


def test_every_error_is_one_of_ours_and_has_its_exit_code() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert all(issubclass(kind, errors.ShowonceError) for kind in kinds)
    codes = {kind.__name__: kind.exit_code for kind in kinds}
    assert codes["BadInput"] == codes["ConfigError"] == codes["StoreError"] == codes["CheckpointCorrupt"] == 2
    assert codes["Unavailable"] == codes["EnvironmentBroken"] == 3
    assert (codes["GoalMissed"], codes["Stopped"]) == (4, 130)
    assert set(codes.values()) == {2, 3, 4, 130}


def test_of_very_many_choices_only_the_nearest_is_named() -> None:
    assert nearest("xyz/bar", [f"app/dev/{n}" for n in range(170)]).startswith(" Did you mean 'app/dev/")


def test_every_kind_of_error_has_a_key_of_its_own_and_an_error_may_have_a_finer_one() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len({kind.key for kind in kinds}) == len(kinds)
    assert errors.ConfigError("no").key == "config"
    error = errors.ConfigError("no", key="config.unknown_key")
    assert (error.key, str(error)) == ("config.unknown_key", "no")
    assert errors.ConfigError.key == "config"
