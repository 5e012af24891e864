"""The routes of the studio."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated, Literal, cast

from fastapi import APIRouter, Body, Depends, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import JsonValue

from headstart.data.contract import CURRENT
from headstart.options import ExportFormat
from headstart.report.thumbnails import thumbnail
from headstart.server.refusals import Refusal
from headstart.server.studio.live import Live
from headstart.studio.acts import Add, act_of

router = APIRouter(prefix="/studio", include_in_schema=False)

_LONGEST_WAIT = 2.0  # Ctrl-C waits for requests that are being answered.
_GB = 1_000_000_000
_MAX_FILE, _MAX_LOOK = 64 * _GB, 200_000_000
_SMALL, _LARGE = 192, 1200
"""The longer sides of pictures, in pixels."""
# The report is one file, with its own styles, scripts and pictures.
_REPORT = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox allow-scripts",
}


def _live(request: Request) -> Live:
    return cast(Live, request.app.state.live)


Opened = Annotated[Live, Depends(_live)]


@router.get("/state")
async def state(live: Opened, since: int = -1, seen: int = 0, learnt: int = -1) -> JSONResponse:
    """Return what has changed since an act, as soon as there is something new."""
    wait = _LONGEST_WAIT if seen else 0.0
    found = await asyncio.to_thread(live.state, since=since, seen=seen, learnt=learnt, wait=wait)
    return JSONResponse(found)


@router.post("/acts")
async def do(live: Opened, row: Annotated[dict[str, JsonValue], Body()]) -> JSONResponse:
    """Do something; the answer comes when it is on the disk."""
    try:
        act = act_of(row)
    except ValueError:
        act = None
    if act is None or isinstance(act, Add):  # Files are added by their content.
        raise Refusal(422, "The studio does not know this action.")
    return JSONResponse({"number": await asyncio.to_thread(live.do, act)})


@router.post("/files")
async def add_file(
    live: Opened, request: Request, name: str, label: str = "", group: str = ""
) -> JSONResponse:
    """Keep a file that was dropped on the page."""
    folder = live.project.incoming
    folder.mkdir(exist_ok=True)
    labels, size = ((label,) if label else ()), 0
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        path = Path(temporary) / "file"
        with path.open("wb") as file:
            async for chunk in request.stream():
                size += len(chunk)
                if size > _MAX_FILE:
                    raise Refusal(413, f"'{name[:100]}' has more than {_MAX_FILE // _GB} GB.")
                await asyncio.to_thread(file.write, chunk)
        images = await asyncio.to_thread(live.add_file, name, path, labels, group)
    return JSONResponse({"images": images})


@router.post("/look")
async def look(live: Opened, request: Request) -> JSONResponse:
    """Return the prediction for an image, which is not kept."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > _MAX_LOOK:
            raise Refusal(413, f"The image has more than {_MAX_LOOK // 1_000_000} MB.")
    return JSONResponse(await asyncio.to_thread(live.look, bytes(data)))


@router.post("/train")
async def train(live: Opened) -> JSONResponse:
    """Begin to train the full head."""
    await asyncio.to_thread(live.train)
    return JSONResponse({})


@router.post("/finish")
async def finish(live: Opened, tune: Annotated[bool, Body(embed=True)] = False) -> JSONResponse:
    """Begin to train the whole model."""
    await asyncio.to_thread(live.finish, tune=tune)
    return JSONResponse({})


@router.post("/export")
async def export(
    live: Opened, kind: Annotated[ExportFormat, Body(embed=True, alias="format")]
) -> JSONResponse:
    """Begin to export the trained model."""
    await asyncio.to_thread(live.export, kind)
    return JSONResponse({})


@router.post("/job/{what}")
async def steer(live: Opened, what: Literal["pause", "continue", "cancel"]) -> JSONResponse:
    """Pause, continue or cancel the work that is going on."""
    if what == "cancel":
        live.cancel()
    else:
        live.pause(paused=what == "pause")
    return JSONResponse({})


@router.get("/archives/{name}")
async def archive(live: Opened, name: str) -> FileResponse:
    """Return the trained model, or its export, as a zip archive."""
    path = await asyncio.to_thread(live.archive, name)
    file = f"{live.project.folder.resolve().name}-{name}.zip"
    return FileResponse(path, media_type="application/zip", filename=file)


@router.get("/explanations/{image:path}")
async def explain(live: Opened, image: str) -> JSONResponse:
    """Return the prediction of an image, its heat map, and the images that are most similar."""
    return JSONResponse(await asyncio.to_thread(live.explain, image))


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


@router.get("/sizes/{image:path}")
async def size(live: Opened, image: str) -> JSONResponse:
    """Return the width and the height of an image as it is seen, in pixels."""
    width, height = await asyncio.to_thread(live.size_of, image)
    return JSONResponse({"width": width, "height": height})


async def _picture(live: Live, image: str, side: int) -> Response:
    def shrunk() -> bytes:
        return thumbnail(str(live.project.path_of(image)), CURRENT, side)

    data = await asyncio.to_thread(shrunk)
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=60"})
