"""The page on which people try a model: plain HTML, CSS and JavaScript."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).parent
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_PAGE = (_FOLDER / "index.html").read_text(encoding="utf-8")


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the files that a page may name, by their names."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in _TYPES}


def sent(files: Mapping[str, bytes], name: str) -> Response:
    """Return a file that a page names."""
    if name not in files:
        return Response(status_code=404)
    return Response(files[name], media_type=_TYPES[Path(name).suffix])


_FILES = read_files(_FOLDER)


@router.head("/")
@router.get("/")
async def page() -> Response:
    """Return the page."""
    return Response(_PAGE, media_type="text/html")


@router.get("/page/{name}")
async def file(name: str) -> Response:
    """Return a file that the page names."""
    return sent(_FILES, name)
