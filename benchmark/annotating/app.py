"""The HTTP interface of the page. An oracle may speak it as well as a browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from benchmark.annotating.guard import Guard
from benchmark.annotating.keys import Keys
from benchmark.annotating.pictures import Pictures, class_map, item_at, sample, uncertainty_map
from benchmark.annotating.reviewing import Refusal
from benchmark.annotating.standing import standing, unchanging
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from benchmark.annotating.reviewing import Session
    from benchmark.slides import Slide

STATIC = Path(__file__).parent / "static"
PAGE = {"": "annotate.html", **{f"annotate.{kind}": f"annotate.{kind}" for kind in ("js", "css", "svg")}}
PATIENCE, PAUSE = 20.0, 0.05
"""Seconds for which a tab's question for news is held open, and between two looks."""
SAMPLE = 24
FOREVER = {"cache-control": "private, max-age=86400, immutable"}

Files = Callable[[], dict[str, Path]]


@dataclass(frozen=True)
class Opened:
    """What the page is about. `export`: writes the annotation and says where."""

    session: Session
    slide: Slide
    method: str
    keys: Keys
    export: Files
    ended: Callable[[], None] = lambda: None
    """Called once the session has ended."""


def create_app(opened: Opened, *, port: int, token: str) -> ASGIApp:
    """The application behind its guard."""
    pictures = Pictures(opened.slide, opened.session.steps.patches, opened.session.steps.places)
    handlers: dict[str, tuple[Callable[[Request], Awaitable[Response]], str]] = {
        "api/about": (partial(_about, opened), "GET"),
        "api/state": (partial(_state, opened), "GET"),
        "api/act": (partial(_act, opened), "POST"),
        "api/keys": (partial(_keys, opened), "POST"),
        "api/export": (partial(_export, opened), "POST"),
        "api/sample": (partial(_sample, opened), "GET"),
        "api/place": (partial(_place, opened), "GET"),
        "patch/{item:int}.jpg": (partial(_picture, pictures.patch, opened), "GET"),
        "context/{item:int}.jpg": (partial(_picture, pictures.context, opened), "GET"),
        "overview.jpg": (partial(_overview, pictures), "GET"),
        "classes.png": (partial(_map, class_map, opened), "GET"),
        "uncertainty.png": (partial(_map, uncertainty_map, opened), "GET"),
    }
    routes = [Route(f"/{token}/{path}", handler, methods=[way]) for path, (handler, way) in handlers.items()]
    routes += [Route(f"/{token}/{path}", partial(_file, STATIC / name), methods=["GET"]) for path, name in PAGE.items()]
    return Guard(Starlette(routes=routes), port=port, token=token)


async def _file(path: Path, request: Request) -> Response:
    return FileResponse(path, headers={"cache-control": "no-cache"})


async def _about(opened: Opened, request: Request) -> Response:
    keys = await run_in_threadpool(opened.keys.load)
    return JSONResponse(unchanging(opened.session, opened.slide, opened.method, keys))


async def _state(opened: Opened, request: Request) -> Response:
    """How things stand; with `after=VERSION` as soon as they stand otherwise, or after `PATIENCE`."""
    after = request.query_params.get("after", "")
    if after.isdigit():
        waited = 0.0
        while opened.session.version == int(after) and waited < PATIENCE and not await request.is_disconnected():
            await asyncio.sleep(PAUSE)
            waited += PAUSE
    return JSONResponse(await run_in_threadpool(standing, opened.session))


async def _act(opened: Opened, request: Request) -> Response:
    """Take an action; answers with how things stand then, and whether it was new."""
    sent = await _sent(request)
    if sent is None:
        return _refused("expected a JSON object", 400)
    try:
        new = await run_in_threadpool(opened.session.act, sent)
    except Refusal as refusal:
        return _refused(refusal.what, refusal.status)
    except OSError as error:
        return _refused(f"the answer could not be saved: {error}", 507)
    if opened.session.record.ended:
        opened.ended()
    return JSONResponse({"new": new, "state": await run_in_threadpool(standing, opened.session)})


async def _keys(opened: Opened, request: Request) -> Response:
    sent = await _sent(request)
    try:
        return JSONResponse(await run_in_threadpool(opened.keys.store, sent))
    except Refusal as refusal:
        return _refused(refusal.what, refusal.status)


async def _export(opened: Opened, request: Request) -> Response:
    try:
        files = await run_in_threadpool(opened.export)
    except (BenchError, OSError) as error:
        return _refused(f"the export failed: {error}", 500)
    return JSONResponse({kind: str(path) for kind, path in files.items()})


async def _sample(opened: Opened, request: Request) -> Response:
    """Patches to look through for examples."""
    seed, session = request.query_params.get("seed", "0"), opened.session
    if not seed.isdigit():
        return _refused("expected seed as a whole number", 400)
    known = [int(session.items[cell]) for cell in session.record.examples]
    return JSONResponse({"items": sample(len(session.steps.places), int(seed), SAMPLE, known)})


async def _place(opened: Opened, request: Request) -> Response:
    """Where an item lies, or which lies at a place given in shares of the slide's width and height."""
    session, asked = opened.session, request.query_params
    try:
        if "item" in asked:
            item = int(asked["item"])
        else:
            item = item_at(session.steps.grid, session.items, opened.slide.size, float(asked["x"]), float(asked["y"]))
    except (KeyError, ValueError):
        return _refused("expected item, or x and y", 400)
    if not 0 <= item < len(session.steps.places):
        return _refused("there is no tissue", 404)
    row, col = session.steps.places[item].tolist()
    return JSONResponse({"item": item, "row": row, "col": col})


async def _picture(picture: Callable[[int], bytes], opened: Opened, request: Request) -> Response:
    item: int = request.path_params["item"]
    if item >= len(opened.session.steps.places):
        return _refused(f"there is no patch {item}", 404)
    try:
        return Response(await run_in_threadpool(picture, item), media_type="image/jpeg", headers=FOREVER)
    except BenchError as error:
        return _refused(error.what, 500)


async def _overview(pictures: Pictures, request: Request) -> Response:
    return Response(await run_in_threadpool(pictures.overview), media_type="image/jpeg", headers=FOREVER)


async def _map(picture: Callable[[Session], bytes], opened: Opened, request: Request) -> Response:
    return Response(await run_in_threadpool(picture, opened.session), media_type="image/png")


async def _sent(request: Request) -> dict[str, Any] | None:
    try:
        content = json.loads(await request.body())
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _refused(why: str, status: int) -> JSONResponse:
    return JSONResponse({"error": why}, status)
