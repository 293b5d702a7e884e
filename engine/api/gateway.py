"""One request from its first byte to its answer: the single place of every cross-cutting rule.

route → admit the caller → read the body → check the signature → authorise → check the body
→ handler → answer
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import TYPE_CHECKING, Final

from aiohttp import web

from engine.api import pages
from engine.api.answers import Failure, Reply, Shape, render, request_failure
from engine.api.authorise import authorise, authorise_asked
from engine.api.bodies import read_body, read_query
from engine.api.call import Call, Content, parse_query
from engine.api.proxies import Origin, Proxies, is_host
from engine.api.recorder import Recorder
from engine.api.response import Response
from engine.api.routes import Auth, Route, Router
from engine.api.services import Services
from engine.api.table import ROUTES
from engine.errors import Refused, StoreError, StoreFull
from engine.logs import note

if TYPE_CHECKING:
    from engine.app import Engine
    from engine.iam.signature import GetAll

_LOG: Final = logging.getLogger("tocsin.api")
_BODY_S: Final = 30.0
"""A body that has not come by then pins a connection for nothing."""
_RETRY_S: Final = 5


class Gateway:
    """Answers requests.

    ``public_url`` is the base of the links in answers; without one it is the address that the
    client itself used. ``trusted_proxies`` is a comma-separated list of networks.
    """

    def __init__(self, engine: Engine, public_url: str = "", trusted_proxies: str = "") -> None:
        self.services = Services(engine)
        self._router = Router(ROUTES)
        self._recorder = Recorder(engine)
        self._proxies = Proxies(trusted_proxies)
        self._public_url = public_url.rstrip("/")

    async def handle(self, request: web.BaseRequest) -> Response:
        """The answer, whatever happens; raises nothing but cancellation."""
        started = time.perf_counter()
        request_id = os.urandom(16).hex()
        path, _, query = _target(request.raw_path)
        route: Route | None = None
        call: Call | None = None
        failure: Failure | None = None
        origin = Origin("", "http")
        try:
            origin = self._origin(request)
            route, parameters = self._router.find(request.method, path)
            call = self._call(
                request, route, request_id, path, parameters, origin, parse_query(query)
            )
            response = await self._run(request, call)
        except Exception as error:  # noqa: BLE001 - the last resort must answer
            failure = _failure(error, request_id)
            response = self._refuse(failure, _shape(route, path), request_id, call)
        self._settle(request, response, failure)
        took_s = time.perf_counter() - started
        if call is not None and call.route.trace is not None:
            self._recorder.note(call, response, origin.client, took_s)
        # In the loop's next turn: the answer leaves at the end of this one.
        asyncio.get_running_loop().call_soon(
            _log, request, path, route, call, response, failure, origin, took_s
        )
        return response

    async def close(self) -> None:
        """Write what the audit still owes, and release what the API holds of its own."""
        await self._recorder.close()
        self.services.passwords.close()

    def _origin(self, request: web.BaseRequest) -> Origin:
        transport = request.transport
        if transport is None:
            raise _gone()
        peer = transport.get_extra_info("peername")
        scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        address = peer[0] if isinstance(peer, tuple) else ""
        return self._proxies.origin(address, scheme, _getter(request))

    def _call(
        self,
        request: web.BaseRequest,
        route: Route,
        request_id: str,
        path: str,
        parameters: dict[str, str],
        origin: Origin,
        query: list[tuple[str, str]],
    ) -> Call:
        host = request.headers.get("Host", "") if origin.host is None else origin.host
        seen = f"{origin.scheme}://{host}" if is_host(host) else ""
        return Call(
            services=self.services,
            route=route,
            request_id=request_id,
            path=parameters,
            query=query,
            headers=_getter(request),
            origin=self._public_url or seen,
            content=Content(b""),
            method=request.method,
            raw_path=path,
            host=origin.host,
            client=origin.client,
        )

    async def _run(self, request: web.BaseRequest, call: Call) -> Response:
        route = call.route
        if self.services.draining.is_set() and not route.quiet:
            raise Refused("TOCSIN.0002", retry_after=_RETRY_S)
        claim = None
        if route.auth is Auth.CALLER:
            call.caller, claim = await self.services.authenticator.admit(call.headers)
        if request.can_read_body:
            call.content = Content(await _read(request, route.max_body))
        if claim is not None:
            claim.check(call.signed_request())
        if route.auth is Auth.CALLER:
            call.authentic = True
            await authorise(call)
        if route.query is not None:
            call.asked = read_query(route.query, call.query)
        if route.body is not None:
            call.body = read_body(route.body, call.content.raw)
        if route.auth is Auth.CALLER:
            await authorise_asked(call)
        reply = await route.handler(call)
        if isinstance(reply, dict):
            reply = Reply(reply, route.success)
        return render(reply, call.request_id)

    def _refuse(
        self, failure: Failure, shape: Shape, request_id: str, call: Call | None
    ) -> Response:
        if shape is Shape.PAGE and call is not None:
            return render(pages.failed(call, failure), request_id)
        return request_failure(failure, shape, request_id)

    def _settle(
        self, request: web.BaseRequest, response: Response, failure: Failure | None
    ) -> None:
        # A connection with an unread body cannot serve another request.
        unread = failure is not None and request.can_read_body and not request.content.is_eof()
        if self.services.draining.is_set() or unread:
            response.force_close()


def _target(raw: str) -> tuple[str, str, str]:
    """Split a request target; an absolute one (RFC 9112, 3.2.2) loses its origin."""
    if not raw.startswith("/") and "://" in raw:
        _, _, rest = raw.partition("://")
        slash = rest.find("/")
        raw = rest[slash:] if slash >= 0 else "/"
    return raw.partition("?")


def _getter(request: web.BaseRequest) -> GetAll:
    headers = request.headers
    return lambda name: headers.getall(name, ())


async def _read(request: web.BaseRequest, limit: int) -> bytes:
    """The whole body; raises `Failure` 413 over the limit and 408 if it does not come."""
    if (request.content_length or 0) > limit:
        raise Failure(413, "APIGW.0201", "Request entity too large.")
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    content = request.content
    if content.is_eof():
        body = content.read_nowait()
    else:
        parts, size = [], 0
        try:
            async with asyncio.timeout(_BODY_S):
                while part := await content.readany():
                    parts.append(part)
                    size += len(part)
                    if size > limit:
                        break
        except TimeoutError as error:
            raise Failure(408, "APIGW.0201", "The body did not come in time.") from error
        except ConnectionError as error:
            raise _gone() from error
        except web.RequestPayloadError as error:
            raise Refused("APIGW.0201", "The body cannot be read.") from error
        body = b"".join(parts)
    if len(body) > limit:
        raise Failure(413, "APIGW.0201", "Request entity too large.")
    return body


def _gone() -> Failure:
    """Nobody will see it but the log."""
    return Failure(400, "APIGW.0201", "The client has gone.")


def _failure(error: Exception, request_id: str) -> Failure:
    match error:
        case Failure():
            return error
        case Refused():
            return Failure.of(error)
        case StoreFull():
            detail = "the memory limit is reached"
            return Failure.of(Refused("APIGW.0308", detail, retry_after=_RETRY_S))
        case StoreError():
            _LOG.warning("store.failed", extra={"request_id": request_id, "error": str(error)})
            return Failure.of(Refused("SMN.0016"))
        case _:
            _LOG.error("request.broken", extra={"request_id": request_id}, exc_info=error)
            return Failure.of(Refused("SMN.0018"))


def _shape(route: Route | None, path: str) -> Shape:
    if route is not None:
        return route.shape
    return Shape.KEYSTONE if path.startswith("/v3/") else Shape.SMN


def _log(
    request: web.BaseRequest,
    path: str,
    route: Route | None,
    call: Call | None,
    response: Response,
    failure: Failure | None,
    origin: Origin,
    took_s: float,
) -> None:
    """One event a request. The query stays out: tokens of links are in it."""
    if failure is None and route is not None and route.quiet:
        return
    note(
        _LOG,
        "request.answered",
        {
            "request_id": response.headers["X-Request-Id"],
            "operation": route.operation if route else "-",
            "method": request.method,
            "path": path,
            "status": response.status,
            "code": failure.code if failure else "-",
            "project": (call.caller.project_id if call and call.caller else "") or "-",
            "client": origin.client or "-",
            "took_ms": round(took_s * 1000, 2),
        },
    )
