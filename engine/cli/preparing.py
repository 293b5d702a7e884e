"""What must be true before clients come: an account, its credentials file, known stubs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from engine import credentials
from engine.listening import origin

if TYPE_CHECKING:
    from engine.app import Engine

_log = logging.getLogger(__name__)


async def prepare(engine: Engine) -> None:
    """Make the account unless the data set has one, write the credentials file, show notices."""
    settings = engine.settings
    account = await engine.accounts.bootstrap()
    known = await engine.directory.now()
    user, key = known.users.get(account.user_id), known.keys.get(account.access_key)
    # What operators have changed since is theirs: the file must not show what opens nothing.
    same = user is not None and user.password_hash == account.password_hash
    endpoint = origin(settings.public_url)
    path = credentials.write(
        settings.data,
        {
            "endpoint": endpoint,
            "iam_endpoint": endpoint,
            "region": settings.region,
            "project_id": account.project_id,
            "domain_name": account.domain_name,
            "domain_id": account.domain_id,
            "user_name": account.user_name,
            "password": account.password if same else "",
            "access_key": account.access_key if key else "",
            "secret_key": account.secret_key if key else "",
        },
    )
    _log.info("credentials.written", extra={"path": path})
    for adapter in dict.fromkeys(engine.adapters.values()):
        if adapter.notice:
            protocols = ",".join(adapter.protocols)
            _log.warning("adapter.notice", extra={"protocols": protocols, "notice": adapter.notice})
