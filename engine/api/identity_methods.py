"""How a caller proves who it is when it asks for a token (IAM "Obtaining a User Token" ff.)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.api.answers import Failure
from engine.api.authorise import authenticate
from engine.api.identity_bodies import Reference
from engine.errors import Refused
from engine.iam.callers import Caller, bearer
from engine.iam.identities import Agency
from engine.iam.login import Named, Passcode
from engine.iam.tokens import LIFE_MS, Token

if TYPE_CHECKING:
    from engine.api.call import Call
    from engine.api.identity_bodies import AssumeMethod, Identity, PasscodeUser, PasswordUser

ASSUME: Final = "iam:tokens:assume"
"""The action that a user needs to act as an agency that trusts its account."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Who somebody has proved to be, by what, and until when that can be good."""

    caller: Caller
    methods: tuple[str, ...]
    until_ms: int


async def prove(call: Call, identity: Identity) -> Proof:
    """Raises `Failure` with Keystone's statuses, and `Refused` for too many failures."""
    match identity.methods:
        case [method] if method in _METHODS:
            return await _METHODS[method](call, identity)
        case ["password", "totp"] | ["totp", "password"]:
            return await _password_and_totp(call, identity)
        case _:
            known = ", ".join(_METHODS)
            raise Failure(401, "IAM.0004", f"The methods are one of {known}, or password and totp.")


async def _password(call: Call, identity: Identity) -> Proof:
    wrong = "The username or password is wrong, or a passcode is needed."
    return await _log_in(call, identity, None, ("password",), wrong)


async def _password_and_totp(call: Call, identity: Identity) -> Proof:
    if identity.totp is None:
        raise Failure(400, "IAM.0002", "The request has no passcode.")
    user = identity.totp.user
    passcode = Passcode(_named(user), user.passcode)
    wrong = "The username, password or passcode is wrong."
    return await _log_in(call, identity, passcode, ("password", "totp"), wrong)


async def _log_in(
    call: Call, identity: Identity, passcode: Passcode | None, methods: tuple[str, ...], wrong: str
) -> Proof:
    if identity.password is None:
        raise Failure(400, "IAM.0002", "The request names no user.")
    user = identity.password.user
    found = await call.services.login.by_password(
        _named(user), user.password, passcode, call.client
    )
    if found is None:
        raise Failure(401, "IAM.0001", wrong)
    now_ms = call.services.engine.clock.now_ms()
    snapshot = await call.services.engine.directory.live.snapshot()
    token = Token(found.id, found.epoch, methods, now_ms, now_ms + LIFE_MS)
    caller = bearer(snapshot, token)
    if caller is None:
        raise Failure(401, "IAM.0001", wrong)
    return Proof(caller, methods, token.expires_ms)


def _named(user: PasswordUser | PasscodeUser) -> Named:
    if user.id is None and user.name is None:
        raise Failure(400, "IAM.0002", "The request names no user.")
    domain = user.domain or Reference()
    return Named(user.id, user.name, domain.id, domain.name)


async def _token(call: Call, identity: Identity) -> Proof:
    given = identity.token.id if identity.token else None
    caller = await call.services.authenticator.by_token(given or call.header("x-auth-token") or "")
    if caller is None or caller.token is None:
        raise Failure(401, "IAM.0001", "The token is unknown or has expired.")
    # A token that could prolong itself would never end.
    return Proof(caller, _joined(caller.token.methods, "token"), caller.token.expires_ms)


async def _key(call: Call, identity: Identity) -> Proof:
    given = identity.hw_ak_sk
    if given is None:
        raise Failure(400, "IAM.0002", "The request names no access key.")
    caller = await call.services.login.by_secret(
        given.access.key, given.secret.key, given.security_token, call.client
    )
    if caller is None:
        raise Failure(401, "IAM.0001", "The access key, its secret or security token is wrong.")
    if caller.service:
        raise Failure(403, "IAM.0006", "A cloud service's key gives no tokens.")
    return Proof(caller, ("hw_ak_sk",), _end(call, caller))


async def _assume(call: Call, identity: Identity) -> Proof:
    given = identity.assume_role or identity.hw_assume_role
    if given is None:
        raise Failure(400, "IAM.0002", "The request names no agency.")
    try:
        caller = await authenticate(call)
    except Refused as refused:
        raise Failure(401, "IAM.0001", refused.message) from refused
    agency = _agency(caller, given)
    domain = caller.snapshot.domains[agency.domain_id]
    until_ms = min(
        call.services.engine.clock.now_ms() + given.duration_seconds * 1000, _end(call, caller)
    )
    acting = Caller(
        caller.snapshot,
        caller.user,
        domain,
        None,
        agency=agency,
        only=tuple(given.restrict.roles) if given.restrict else None,
    )
    return Proof(acting, ("assume_role",), until_ms)


def _agency(caller: Caller, given: AssumeMethod) -> Agency:
    """The agency, if the caller may act as it."""
    snapshot = caller.snapshot
    if given.domain_id is not None:
        domain = snapshot.domains.get(given.domain_id)
    else:
        domain = snapshot.domain_named(given.domain_name)
    name = given.agency_name or given.xrole_name
    agency = snapshot.agency_named(domain.id, name) if domain is not None else None
    if agency is None or agency.trusted_domain_id != caller.user.domain_id or caller.agency:
        raise Failure(403, "IAM.0006", "There is no such agency, or it trusts another account.")
    if not caller.rights.allow(ASSUME, "CreateToken", caller.domain_id, None):
        raise Failure(403, "IAM.0006", f"Policy doesn't allow {ASSUME} to be performed.")
    return agency


def scoped(caller: Caller, project: Reference | None, domain: Reference | None) -> tuple[str, str]:
    """Ids of the project and of the account that a token of the caller shall be good for.

    Raises `Failure` 404 for a project or account that the caller has no part in.
    """
    own = caller.domain
    if project is not None:
        inside = getattr(project, "domain", None)
        snapshot = caller.snapshot
        if project.id is not None:
            found = snapshot.projects.get(project.id)
        else:
            found = snapshot.project_named(own.id, project.name)
        if (
            found is not None
            and found.enabled
            and found.domain_id == own.id
            and (inside is None or _is(inside, own.id, own.name))
        ):
            return found.id, ""
    elif domain is None:
        return "", ""
    elif _is(domain, own.id, own.name):
        return "", own.id
    raise Failure(404, "IAM.0005", "The project or domain of the scope does not exist.")


def _is(reference: Reference, known_id: str, known_name: str) -> bool:
    if reference.id is not None:
        return reference.id == known_id
    return reference.name == known_name


def _end(call: Call, caller: Caller) -> int:
    """When what the caller has shown ends: a token's end, or a day from now."""
    if caller.token is not None:
        return caller.token.expires_ms
    return min(caller.until_ms or 2**62, call.services.engine.clock.now_ms() + LIFE_MS)


def _joined(methods: tuple[str, ...], method: str) -> tuple[str, ...]:
    return methods if method in methods else (*methods, method)


_METHODS: Final[dict[str, Callable[[Call, Identity], Awaitable[Proof]]]] = {
    "password": _password,
    "token": _token,
    "hw_ak_sk": _key,
    "assume_role": _assume,
    "hw_assume_role": _assume,
}
