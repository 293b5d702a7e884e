"""``tocsin iam user|key``: users and their access keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import options
from engine.cli.iam_common import (
    Domain,
    Name,
    PasswordStdin,
    PlainWork,
    Work,
    act,
    command,
    command_for_all,
    password_from,
    show,
    where,
)

if TYPE_CHECKING:
    from engine.app import Engine

users = typer.Typer(
    no_args_is_help=True, help="Manage the users of an account.\n\nExample: tocsin iam user list"
)
keys = typer.Typer(
    no_args_is_help=True,
    help="Manage access keys (AK/SK).\n\nExample: tocsin iam key create --user alice",
)

Off = Annotated[bool, typer.Option("--off", help="let the user in with a password alone again")]
User = Annotated[str, typer.Option(metavar="NAME", help="whose key it is", show_default=False)]
Service = Annotated[
    str, typer.Option(metavar="SERVICE", help="make it a cloud service's identity: obs, ces, …")
]


@users.command("create")
def create_user(
    name: Name,
    *,
    domain: Domain = None,
    password_stdin: PasswordStdin = False,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Make a user, who may do nothing until something is granted.

    A made-up password is shown this once.

    Example: tocsin iam user create alice
    """
    password = password_from(stdin=password_stdin)

    async def work(engine: Engine, account: str) -> dict[str, Any]:
        new, shown = await engine.directory.create_user(name, domain=account, password=password)
        found = {"id": new.id, "name": new.name, "domain": account}
        return found | ({"password": shown} if password is None else {})

    show([act(where(config, data, redis), domain, work)], as_json=as_json)


@users.command("list")
def list_users(
    *,
    domain: Domain = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """List an account's users.

    Example: tocsin iam user list --json
    """

    async def work(engine: Engine, account: str) -> list[dict[str, Any]]:
        from engine.control.naming import find_domain

        known = await engine.directory.now()
        owner = find_domain(known, account)
        return [
            {"id": one.id, "name": one.name, "domain": account, "enabled": one.enabled}
            | {"owner": one.owner, "mfa": bool(one.passcode_secret)}
            for one in sorted(known.users.values(), key=lambda one: one.name)
            if one.domain_id == owner.id
        ]

    show(act(where(config, data, redis), domain, work), as_json=as_json)


@users.command("password")
def password_user(
    name: Name,
    *,
    domain: Domain = None,
    password_stdin: PasswordStdin = False,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Give a user another password and end its tokens.

    A made-up password is shown this once.

    Example: tocsin iam user password alice
    """
    password = password_from(stdin=password_stdin)

    async def work(engine: Engine, account: str) -> dict[str, Any]:
        shown = await engine.directory.set_password(name, domain=account, password=password)
        return {"name": name} | ({"password": shown} if password is None else {})

    show([act(where(config, data, redis), domain, work)], as_json=as_json)


@users.command("mfa")
def mfa_user(
    name: Name,
    *,
    off: Off = False,
    domain: Domain = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Ask a user for a passcode with the password, and end its tokens.

    The secret and URI for an authenticator app (TOTP) are shown this once; those of before are
    good no more. Access keys need no passcode.

    Example: tocsin iam user mfa alice
    """

    async def work(engine: Engine, account: str) -> dict[str, Any]:
        from engine.iam.passcodes import provisioning_uri

        if off:
            await engine.directory.waive_passcodes(name, domain=account)
            return {"name": name, "mfa": False}
        secret = await engine.directory.demand_passcodes(name, domain=account)
        uri = provisioning_uri(secret, f"{name}@{account}")
        return {"name": name, "mfa": True, "secret": secret, "uri": uri}

    show([act(where(config, data, redis), domain, work)], as_json=as_json)


def _let_in(*, enabled: bool) -> Work:
    async def work(engine: Engine, name: str, account: str) -> None:
        await engine.directory.enable_user(name, domain=account, enabled=enabled)

    return work


async def _delete_user(engine: Engine, name: str, account: str) -> None:
    await engine.directory.delete_user(name, domain=account)


command(
    users,
    "enable",
    "enabled",
    "Let a user in again.",
    _let_in(enabled=True),
    example="user enable alice",
)
command(
    users,
    "disable",
    "disabled",
    "Let a user in no more and end its tokens.",
    _let_in(enabled=False),
    example="user disable alice",
)
command(
    users,
    "delete",
    "deleted",
    "Delete a user with its keys and grants.",
    _delete_user,
    example="user delete alice",
)


@keys.command("create")
def create_key(
    *,
    user: User,
    service: Service = "",
    domain: Domain = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """Make an access key; its secret is shown this once.

    Example: tocsin iam key create --user alice
    """

    async def work(engine: Engine, account: str) -> dict[str, Any]:
        new = await engine.directory.create_key(user, domain=account, service=service)
        found = {"access_key": new.key.id, "secret_key": new.secret, "user": user}
        return found | ({"service": service} if service else {})

    show([act(where(config, data, redis), domain, work)], as_json=as_json)


@keys.command("list")
def list_keys(
    *,
    domain: Domain = None,
    as_json: options.Json = False,
    config: options.Config = None,
    data: options.Data = None,
    redis: options.Redis = None,
) -> None:
    """List the access keys of an account, without their secrets.

    Example: tocsin iam key list --json
    """

    async def work(engine: Engine, account: str) -> list[dict[str, Any]]:
        from engine.control.naming import find_domain

        known = await engine.directory.now()
        owner = find_domain(known, account)
        return [
            {"access_key": one.id, "user": known.users[one.user_id].name, "enabled": one.enabled}
            | {"service": one.service}
            for one in sorted(known.keys.values(), key=lambda one: one.id)
            if one.user_id in known.users and known.users[one.user_id].domain_id == owner.id
        ]

    show(act(where(config, data, redis), domain, work), as_json=as_json)


def _let_sign(*, enabled: bool) -> PlainWork:
    async def work(engine: Engine, name: str) -> None:
        await engine.directory.enable_key(name, enabled=enabled)

    return work


async def _delete_key(engine: Engine, name: str) -> None:
    await engine.directory.delete_key(name)


command_for_all(
    keys,
    "enable",
    "enabled",
    "Let a key sign again.",
    _let_sign(enabled=True),
    example="key enable AK",
)
command_for_all(
    keys,
    "disable",
    "disabled",
    "Let a key sign no more.",
    _let_sign(enabled=False),
    example="key disable AK",
)
command_for_all(
    keys, "delete", "deleted", "Delete an access key.", _delete_key, example="key delete AK"
)
