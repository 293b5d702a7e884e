"""Requests of the identity service (Keystone v3, and Huawei Cloud's methods beside it)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from engine.api.bodies import Body
from engine.iam.temporary import MAX_SECONDS, MIN_SECONDS


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


class Reference(_Part):
    """Something by id or name."""

    id: str | None = None
    name: str | None = None


class _User(Reference):
    """Who logs in: by id, or by name and domain."""

    domain: Reference | None = None


class PasswordUser(_User):
    """Who logs in, with a password."""

    password: str


class PasscodeUser(_User):
    """The same user, with a passcode."""

    passcode: str


class PasswordMethod(_Part):
    """The password method's object."""

    user: PasswordUser


class TotpMethod(_Part):
    """The object of the ``totp`` method, which goes with the password method."""

    user: PasscodeUser


class TokenMethod(_Part):
    """The token method's object; without an id it is the token in ``X-Auth-Token``."""

    id: str | None = None
    duration_seconds: int = Field(MIN_SECONDS, ge=MIN_SECONDS, le=MAX_SECONDS)


class _Key(_Part):
    key: str


def _flat(given: object) -> object:
    """Programs send the security token bare or as ``{"key": …}``."""
    return given.get("key") if isinstance(given, dict) else given


class KeyMethod(_Part):
    """The ``hw_ak_sk`` method's object."""

    access: _Key
    secret: _Key
    security_token: Annotated[str | None, BeforeValidator(_flat)] = None


class Restriction(_Part):
    """Roles that a token of an agency is limited to."""

    roles: list[str]


class AssumeMethod(_Part):
    """The ``assume_role`` method's object; ``xrole_name`` is ``agency_name``'s older name."""

    domain_id: str | None = None
    domain_name: str | None = None
    agency_name: str | None = None
    xrole_name: str | None = None
    duration_seconds: int = Field(MAX_SECONDS, ge=MIN_SECONDS, le=MAX_SECONDS)
    restrict: Restriction | None = None


class Identity(_Part):
    """How the caller proves who it is."""

    methods: list[str]
    password: PasswordMethod | None = None
    totp: TotpMethod | None = None
    token: TokenMethod | None = None
    hw_ak_sk: KeyMethod | None = None
    assume_role: AssumeMethod | None = None
    hw_assume_role: AssumeMethod | None = None


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


class CreateToken(Body):
    """POST /v3/auth/tokens."""

    auth: AuthRequest


class CreateTemporaryKey(Body):
    """POST /v3.0/OS-CREDENTIAL/securitytokens."""

    auth: AuthRequest
