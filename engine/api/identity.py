"""The slice of the identity service (Keystone v3) that SMN clients call first."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from pydantic import BaseModel, ConfigDict

from engine.api.answers import Failure, Reply, Shape
from engine.api.bodies import Body, Query
from engine.api.identity_shown import Catalog, Domains, Projects, TokenShown
from engine.api.routes import Auth, Route
from engine.iam.tokens import Scope, Token

if TYPE_CHECKING:
    from engine.api.call import Call
    from engine.store.accounts import Account


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


class Reference(_Part):
    """Something by id or name."""

    id: str | None = None
    name: str | None = None


class User(Reference):
    """Who logs in: by id, or by name and domain."""

    password: str
    domain: Reference | None = None


class PasswordMethod(_Part):
    """The password method's object."""

    user: User


class Identity(_Part):
    """How the caller proves who it is."""

    methods: list[str]
    password: PasswordMethod | None = None


class ProjectReference(Reference):
    """A project by id, or by name within a domain (default: the user's)."""

    domain: Reference | None = None


class ScopeRequest(_Part):
    """What the token shall be good for."""

    project: ProjectReference | None = None
    domain: Reference | None = None


class AuthRequest(_Part):
    """The ``auth`` object."""

    identity: Identity
    scope: ScopeRequest | Literal["unscoped"] | None = None


class ByName(Query):
    """The exact name of a project."""

    name: str | None = None


class CreateToken(Body):
    """POST /v3/auth/tokens."""

    auth: AuthRequest


async def create_token(call: Call) -> Reply:
    """Log in with a password; the token is in ``X-Subject-Token``."""
    request = cast("CreateToken", call.body).auth
    if request.identity.methods != ["password"]:
        raise Failure(401, "IAM.0004", "Only the method password is supported.")
    if request.identity.password is None:
        raise Failure(400, "IAM.0002", "The request names no user.")
    account = await _log_in(call, request.identity.password.user)
    scope = _scope(account, request.scope)
    text, token = await call.services.tokens.issue(account.user_id, scope, ("password",))
    catalog = all(name != "nocatalog" for name, _ in call.query)
    return Reply(
        _described(call, account, token, catalog=catalog),
        201,
        headers={"X-Subject-Token": text, "Cache-Control": "no-store"},
    )


async def show_token(call: Call) -> Reply:
    """Validate the token in ``X-Subject-Token``."""
    text = call.header("x-subject-token") or ""
    token = await call.services.tokens.find(text)
    if token is None:
        raise Failure(404, "IAM.0003", "The token does not exist.")
    body = _described(call, call.identity.account, token, catalog=True)
    return Reply(body, headers={"X-Subject-Token": text, "Cache-Control": "no-store"})


async def revoke_token(call: Call) -> Reply:
    """End the token in ``X-Subject-Token``."""
    text = call.header("x-subject-token") or ""
    if await call.services.tokens.find(text) is None:
        raise Failure(404, "IAM.0003", "The token does not exist.")
    await call.services.tokens.revoke(text)
    return Reply(None, 204)


async def show_catalog(call: Call) -> dict[str, Any]:
    """Where the services are."""
    catalog = _catalog(call, call.identity.account)
    return {"catalog": catalog, "links": {"self": f"{call.origin}/v3/auth/catalog"}}


async def list_projects(call: Call) -> dict[str, Any]:
    """The caller's projects, by exact name if one is given.

    The Python SDK asks this once for its region's name and fails unless one project fits.
    """
    account, wanted = call.identity.account, call.parameter("name")
    projects = [] if wanted not in {None, account.project_name} else [_project(call, account)]
    return {"projects": projects, "links": _links(f"{call.origin}/v3/projects")}


async def list_domains(call: Call) -> dict[str, Any]:
    """The caller's one domain."""
    account = call.identity.account
    domain = {
        "id": account.domain_id,
        "name": account.domain_name,
        "enabled": True,
        "description": "",
        "links": {"self": f"{call.origin}/v3/domains/{account.domain_id}"},
    }
    return {"domains": [domain], "links": _links(f"{call.origin}/v3/auth/domains")}


async def _log_in(call: Call, user: User) -> Account:
    accounts, domain = call.services.engine.accounts, user.domain or Reference()
    if user.id is not None:
        account = await accounts.by_user_id(user.id)
    elif user.name is not None:
        account = await accounts.by_user_name(
            user.name, domain_id=domain.id, domain_name=domain.name
        )
    else:
        raise Failure(400, "IAM.0002", "The request names no user.")
    known = account.password_hash if account else None
    if not await call.services.passwords.check(user.password, known) or account is None:
        raise Failure(401, "IAM.0001", "The username or password is wrong.")
    return account


def _scope(account: Account, asked: ScopeRequest | str | None) -> Scope:
    """Raises `Failure` 404 for a project or domain that the user has no part in."""
    if not isinstance(asked, ScopeRequest):
        return Scope.NONE
    if asked.project is not None:
        project = asked.project
        fits = _is(project, account.project_id, account.project_name) and (
            project.domain is None or _is(project.domain, account.domain_id, account.domain_name)
        )
        scope = Scope.PROJECT
    elif asked.domain is not None:
        fits = _is(asked.domain, account.domain_id, account.domain_name)
        scope = Scope.DOMAIN
    else:
        return Scope.NONE
    if not fits:
        raise Failure(404, "IAM.0005", "The project or domain of the scope does not exist.")
    return scope


def _is(reference: Reference, known_id: str, known_name: str) -> bool:
    if reference.id is not None:
        return reference.id == known_id
    return reference.name == known_name


def _described(call: Call, account: Account, token: Token, *, catalog: bool) -> dict[str, Any]:
    domain = {"id": account.domain_id, "name": account.domain_name}
    described: dict[str, Any] = {
        "methods": list(token.methods),
        "expires_at": _micros(token.expires_ms),
        "issued_at": _micros(token.issued_ms),
        "user": {
            "id": account.user_id,
            "name": account.user_name,
            "domain": domain,
            "password_expires_at": "",
        },
    }
    if token.scope is Scope.NONE:
        return {"token": described}
    if token.scope is Scope.PROJECT:
        described["project"] = {
            "id": account.project_id,
            "name": account.project_name,
            "domain": domain,
        }
    else:
        described["domain"] = domain
    described["roles"] = [{"id": "0", "name": "te_admin"}]
    if catalog:
        described["catalog"] = _catalog(call, account)
    return {"token": described}


def _catalog(call: Call, account: Account) -> list[dict[str, Any]]:
    smn = f"{call.origin}/v2/{account.project_id}"
    return [
        _service("smn", "smn", account.project_name, smn),
        _service("iam", "identity", "*", f"{call.origin}/v3"),
    ]


def _service(name: str, kind: str, region: str, url: str) -> dict[str, Any]:
    endpoint = {
        "id": _stable_id(f"endpoint:{name}"),
        "interface": "public",
        "region": region,
        "region_id": region,
        "url": url,
    }
    return {
        "id": _stable_id(f"service:{name}"),
        "name": name,
        "type": kind,
        "endpoints": [endpoint],
    }


def _project(call: Call, account: Account) -> dict[str, Any]:
    return {
        "id": account.project_id,
        "name": account.project_name,
        "domain_id": account.domain_id,
        "parent_id": account.domain_id,
        "is_domain": False,
        "enabled": True,
        "description": "",
        "links": _links(f"{call.origin}/v3/projects/{account.project_id}"),
    }


def _links(own: str) -> dict[str, str | None]:
    return {"self": own, "next": None, "previous": None}


def _micros(moment_ms: int) -> str:
    moment = datetime.fromtimestamp(moment_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment_ms % 1000:03d}000Z"


def _stable_id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]


_identity = partial(Route, shape=Shape.KEYSTONE)
_SUBJECT: Final = (("X-Subject-Token", "The token that is meant."),)

ROUTES: Final = (
    _identity(
        "CreateToken",
        "POST",
        "/v3/auth/tokens",
        create_token,
        body=CreateToken,
        answer=TokenShown,
        errors=("400 IAM.0002", "401 IAM.0001", "401 IAM.0004", "404 IAM.0005"),
        auth=Auth.NONE,
        success=201,
    ),
    _identity(
        "ShowToken",
        "GET",
        "/v3/auth/tokens",
        show_token,
        answer=TokenShown,
        errors=("404 IAM.0003",),
        headers=_SUBJECT,
    ),
    _identity(
        "RevokeToken",
        "DELETE",
        "/v3/auth/tokens",
        revoke_token,
        errors=("404 IAM.0003",),
        headers=_SUBJECT,
        success=204,
    ),
    _identity("ShowCatalog", "GET", "/v3/auth/catalog", show_catalog, answer=Catalog),
    _identity("ListProjects", "GET", "/v3/projects", list_projects, query=ByName, answer=Projects),
    _identity(
        "ListAuthProjects",
        "GET",
        "/v3/auth/projects",
        list_projects,
        query=ByName,
        answer=Projects,
    ),
    _identity("ListAuthDomains", "GET", "/v3/auth/domains", list_domains, answer=Domains),
)
