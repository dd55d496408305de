"""Secrets typed for their words: where they belong, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from tests.fakes import Board, board_task

from showonce.actions import Action, Open, Type
from showonce.environments.contract import Presses
from showonce.environments.wrappers.secret import ANYWHERE, Need, WithSecrets, bind, needs_of, sources_for
from showonce.errors import BadInput, ConfigError, EnvironmentBroken
from showonce.protocols import Interrupt
from showonce.secrets import KNOWN, NOWHERE, VARIABLE, Places
from showonce.types import Executed, Field, Proposal, Region, Step

HOME = "https://bank.example"
VALUE = "hunter2-wz"


class Form(Board):
    """A board with one field for a secret in its lower right corner. It says what was typed in its text."""

    focus = Field("PIN", HOME, True)
    fails: Exception | None = None

    def focused_field(self, secrets: Places = NOWHERE) -> Field:
        return self.focus

    def secret_regions(self, secrets: Places = NOWHERE) -> Sequence[Region]:
        return ((0.75, 0.75, 1.0, 1.0),)

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        if self.fails is not None:
            raise self.fails
        return super().execute(action, interrupt)


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Form:
    monkeypatch.setenv("BANK_PIN", VALUE)
    form = Form()
    form.reset(board_task(), 1)
    return form


def wrapped(board: Board, bound: dict[str, list[str]] | None = None, wider: tuple[str, ...] = ()) -> WithSecrets:
    return WithSecrets(board, {"pin": "env:BANK_PIN"}, {"pin": [HOME]} if bound is None else bound, wider)


def test_a_secret_is_typed_for_its_word_where_it_belongs(board: Form) -> None:
    done = wrapped(board).execute(Type("<secret:pin>"), Presses())
    assert board.done == [Type(VALUE)]
    assert done == Executed(Type("<secret:pin>"), "typed a secret", origin=HOME) and VALUE not in str(done)
    assert wrapped(board).execute(Type("plain"), Presses()).action == Type("plain")


@pytest.mark.parametrize(
    ("origin", "bound", "wider"),
    [
        ("https://bank.example:8443", [HOME], ("https://bank.example:8443",)),
        ("https://login.bank.example", [HOME], ("pin@https://*.bank.example",)),
        ("http://[::1]:8080", ["http://[::1]:8080"], ()),
        ("https://elsewhere.example", [ANYWHERE], ()),
        ("null", [], ("null",)),
    ],
)
def test_it_is_typed_where_it_was_recorded_or_where_a_setting_says(
    board: Form, origin: str, bound: list[str], wider: tuple[str, ...]
) -> None:
    board.focus = Field("PIN", origin, True)
    wrapped(board, {"pin": bound}, wider).execute(Type("<secret:pin>"), Presses())
    assert board.done == [Type(VALUE)]


@pytest.mark.parametrize(
    ("focus", "bound", "wider", "why"),
    [
        (Field("PIN", "http://bank.example", True), [HOME], (), "bound to https://bank.example"),
        (Field("PIN", "https://bank.example:444", True), [HOME], (), "not typed into https://bank.example:444"),
        (Field("PIN", "https://bank.example.evil", True), [HOME], ("https://*.bank.example",), "not typed into"),
        (Field("PIN", HOME, True), [], (), "nothing says where it belongs"),
        (Field("PIN", HOME, True), [], ("other@https://*",), "nothing says where it belongs"),
        (Field("PIN", "null", True), ["null"], (), "not typed into null"),
        (Field("Search", HOME, False), [HOME], (), "'Search' is not a field for a secret"),
        (Field("Search", "https://x.example", None), [ANYWHERE], (), "not typed into"),
        (Field("", "", False), [HOME], ("*",), "what has the focus is not a field for a secret"),
    ],
)
def test_elsewhere_it_is_refused_with_the_reason(
    board: Form, focus: Field, bound: list[str], wider: tuple[str, ...], why: str
) -> None:
    board.focus = focus
    with pytest.raises(BadInput, match=why) as caught:
        wrapped(board, {"pin": bound}, wider).execute(Type("<secret:pin>"), Presses())
    assert board.done == [] and VALUE not in str(caught.value)


@pytest.mark.parametrize(
    "action", [Type("<secret:other>"), Type("my <secret:pin>"), Type("<secret>"), Open("https://x/<secret:pin>")]
)
def test_a_word_is_never_typed_as_it_stands(board: Form, action: Action) -> None:
    with pytest.raises(BadInput, match="secret"):
        wrapped(board, {"pin": [HOME], "other": [HOME], "": [ANYWHERE]}).execute(action, Presses())
    with pytest.raises(BadInput, match="cannot tell which field"):
        WithSecrets(Board(), {}, {}).execute(Type("<secret:pin>"), Presses())
    assert board.done == []


@pytest.mark.parametrize("error", [BadInput, EnvironmentBroken])
def test_errors_do_not_quote_it(board: Form, error: type[Exception]) -> None:
    board.fails = error(f"cannot type {VALUE!r}")
    with pytest.raises(error) as caught:
        wrapped(board).execute(Type("<secret:pin>"), Presses())
    assert VALUE not in str(caught.value) and caught.value.__cause__ is None


def test_frames_hide_fields_and_text_once_there_are_secrets(board: Form) -> None:
    plain = WithSecrets(board, {}, {})
    board.execute(Type(VALUE), Presses())
    assert plain.observe().image[-2:, -2:].any() and VALUE in (plain.observe().text or "")
    world = wrapped(board)
    world.execute(Type("<secret:pin>"), Presses())
    seen = world.observe()
    assert not seen.image[-12:, -16:].any() and np.array_equal(seen.image[:30], board.observe().image[:30])
    assert seen.text is not None and VALUE not in seen.text and "typed: <secret><secret>" in seen.text


def test_what_a_person_types_as_a_correction_is_a_secret_of_its_field(board: Form) -> None:
    world = wrapped(board, {})
    field = world.secret_focus()
    assert field is not None
    assert world.take("n0body-knows", field) == world.take("n0body-knows", field) == "<secret:pin_2>"
    world.execute(Type("<secret:pin_2>"), Presses())
    assert board.done == [Type("n0body-knows")] and KNOWN.hide("n0body-knows") == "<secret>"
    board.focus = Field("PIN", "https://elsewhere.example", True)
    with pytest.raises(BadInput, match=r"bound to https://bank\.example"):
        world.execute(Type("<secret:pin_2>"), Presses())
    board.focus = Field("City", HOME, False)
    assert world.secret_focus() is None


def test_a_correction_with_a_known_value_is_that_secret(board: Form) -> None:
    world = wrapped(board)
    assert world.take(VALUE, board.focus) == "<secret:pin>"


def step(index: int, text: str, label: str = "", origin: str = "") -> Step:
    action = Type(text)
    shown = Proposal(label, action, None)
    return Step(index, "", "", action, action, action, "person", shown, origin=origin)


def test_what_an_episode_needs() -> None:
    steps = [step(0, "bob"), step(1, "<secret:pin>", "PIN", HOME), step(2, "<secret:pin>", "PIN", "http://x")]
    needs = needs_of([*steps, step(3, "<secret>")])
    assert needs == [Need("pin", 2, "PIN", (HOME, "http://x")), Need("", 4, "", (ANYWHERE,))]
    bound: dict[str, list[str]] = {"pin": [HOME]}
    bind(needs, bound)
    assert bound == {"pin": [HOME, "http://x"], "": [ANYWHERE]}


def test_a_missing_secret_is_an_error_that_names_step_field_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = needs_of([step(1, "<secret:pin>", "PIN", HOME)])
    what = "it, step 2: types a secret into 'PIN' of https://bank.example"
    with pytest.raises(ConfigError, match=rf"{what}. Set secret.pin to env:.*e.g. secret.pin=env:PIN"):
        sources_for(needs, {}, "it")
    with pytest.raises(ConfigError, match="Did you mean 'pinn'"):
        sources_for(needs, {"pinn": "env:HOME"}, "it")
    with pytest.raises(ConfigError, match=rf"{what}, and secret.pin=env:NOWHERE: the environment variable NOWHERE"):
        sources_for(needs, {"pin": "env:NOWHERE"}, "it")
    monkeypatch.setenv("THERE", "value-1")
    assert sources_for(needs, {"pin": "env:THERE"}, "it") == {"pin": "env:THERE"}


def test_the_only_secret_may_come_from_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "value-1")
    monkeypatch.setenv("OTHER", "value-2")
    one, old = step(1, "<secret:pin>", "PIN", HOME), step(2, "<secret>")
    assert sources_for(needs_of([one]), {}, "it") == {"pin": f"env:{VARIABLE}"}
    assert sources_for(needs_of([old]), {}, "it") == {"": f"env:{VARIABLE}"}
    assert sources_for(needs_of([old]), {"x": "env:OTHER"}, "it")[""] == "env:OTHER"
    with pytest.raises(ConfigError, match=r"secret\.pin"):
        sources_for(needs_of([one, step(2, "<secret:cvv>")]), {"cvv": "env:OTHER"}, "it")
