"""Tokens and temporary access keys (Keystone v3 as Huawei Cloud IAM speaks it)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from engine.api.answers import Failure, Reply, Shape
from engine.api.identity_answers import catalog, described, micros
from engine.api.identity_bodies import CreateTemporaryKey, CreateToken, ScopeRequest
from engine.api.identity_methods import Proof, prove, scoped
from engine.api.identity_shown import Catalog, TemporaryKeyShown, TokenShown
from engine.api.routes import Auth, Route
from engine.iam.callers import Caller, bearer
from engine.iam.temporary import MIN_SECONDS
from engine.iam.tokens import Token

if TYPE_CHECKING:
    from engine.api.call import Call
    from engine.api.identity_bodies import AuthRequest

_PRIVATE: Final = {"Cache-Control": "no-store"}
_MANAGE: Final = "iam:tokens:manage"


async def create_token(call: Call) -> Reply:
    """Log in, by any of the methods; the token is in ``X-Subject-Token``."""
    request = cast("CreateToken", call.body).auth
    proof = await prove(call, request.identity)
    scope = request.scope if isinstance(request.scope, ScopeRequest) else ScopeRequest()
    token = _token(call, proof, *scoped(proof.caller, scope.project, scope.domain))
    caller = bearer(proof.caller.snapshot, token)
    if caller is None:
        raise Failure(401, "IAM.0001", "The user or agency is not there any more.")
    text = await call.services.tokens.issue(token)
    wanted = all(name != "nocatalog" for name, _ in call.query)
    body = described(call, caller, token, with_catalog=wanted)
    return Reply(body, 201, headers={"X-Subject-Token": text, **_PRIVATE})


async def show_token(call: Call) -> Reply:
    """Validate the token in ``X-Subject-Token``."""
    text, caller, token = await _subject(call)
    body = described(call, caller, token, with_catalog=True)
    return Reply(body, headers={"X-Subject-Token": text, **_PRIVATE})


async def revoke_token(call: Call) -> Reply:
    """End the token in ``X-Subject-Token``."""
    text, _, _ = await _subject(call)
    await call.services.tokens.revoke(text)
    return Reply(None, 204)


async def show_catalog(call: Call) -> dict[str, Any]:
    """Where the services are."""
    found = catalog(call, call.identity.project_id)
    return {"catalog": found, "links": {"self": f"{call.origin}/v3/auth/catalog"}}


async def create_temporary_key(call: Call) -> Reply:
    """An access key that lives minutes or hours, for a token or an agency."""
    request: AuthRequest = cast("CreateTemporaryKey", call.body).auth
    if request.identity.methods not in (["token"], ["assume_role"]):
        raise Failure(400, "IAM.0004", "The method is token or assume_role.")
    proof = await prove(call, request.identity)
    asked = request.identity.token or request.identity.assume_role
    seconds = asked.duration_seconds if asked is not None else MIN_SECONDS
    origin = proof.caller.token
    token = _token(call, proof, origin.project_id if origin else "", "")
    until_ms = min(token.expires_ms, token.issued_ms + seconds * 1000)
    key, security_token = await call.services.temporary.issue(replace(token, expires_ms=until_ms))
    credential = {
        "access": key.access,
        "secret": key.secret,
        "securitytoken": security_token,
        "expires_at": micros(until_ms),
    }
    return Reply({"credential": credential}, 201, headers=_PRIVATE)


def _token(call: Call, proof: Proof, project_id: str, domain_id: str) -> Token:
    caller = proof.caller
    return Token(
        caller.user.id,
        caller.user.epoch,
        proof.methods,
        call.services.engine.clock.now_ms(),
        proof.until_ms,
        project_id,
        domain_id,
        caller.agency.id if caller.agency else "",
        caller.only,
    )


async def _subject(call: Call) -> tuple[str, Caller, Token]:
    """The token in ``X-Subject-Token``: the caller's own, or of its account if it manages that."""
    text = call.header("x-subject-token") or ""
    token = await call.services.tokens.find(text)
    found = bearer(call.identity.snapshot, token) if token is not None else None
    if token is None or found is None:
        raise Failure(404, "IAM.0003", "The token does not exist.")
    caller = call.identity
    if caller.user.id != found.user.id:
        manages = caller.rights.allow(_MANAGE, call.route.operation, caller.domain_id, None)
        if found.user.domain_id != caller.domain_id or not manages:
            raise Failure(403, "IAM.0006", "The token is another user's.")
    return text, found, token


_identity = partial(Route, shape=Shape.KEYSTONE)
_SUBJECT: Final = (("X-Subject-Token", "The token that is meant."),)
_REFUSED: Final = (
    "400 IAM.0002",
    "401 IAM.0001",
    "401 IAM.0004",
    "403 APIGW.0308",
    "403 IAM.0006",
)

ROUTES: Final = (
    _identity(
        "CreateToken",
        "POST",
        "/v3/auth/tokens",
        create_token,
        body=CreateToken,
        answer=TokenShown,
        errors=(*_REFUSED, "404 IAM.0005"),
        auth=Auth.NONE,
        success=201,
    ),
    _identity(
        "ShowToken",
        "GET",
        "/v3/auth/tokens",
        show_token,
        answer=TokenShown,
        errors=("403 IAM.0006", "404 IAM.0003"),
        headers=_SUBJECT,
    ),
    _identity(
        "RevokeToken",
        "DELETE",
        "/v3/auth/tokens",
        revoke_token,
        errors=("403 IAM.0006", "404 IAM.0003"),
        headers=_SUBJECT,
        success=204,
    ),
    _identity("ShowCatalog", "GET", "/v3/auth/catalog", show_catalog, answer=Catalog),
    Route(
        "CreateTemporaryKey",
        "POST",
        "/v3.0/OS-CREDENTIAL/securitytokens",
        create_temporary_key,
        body=CreateTemporaryKey,
        answer=TemporaryKeyShown,
        errors=(*_REFUSED, "400 IAM.0004"),
        auth=Auth.NONE,
        shape=Shape.IAM,
        success=201,
    ),
)
