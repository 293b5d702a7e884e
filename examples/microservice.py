"""An order service that notifies its customers' systems by itself: Tocsin as a library.

    python examples/microservice.py --port 8090 --data orders-data

    curl -X POST localhost:8090/hooks  -d '{"url": "http://127.0.0.1:9000/orders"}'
    curl -X POST localhost:8090/orders -d '{"id": "A-1", "total": 12.5}'
    curl localhost:8090/deliveries

An order is answered 201 only when its notification is on disk; delivery, retries and the log
are the engine's. Kill the process at any moment and start it again: what was accepted arrives.
"""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from engine import Engine, Settings

ENGINE = web.AppKey("engine", Engine)
TOPIC = web.AppKey("topic", str)
DATA = web.AppKey("data", Path)


async def run_engine(app: web.Application) -> AsyncIterator[None]:
    """Open the engine and deliver in the background for as long as the service runs."""
    settings = Settings.read(data=app[DATA], allow_endpoints="127.0.0.0/8")
    async with Engine.open(settings=settings) as engine:
        app[ENGINE] = engine
        app[TOPIC] = (await engine.create_topic("orders")).urn
        stop = asyncio.Event()
        worker = asyncio.create_task(engine.run_worker(stop))
        yield
        stop.set()
        await worker


async def add_hook(request: web.Request) -> web.Response:
    """Subscribe an endpoint. It is the operator's own, so that nobody needs to confirm."""
    url = (await request.json())["url"]
    await request.app[ENGINE].subscribe(request.app[TOPIC], "http", url, confirmed=True)
    return web.json_response({"url": url}, status=201)


async def add_order(request: web.Request) -> web.Response:
    """Take an order; sending it twice notifies once."""
    order = await request.json()
    message_id = await request.app[ENGINE].publish(
        request.app[TOPIC],
        json.dumps(order),
        subject=f"Order {order['id']}",
        idempotency_key=order["id"],
    )
    return web.json_response({"message_id": message_id}, status=201)


async def list_deliveries(request: web.Request) -> web.Response:
    """What became of every notification."""
    lines = await request.app[ENGINE].delivery_log(request.app[TOPIC])
    found = [
        {"endpoint": line.endpoint, "status": line.status, "attempts": len(line.attempts)}
        for line in lines
    ]
    return web.json_response(found)


def make_app(data: Path) -> web.Application:
    """The service, its engine's data in ``data``."""
    app = web.Application()
    app[DATA] = data
    app.cleanup_ctx.append(run_engine)
    app.router.add_post("/hooks", add_hook)
    app.router.add_post("/orders", add_order)
    app.router.add_get("/deliveries", list_deliveries)
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--data", type=Path, default=Path("orders-data"))
    options = parser.parse_args()
    web.run_app(make_app(options.data), host="127.0.0.1", port=options.port)
