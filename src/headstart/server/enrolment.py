"""The galleries of a server: what they are, and the routes that enrol photos and remove labels.

Whoever may search could otherwise add people to a gallery, or take them from it: a server changes
galleries only if clients have to send a key.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
from fastapi import APIRouter, Request
from pydantic import JsonValue

from headstart.arrays import Features
from headstart.data.paths import printable
from headstart.errors import DataError, GalleryError, UnreadableImage
from headstart.galleries.labels import checked_label
from headstart.server.answerer import Asked
from headstart.server.answering import AnswerOrError
from headstart.server.asking import compute, unreadable, wait_for
from headstart.server.gallery import ServedGallery
from headstart.server.operations import loading_json
from headstart.server.prediction import FILE
from headstart.server.refusals import Refusal
from headstart.server.state import State, state_of
from headstart.server.uploads import MULTIPART, Form, read_form

if TYPE_CHECKING:
    from headstart.commands.galleries import GalleryChange

router = APIRouter()

_FIELDS = ("label", "fields")
_BODY = {
    "required": True,
    "content": {
        MULTIPART: {
            "schema": {
                "type": "object",
                "required": ["images", "label"],
                "properties": {
                    "images": {"type": "array", "minItems": 1, "items": FILE},
                    "label": {"type": "string", "description": "The label of all images."},
                    "fields": {
                        "type": "string",
                        "description": "Other columns, such as a price: a JSON object of texts.",
                    },
                },
            }
        }
    },
}


@router.get("/galleries", summary="Which galleries are served")
async def galleries(request: Request) -> list[dict[str, JsonValue]]:
    """Return each gallery with the number of its images and labels."""
    state = state_of(request)
    served = state.models.galleries.values()
    return [await asyncio.to_thread(_described, one, state) for one in served]


@router.get("/galleries/{name}", summary="One gallery, with its labels and its card")
async def gallery(request: Request, name: str) -> dict[str, JsonValue]:
    """Return a gallery with the number of images of each label, and its card, in Markdown."""
    state = state_of(request)
    served = state.models.gallery(name)
    described = await asyncio.to_thread(_described, served, state)
    counts = await asyncio.to_thread(served.answerer.store.labels)
    return described | {"images_of": {**counts}, "card": served.card}


@router.post(
    "/galleries/{name}/images",
    summary="Enrol images of one item",
    openapi_extra={"requestBody": _BODY},
)
async def enrol(request: Request, name: str) -> dict[str, JsonValue]:
    """Enrol all images of a form under one label, or none of them.

    The next search finds them. Images that are enrolled already are named in `enrolled_before`.
    """
    state = state_of(request)
    _check_may_change(state)
    served = state.models.gallery(name)
    with state.admission.admitted() as ticket, served.used():
        form = await read_form(
            request, state.options, lambda size: state.admission.count_bytes(ticket, size)
        )
        label, fields = _label_and_fields(form)
        state.admission.count_images(ticket, len(form.files))
        results = await compute(request, state, served, form.files, Asked())
        features = _features(results)
        photos = [(printable(sent.name), sent.sha256) for sent in form.files]

        def change() -> GalleryChange:
            from headstart.commands.galleries import enrol_photos

            store = served.answerer.store
            return enrol_photos(store, photos, features, label=label, fields=fields)

        (done,) = await wait_for(request, [state.changes.submit(change)], state.options.timeout)
    state.metrics.images.labels(served.name, "enrolled").inc(done.change.changed)
    return done.to_json() | {"gallery": served.name, "label": label}


@router.delete("/galleries/{name}/labels/{label:path}", summary="Remove all images of a label")
async def remove(request: Request, name: str, label: str) -> dict[str, JsonValue]:
    """Remove all images of a label, with every trace of their embeddings in the gallery."""
    state = state_of(request)
    _check_may_change(state)
    served = state.models.gallery(name)

    def change() -> GalleryChange:
        from headstart.commands.galleries import GalleryChange

        store = served.answerer.store
        return GalleryChange(store, store.remove(labels=[label]))

    with served.used():
        try:
            (done,) = await wait_for(request, [state.changes.submit(change)], state.options.timeout)
        except DataError as error:
            raise Refusal(404, str(error)) from None
    return done.to_json() | {"gallery": served.name, "label": label}


def _check_may_change(state: State) -> None:
    if not state.may_change:
        raise Refusal(
            403,
            "This server does not change galleries, because anyone could. Start it with a key, in "
            "--api-key-file or the environment variable HEADSTART_API_KEY, and send that key.",
        )


def _label_and_fields(form: Form) -> tuple[str, dict[str, str]]:
    """Return the label and the other columns of the images in a form.

    Raises:
        Refusal: There is no label or no image, or a field is unknown or not valid.
        DataError: The label cannot be one.
    """
    for name in form.fields:
        if name not in _FIELDS:
            raise Refusal(
                422, f"There is no field '{name[:100]}'. Put other columns into 'fields', as JSON."
            )
    if "label" not in form.fields:
        raise Refusal(422, "The form has no field 'label'. Send the label of the images.")
    if not form.files:
        raise Refusal(422, "The form contains no file. Send at least one image.")
    return checked_label(form.fields["label"]), _other_columns(form.fields.get("fields", "{}"))


def _other_columns(text: str) -> dict[str, str]:
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict) or not all(isinstance(one, str) for one in values.values()):
        raise Refusal(
            422, 'The field \'fields\' must be a JSON object of texts, such as {"price": "3.20"}.'
        )
    return values


def _features(results: Sequence[AnswerOrError]) -> Features:
    """Return the features of images.

    Raises:
        Refusal: One of the images cannot be read.
    """
    failed = [one for one in results if isinstance(one, UnreadableImage)]
    if failed:
        which = str(failed[0]) if len(failed) == 1 else f"{len(failed)} images cannot be read."
        raise unreadable(failed, f"{which} Nothing was added.")
    return np.stack([one.features for one in results if not isinstance(one, UnreadableImage)])


def _described(served: ServedGallery, state: State) -> dict[str, JsonValue]:
    store, problem, labels = served.answerer.store, None, dict[str, int]()
    try:
        store.refresh()
        labels = store.labels()
    except GalleryError as error:  # It is gone, or was replaced a moment ago.
        problem = str(error)
    settings = store.settings
    return {
        "name": served.name,
        "version": served.version,
        **loading_json(served, state),
        **({"problem": problem} if problem else {}),
        "images": sum(labels.values()),
        "labels": len(labels),
        "unknown_beyond": settings.certainty.limit,
        "false_accepts": settings.certainty.false_accepts,
        "features": settings.features,
        "treatment": settings.treatment,
        "backbone": settings.backbone.name,
        "precision": store.extractor.precision,
        "image_size": store.extractor.preprocess.size,
        "created": settings.created,
        "can": {"change": state.may_change, "pictures": state.pictures is not None},
        "headstart": version("headstart"),
    }
