"""What handlers need beside the engine, made once per server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.iam.authenticate import Authenticator
from engine.iam.login import Login
from engine.iam.passcodes import Passcodes
from engine.iam.passwords import Passwords
from engine.iam.temporary import TemporaryKeys
from engine.iam.tokens import Tokens

if TYPE_CHECKING:
    from engine.app import Engine


class Services:
    """The engine and the API's own parts."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.tokens = Tokens(engine.store, engine.keys)
        self.passwords = Passwords()
        self.temporary = TemporaryKeys(engine.store, engine.keys, engine.vault)
        self.authenticator = Authenticator(
            engine.directory.live, self.tokens, self.temporary, engine.clock
        )
        self.login = Login(
            engine.directory.live,
            self.authenticator,
            self.passwords,
            Passcodes(engine.store, engine.keys),
            engine.limiter,
            engine.clock,
        )
        self.draining = asyncio.Event()
