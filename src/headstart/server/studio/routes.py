"""The routes of the studio."""

from __future__ import annotations

import asyncio
from typing import Annotated, cast

from fastapi import APIRouter, Body, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import JsonValue

from headstart.data.contract import CURRENT
from headstart.report.thumbnails import thumbnail
from headstart.server.refusals import Refusal
from headstart.server.studio.live import Live
from headstart.studio.acts import act_of

router = APIRouter(prefix="/studio", include_in_schema=False)

_LONGEST_WAIT = 2.0  # Ctrl-C waits for requests that are being answered.
_MAX_FILE = 200_000_000
_SMALL, _LARGE = 192, 1200
"""The longer sides of pictures, in pixels."""
# The report is one file, with its own styles, scripts and pictures.
_REPORT = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
}


def _live(request: Request) -> Live:
    return cast(Live, request.app.state.live)


Opened = Annotated[Live, Depends(_live)]


@router.get("/state")
async def state(live: Opened, since: int = -1, seen: int = 0) -> JSONResponse:
    """Return what has changed since an act, as soon as there is something new."""
    wait = _LONGEST_WAIT if seen else 0.0
    return JSONResponse(await asyncio.to_thread(live.state, since=since, seen=seen, wait=wait))


@router.post("/acts")
async def do(live: Opened, row: Annotated[dict[str, JsonValue], Body()]) -> JSONResponse:
    """Do something; the answer comes when it is on the disk."""
    try:
        act = act_of(row)
    except ValueError:
        raise Refusal(422, "This is nothing that the studio can do.") from None
    return JSONResponse({"number": await asyncio.to_thread(live.do, act)})


@router.post("/files")
async def add_file(
    live: Opened, request: Request, name: str, label: str = "", group: str = ""
) -> JSONResponse:
    """Keep a file that was dropped on the page."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > _MAX_FILE:
            raise Refusal(413, f"'{name[:100]}' has more than {_MAX_FILE // 1_000_000} MB.")
    labels = (label,) if label else ()
    image = await asyncio.to_thread(live.add_file, name, bytes(data), labels, group)
    return JSONResponse({"image": image})


@router.post("/finish")
async def finish(live: Opened) -> JSONResponse:
    """Begin to train the whole model."""
    await asyncio.to_thread(live.finish)
    return JSONResponse({})


@router.get("/report")
async def report(live: Opened) -> Response:
    """Return the report of the trained model."""
    path = live.run / "report.html"
    if not path.is_file():
        raise Refusal(404, "No model has been trained yet. Press Finish.")
    return Response(path.read_bytes(), media_type="text/html", headers=_REPORT)


@router.get("/thumbnails/{image:path}")
async def small(live: Opened, image: str) -> Response:
    """Return an image as a small JPEG."""
    return await _picture(live, image, _SMALL)


@router.get("/pictures/{image:path}")
async def large(live: Opened, image: str) -> Response:
    """Return an image as a JPEG of up to 1,200 pixels."""
    return await _picture(live, image, _LARGE)


async def _picture(live: Live, image: str, side: int) -> Response:
    def shrunk() -> bytes:
        return thumbnail(str(live.project.path_of(image)), CURRENT, side)

    data = await asyncio.to_thread(shrunk)
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=60"})
