"""What the identity service says: tokens, catalogs, projects, accounts, users."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.api.call import Call
    from engine.iam.callers import Caller
    from engine.iam.identities import Domain, Project, State, User
    from engine.iam.snapshot import Snapshot
    from engine.iam.tokens import Token


def described(call: Call, caller: Caller, token: Token, *, with_catalog: bool) -> dict[str, Any]:
    """A token's body; without a scope it has neither roles nor catalog."""
    domain = _reference(caller.domain)
    body: dict[str, Any] = {
        "methods": list(token.methods),
        "expires_at": micros(token.expires_ms),
        "issued_at": micros(token.issued_ms),
        "user": {
            "id": caller.user_id,
            "name": caller.user_name,
            "domain": domain,
            "password_expires_at": "",
        },
    }
    if caller.agency is not None:
        home = caller.snapshot.domains[caller.user.domain_id]
        person = {"id": caller.user.id, "name": caller.user.name, "domain": _reference(home)}
        body["assumed_by"] = {"user": person}
    if not token.project_id and not token.domain_id:
        return {"token": body}
    if caller.project is not None:
        project = {"id": caller.project.id, "name": caller.project.name, "domain": domain}
        body["project"] = project
    else:
        body["domain"] = domain
    held = caller.rights.held
    body["roles"] = [
        {"id": one.id, "name": one.name}
        for one in held
        if not one.enterprise_project_id
        and (caller.only is None or {one.name, one.granted} & set(caller.only))
    ]
    if with_catalog:
        body["catalog"] = catalog(call, caller.project_id)
    return {"token": body}


def catalog(call: Call, project_id: str) -> list[dict[str, Any]]:
    """Where the services are for a project; without one, the identity service alone."""
    region = call.services.engine.dataset.region
    services = []
    if project_id:
        services = [
            _service(name, name, region, f"{call.origin}/{version}/{project_id}")
            for name, version in (("smn", "v2"), ("cts", "v3"), ("ces", "V1.0"), ("lts", "v2"))
        ]
    return [*services, _service("iam", "identity", "*", f"{call.origin}/v3")]


def project_item(call: Call, snapshot: Snapshot, project: Project) -> dict[str, Any]:
    """A project in a list; a part of a region's project has that for its parent."""
    parent = snapshot.default_project(project.domain_id)
    inner = parent is not None and parent.id != project.id
    return {
        "id": project.id,
        "name": project.name,
        "domain_id": project.domain_id,
        "parent_id": parent.id if parent is not None and inner else project.domain_id,
        "is_domain": False,
        "enabled": project.enabled,
        "description": "",
        "links": links(f"{call.origin}/v3/projects/{project.id}"),
    }


def domain_item(call: Call, domain: Domain, disabled: State) -> dict[str, Any]:
    """An account in a list."""
    return {
        "id": domain.id,
        "name": domain.name,
        "enabled": domain.state != disabled,
        "description": "",
        "links": {"self": f"{call.origin}/v3/domains/{domain.id}"},
    }


def user_item(call: Call, user: User) -> dict[str, Any]:
    """A user in a list."""
    return {
        "id": user.id,
        "name": user.name,
        "domain_id": user.domain_id,
        "enabled": user.enabled,
        "description": "",
        "password_expires_at": None,
        "links": links(f"{call.origin}/v3/users/{user.id}"),
    }


def links(own: str) -> dict[str, str | None]:
    """Links of a list or an item that has no neighbours."""
    return {"self": own, "next": None, "previous": None}


def micros(moment_ms: int) -> str:
    """A time as Keystone writes it."""
    moment = datetime.fromtimestamp(moment_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment_ms % 1000:03d}000Z"


def _reference(domain: Domain) -> dict[str, str]:
    return {"id": domain.id, "name": domain.name}


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


def _stable_id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]
