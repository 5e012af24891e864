"""Explanations of predictions, as they are printed."""

from dataclasses import dataclass

from pydantic import JsonValue


@dataclass(frozen=True)
class SimilarImage:
    """A training image that is similar to an explained one.

    Attributes:
        image: Its name in the data that the run was trained on; "" if only a bundle is left.
        label: Its label, as in the data.
        distance: How far it is, as a share of the distance at which an image is unknown.
        picture: A small picture of it, if the model keeps some; else None.
    """

    image: str
    label: str
    distance: float
    picture: str | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        values: dict[str, JsonValue] = {
            "image": self.image,
            "label": self.label,
            "distance": self.distance,
        }
        return values | ({"picture": self.picture} if self.picture else {})


@dataclass(frozen=True)
class ExplainedImage:
    """The explanation of one image.

    Attributes:
        image: The name of the image, as the user passed it.
        label: The class that is explained.
        probability: The probability of that class, 0 to 1.
        heat_map: The picture with the heat map.
        nearest: The nearest training images, nearest first.
        unknown: Whether the image is unlike all training images; None if the model cannot tell.
    """

    image: str
    label: str
    probability: float
    heat_map: str
    nearest: tuple[SimilarImage, ...]
    unknown: bool | None

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        values: dict[str, JsonValue] = {
            "image": self.image,
            "label": self.label,
            "probability": self.probability,
            "heat_map": self.heat_map,
            "nearest": [one.to_json() for one in self.nearest],
        }
        return values | ({"unknown": True} if self.unknown else {})
