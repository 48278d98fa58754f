"""A receiver of Clawhook's events: verifies, keeps each event once and on disk, answers, and works afterwards."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from standardwebhooks.webhooks import Webhook

from inbox import Full, Inbox

WEBHOOK_PATH = "/openclaw/webhook"
COUNT_PATH = "/processed"
LARGEST_BODY = 2 * 1024 * 1024

log = logging.getLogger("receiver")


def create_app(secret: str, inbox: Inbox, handle: Callable[[dict], Awaitable[None]]) -> FastAPI:
    """An app that takes finished-run events; `handle` gets each of them, after the answer has been given."""
    webhook = Webhook(secret)
    arrived = asyncio.Event()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI):
        worker = asyncio.create_task(work(inbox, arrived, handle))
        yield
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker

    app = FastAPI(lifespan=lifespan, openapi_url=None)

    @app.post(WEBHOOK_PATH)
    async def receive(request: Request) -> Response:
        raw = await read_body(request)
        if raw is None:
            return refuse(413, f"the body is longer than {LARGEST_BODY} bytes")
        try:
            # The signature covers the exact bytes, so they are verified as they came and parsed afterwards.
            webhook.verify(raw, dict(request.headers), json_parse=False)
        except Exception:
            # Whatever is wrong with it, a malformed header included: it is not genuine.
            return refuse(401, "the signature does not match, or is too old")
        try:
            is_new = await run_in_threadpool(inbox.put, request.headers["webhook-id"], raw)
        except Full:
            return refuse(503, "too many events wait", {"Retry-After": "5"})
        if is_new:
            arrived.set()
        # A repeat is answered in the same way, or the sender would send it for ever.
        return Response(status_code=204)

    @app.get(COUNT_PATH)
    async def processed() -> dict[str, int]:
        """For `clawhook conformance --effects-url`, which proves with it that a repeat is processed once."""
        return {"processed": await run_in_threadpool(inbox.processed)}

    return app


async def read_body(request: Request) -> bytes | None:
    """The body's exact bytes; None where there are too many."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LARGEST_BODY:
            return None
    return bytes(raw)


async def work(inbox: Inbox, arrived: asyncio.Event, handle: Callable[[dict], Awaitable[None]]) -> None:
    """Handles one event after the other, those first that a former process left behind."""
    while True:
        arrived.clear()
        while waiting := await run_in_threadpool(inbox.next):
            number, raw = waiting
            try:
                await handle(json.loads(raw))
            except Exception:
                log.exception("an event could not be handled")
            await run_in_threadpool(inbox.done, number)
        await arrived.wait()


def refuse(status: int, problem: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": problem}, status_code=status, headers=headers)
