"""An environment that types a password in place of the word that stands for it in a recording."""

from __future__ import annotations

from typing import Final

from showonce.actions import Action, Type
from showonce.environments.wrappers.wrapper import Wrapper
from showonce.errors import BadInput
from showonce.protocols import Environment, Interrupt
from showonce.types import Executed

SECRET_VARIABLE: Final = "SHOWONCE_SECRET"  # environment variable that holds the password for a replay


class WithSecret(Wrapper):
    """Types `secret` wherever `Type(word)` is to be executed. What is returned and raised never quotes the secret.

    Raises:
        BadInput: by `execute`: the secret is empty, or the environment refuses to type it.
    """

    def __init__(self, inner: Environment, word: str, secret: str) -> None:
        super().__init__(inner)
        self._word, self._secret = word, secret

    def execute(self, action: Action, interrupt: Interrupt) -> Executed:
        if action != Type(self._word):
            return self.inner.execute(action, interrupt)
        if not self._secret:
            raise BadInput(f"this step types a password, which is never recorded: put it into {SECRET_VARIABLE}.")
        try:
            self.inner.execute(Type(self._secret), interrupt)
        except BadInput:
            raise BadInput("the password could not be typed here.") from None  # the reason would quote it
        return Executed(action, "typed a password")
