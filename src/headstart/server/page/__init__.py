"""The page on which people try a model: plain HTML, CSS and JavaScript."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).parent
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FILES = {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _TYPES}
_PAGE = (_FOLDER / "index.html").read_text(encoding="utf-8")


@router.head("/")
@router.get("/")
async def page() -> Response:
    """Return the page."""
    return Response(_PAGE, media_type="text/html")


@router.get("/page/{name}")
async def file(name: str) -> Response:
    """Return a file that the page names."""
    if name not in _FILES:
        return Response(status_code=404)
    return Response(_FILES[name], media_type=_TYPES[Path(name).suffix])
