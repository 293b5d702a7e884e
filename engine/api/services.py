"""What handlers need beside the engine, made once per server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.iam.authenticate import Authenticator
from engine.iam.passwords import Passwords
from engine.iam.tokens import Tokens

if TYPE_CHECKING:
    from engine.app import Engine


class Services:
    """The engine and the API's own parts."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.tokens = Tokens(engine.store, engine.keys)
        self.passwords = Passwords()
        self.authenticator = Authenticator(engine.accounts, self.tokens, engine.clock)
        self.draining = False
