"""The image files in the body of a request, read within limits."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import Message

from headstart.arrays import Pixels
from headstart.server.refusals import Refusal
from headstart.serving_options import LimitOptions

MULTIPART = "multipart/form-data"
BINARY = ("application/octet-stream", "application/dicom")
"""Types of bodies that are one image file, besides image/*."""

_FORM_FIELDS = 20
_FIELD_BYTES = 64 * 1024


@dataclass(frozen=True)
class Sent:
    """An image that a client sent.

    Attributes:
        name: What the client calls it.
        image: The content of a file, or pixels, (height, width, 3).
    """

    name: str
    image: bytes | Pixels

    @property
    def sha256(self) -> str:
        """The hash of the file or of the pixels."""
        data = self.image if isinstance(self.image, bytes) else self.image.tobytes()
        return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Form:
    """A form that a client sent.

    Attributes:
        files: Its image files.
        fields: The text of its other fields, by name.
    """

    files: list[Sent]
    fields: dict[str, str]


Count = Callable[[int], None]
"""Called with the size of each chunk of a body; it raises a `Refusal` if there is no room."""


async def read_uploads(request: Request, limits: LimitOptions, count: Count) -> list[Sent]:
    """Read the image files of a request: those of a form, or a body that is one file.

    What a file is, is decided by its content: the type and the ending of the name that a client
    gives are not looked at.

    Raises:
        Refusal: The body is too large, of a type that is not read, or contains no image.
        ClientDisconnect: The client left.
    """
    kind = kind_of(request)
    if kind == MULTIPART:
        form = await read_form(request, limits, count)
        for name in form.fields:
            raise Refusal(
                422,
                f"The field '{name[:100]}' is not a file. Send each image as a file with a "
                "name; options belong into the URL, such as ?top=3.",
            )
        return form.files
    if kind.startswith("image/") or kind in BINARY:
        name = request.query_params.get("name", "image")
        return [Sent(name, await read_body(request, limits, count))]
    raise Refusal(
        415,
        f"A body of type '{kind[:100]}' is not read. Send image files as {MULTIPART}, or one image "
        f"file as image/* or {BINARY[0]}.",
    )


def kind_of(request: Request) -> str:
    """Return the type of a body, without its parameters."""
    kind = request.headers.get("content-type", BINARY[0])
    return kind.partition(";")[0].strip().lower()


async def read_body(request: Request, limits: LimitOptions, count: Count) -> bytes:
    """Read a whole body.

    Raises:
        Refusal: It is too large, or empty.
        ClientDisconnect: The client left.
    """
    body = await _limited(request, limits, count).body()
    if not body:
        raise Refusal(422, "The body is empty. Send an image file.")
    return body


async def read_form(request: Request, limits: LimitOptions, count: Count) -> Form:
    """Read a form with image files and other fields.

    Raises:
        Refusal: The body is too large, is not a form, or has no file.
        ClientDisconnect: The client left.
    """
    if kind_of(request) != MULTIPART:
        raise Refusal(415, f"Send image files and fields as {MULTIPART}.")
    parser = _InMemory(
        request.headers,
        _limited(request, limits, count).stream(),
        max_files=limits.max_images,
        max_fields=_FORM_FIELDS,
        max_part_size=_FIELD_BYTES,
    )
    with _form_errors(limits):
        form = await parser.parse()
    try:
        parts = form.multi_items()
        files = [value for _, value in parts if isinstance(value, UploadFile)]
        fields = {name: value for name, value in parts if isinstance(value, str)}
        if not files and not fields:
            raise Refusal(422, "The form contains no file. Send at least one image.")
        sent = [
            Sent(file.filename or f"image {number}", await file.read())
            for number, file in enumerate(files, start=1)
        ]
        return Form(sent, fields)
    finally:
        await form.close()


@contextmanager
def _form_errors(limits: LimitOptions) -> Iterator[None]:
    """Turn what the parser of forms raises into refusals."""
    try:
        yield
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise Refusal(
                413,
                f"The request has more than {limits.max_images:,} images, which is the limit. "
                "Send them in several requests.",
            ) from None
        raise Refusal(422, f"The form cannot be read: {error.message}") from None
    except KeyError:
        raise Refusal(422, "The form cannot be read: a part has no name.") from None
    except UnicodeDecodeError:
        raise Refusal(422, "The form cannot be read: a name is not UTF-8.") from None


class _InMemory(MultiPartParser):
    """Keeps files in memory, which is bounded here, instead of writing them to disk."""

    spool_max_size = sys.maxsize


def _limited(request: Request, limits: LimitOptions, count: Count) -> Request:
    """Return a request of which what is read is counted, and that is refused if it is too large.

    Raises:
        Refusal: It says itself that it is too large.
    """
    limit = limits.max_request_mb * 1_000_000
    too_large = Refusal(
        413,
        f"The request is larger than {limits.max_request_mb:,} MB, which is the limit. Send fewer "
        "or smaller images at a time.",
    )
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large
    receive, read = request.receive, 0

    async def receive_and_count() -> Message:
        nonlocal read
        message = await receive()
        size = len(message.get("body", b""))
        read += size
        if read > limit:
            raise too_large
        count(size)
        return message

    return Request(request.scope, receive_and_count)
