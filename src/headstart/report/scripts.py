"""The scripts of the report's pages."""

from functools import cache
from importlib.resources import files


@cache
def read_scripts(*names: str) -> str:
    """Return scripts of this folder as one. The first makes all of them strict."""
    folder = files("headstart.report")
    texts = [folder.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in names]
    return "".join(texts)
