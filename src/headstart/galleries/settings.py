"""What a gallery is, apart from its images: `gallery.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from pydantic import JsonValue, TypeAdapter, ValidationError

from headstart.data.preprocessing import Preprocess
from headstart.errors import GalleryError
from headstart.galleries.certainty import Certainty
from headstart.galleries.embedding import Treatment, TriedEmbedding
from headstart.predictor.config import BackboneConfig

SCHEMA = 1
"""The version of the layout of `gallery.json`."""


@dataclass(frozen=True)
class Trial:
    """An embedding that was tried when the gallery was made.

    Attributes:
        features: The features that it reads.
        treatment: What it does to them.
        recall_at_1: The share of images whose nearest other image has their label, 0 to 1.
        map_at_r: mAP@R, 0 to 1.
    """

    features: str
    treatment: Treatment
    recall_at_1: float
    map_at_r: float

    @classmethod
    def of(cls, tried: TriedEmbedding) -> Self:
        """Return what was found with an embedding."""
        found = tried.retrieval
        return cls(tried.features, tried.treatment, found.recall(1), found.map_at_r)


@dataclass(frozen=True)
class GallerySettings:
    """What a gallery is, apart from its images.

    Attributes:
        headstart: The version of headstart that made it.
        created: Date and time in ISO 8601 with the time zone.
        backbone: The backbone.
        preprocess: The preprocessing of images.
        precision: Numeric precision of the backbone: "bf16" or "float32".
        stored_as: The precision to which features are rounded.
        features: The features that embeddings are made of.
        treatment: What is done to them.
        tensors: The sha256 of the file of weights.
        certainty: What distances say.
        trials: The embeddings that were tried, the best first.
        coarse: What distances say about the part of labels before "/"; None if they have none.
        schema: The version of this layout.
    """

    headstart: str
    created: str
    backbone: BackboneConfig
    preprocess: Preprocess
    precision: str
    stored_as: str
    features: str
    treatment: Treatment
    tensors: str
    certainty: Certainty
    trials: tuple[Trial, ...] = ()
    coarse: Certainty | None = None
    schema: int = SCHEMA

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        values: dict[str, JsonValue] = _SETTINGS.dump_python(self, mode="json")
        return values | {"preprocess": self.preprocess.to_dict()}

    @staticmethod
    def of(values: Mapping[str, JsonValue], name: str) -> GallerySettings:
        """Read the result of `to_json`.

        Args:
            values: The JSON values.
            name: The name of the gallery, for errors.

        Raises:
            GalleryError: They are of a later version, or incomplete.
        """
        if values.get("schema") != SCHEMA:
            raise GalleryError(
                f"Gallery '{name}' has version {values.get('schema')}; this version of headstart "
                f"reads {SCHEMA}. Upgrade headstart."
            )
        try:
            return _SETTINGS.validate_python(values)
        except ValidationError:
            raise GalleryError(
                f"Gallery '{name}' is damaged: its gallery.json is not complete."
            ) from None


_SETTINGS = TypeAdapter(GallerySettings)
