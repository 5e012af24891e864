"""A project's labelling configuration: which choices there are for which image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from xml.parsers import expat

from headstart.data.labels import normalised, simplified
from headstart.server.refusals import Refusal

_MOST_BYTES = 1_000_000
_MOST_LEVELS = 100


@dataclass(frozen=True)
class Choice:
    """A choice.

    Attributes:
        name: Its name in annotations and predictions: the alias if it has one.
        names: All its names, which classes of a model may have.
    """

    name: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class ImageChoices:
    """The choices for an image.

    Attributes:
        name: The name of the `Choices` tag.
        image: The name of the `Image` tag.
        key: The key of the image in the data of a task.
        multiple: Whether an image may have several of them.
        choices: The choices.
    """

    name: str
    image: str
    key: str
    multiple: bool
    choices: tuple[Choice, ...]

    def by_class(self, classes: Sequence[str]) -> dict[str, str]:
        """Return the name of the choice for each class of a model that has one.

        Names that are equal go first, then those that differ only in case, spaces and underscores.
        """
        exact = {normalised(name): one.name for one in self.choices for name in one.names}
        similar = {simplified(name): one.name for one in self.choices for name in one.names}
        found = {name: exact.get(name) or similar.get(simplified(name)) for name in classes}
        return {name: choice for name, choice in found.items() if choice is not None}


def read_config(text: str) -> ImageChoices:
    """Find the first choices for an image in a configuration.

    Raises:
        Refusal: The configuration cannot be read, or has no choices for a whole image.
    """
    tags = _Tags()
    tags.read(text)
    images = {tag.name: tag for tag in tags.found if tag.kind == "Image"}
    for tag in tags.found:
        to = [name for name in tag.attributes.get("toName", "").split(",") if name in images]
        if tag.kind != "Choices" or not to or _is_of_a_part(tag.attributes):
            continue
        choices = tuple(_choices(tag))
        value = images[to[0]].attributes.get("value", "")
        if choices and value.startswith("$"):
            multiple = tag.attributes.get("choice") == "multiple"
            return ImageChoices(tag.name, to[0], value[1:], multiple, choices)
    raise Refusal(
        422,
        "The labelling configuration has no <Choices> with <Choice> tags for an <Image> whose "
        'value is "$…". Only the classification of whole images is supported.',
    )


def _is_of_a_part(attributes: Mapping[str, str]) -> bool:
    """Return whether choices are for a region of the image, or for one of several images."""
    return any(attributes.get(name) == "true" for name in ("perRegion", "perItem"))


def _choices(tag: _Tag) -> Iterator[Choice]:
    for inside in tag.choices:
        value = inside.get("value", "")
        name = inside.get("alias") or value
        predicted = [part.strip() for part in inside.get("predicted_values", "").split(",")]
        if name:
            yield Choice(name, tuple(filter(None, (name, value, *predicted))))


@dataclass(frozen=True)
class _Tag:
    kind: str
    attributes: Mapping[str, str]
    choices: list[Mapping[str, str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.attributes.get("name", "")


class _Tags:
    """Reads the tags of a configuration. Entities cannot be declared, so that none can expand."""

    def __init__(self) -> None:
        self.found: list[_Tag] = []
        self._open: list[_Tag] = []

    def read(self, text: str) -> None:
        data = text.encode(errors="replace")
        if len(data) > _MOST_BYTES:
            raise Refusal(413, f"The labelling configuration has more than {_MOST_BYTES:,} bytes.")
        parser = expat.ParserCreate("utf-8")
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        try:
            parser.Parse(data, True)
        except expat.ExpatError as error:
            raise Refusal(422, f"The labelling configuration is not valid XML: {error}.") from None

    def _start(self, kind: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= _MOST_LEVELS:
            raise Refusal(422, f"The labelling configuration has more than {_MOST_LEVELS} levels.")
        tag = _Tag(kind, attributes)
        if kind == "Choice":
            around = next((one for one in reversed(self._open) if one.kind == "Choices"), None)
            if around is not None:
                around.choices.append(attributes)
        self.found.append(tag)
        self._open.append(tag)

    def _end(self, kind: str) -> None:
        self._open.pop()


def _refuse_doctype(*_: object) -> None:
    raise Refusal(422, "The labelling configuration must not have a DOCTYPE.")
