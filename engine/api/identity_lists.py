"""Projects, accounts and users, as far as the caller's account knows them (Keystone v3)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from engine.api.answers import Shape
from engine.api.bodies import Query
from engine.api.identity_answers import domain_item, links, project_item, user_item
from engine.api.identity_shown import Domains, Projects, Users
from engine.api.routes import Route
from engine.iam.identities import State

if TYPE_CHECKING:
    from engine.api.call import Call


class ByName(Query):
    """The exact name of what is looked for."""

    name: str | None = None


async def list_projects(call: Call) -> dict[str, Any]:
    """The account's projects, by exact name if one is given.

    The Python SDK asks this once for its region's name and fails unless one project fits. So a
    cloud service's key may ask, too: it learns the projects of the account that made it.
    """
    caller, wanted = call.identity, cast("ByName", call.asked).name
    projects = [
        project_item(call, caller.snapshot, one)
        for one in caller.snapshot.projects.values()
        if one.domain_id == caller.domain_id and one.enabled and wanted in {None, one.name}
    ]
    projects.sort(key=_by_name)
    return {"projects": projects, "links": links(f"{call.origin}/v3/projects")}


async def list_domains(call: Call) -> dict[str, Any]:
    """The account that the caller acts in; clients expect exactly one."""
    domain = domain_item(call, call.identity.domain, State.DISABLED)
    return {"domains": [domain], "links": links(f"{call.origin}/v3/auth/domains")}


async def list_users(call: Call) -> dict[str, Any]:
    """The account's users, by exact name if one is given."""
    caller, wanted = call.identity, cast("ByName", call.asked).name
    users = [
        user_item(call, one)
        for one in caller.snapshot.users.values()
        if one.domain_id == caller.domain_id and wanted in {None, one.name}
    ]
    users.sort(key=_by_name)
    return {"users": users, "links": links(f"{call.origin}/v3/users")}


def _by_name(item: dict[str, Any]) -> str:
    return str(item["name"])


_identity = partial(Route, shape=Shape.KEYSTONE)

ROUTES: Final = (
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
    _identity(
        "ListUsers",
        "GET",
        "/v3/users",
        list_users,
        query=ByName,
        answer=Users,
        action="iam:users:listUsers",
    ),
)
