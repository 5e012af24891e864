"""Pictures inside a page."""

from base64 import b64encode

_PNG = b"\x89PNG"


def data_uri(picture: bytes) -> str:
    """Return a JPEG or a PNG as a `data:` URI."""
    kind = "png" if picture.startswith(_PNG) else "jpeg"
    return f"data:image/{kind};base64," + b64encode(picture).decode("ascii")
