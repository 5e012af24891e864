"""The base of every class of options: frozen, strict, and shown in one part of the help."""

import inspect
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, ValidationError
from pydantic_core import PydanticCustomError

from headstart.errors import OptionError, suggestion
from headstart.urls import url_of

# Shown in place of regular expressions.
_PATTERNS = {
    "tune": "It must be none, auto, all, stages:N or layers:N, N from 1",
    "window": "It must be first, percentile or CENTER,WIDTH with a positive width, such as 40,400",
}


def _on_this_machine(path: Path) -> Path:
    if url_of(path):
        raise PydanticCustomError("url", "it is a URL, and must be a path on this machine")
    return path


def _text(path: Path) -> str:
    return url_of(path) or str(path)


LenientPlace = Annotated[
    Path, Field(strict=False), PlainSerializer(_text, return_type=str, when_used="json")
]
"""A path or the URL of an object store, of which it merges the slashes; see `urls.url_of`."""

LenientPath = Annotated[LenientPlace, AfterValidator(_on_this_machine)]
"""A path that may be given as text."""


class Panel(StrEnum):
    """The parts of a command's help, in the order in which they are shown."""

    DATA = "Data"
    BACKBONE = "Backbone"
    HEAD = "Features and head"
    TUNING = "Fine-tuning"
    BOXES = "Boxes"
    SERVER = "Server"
    LIMITS = "Limits"
    OUTPUT = "Output"
    MACHINE = "Machine"


class Options(BaseModel):
    """A frozen, strict set of options: unknown names and wrong types are errors.

    Attributes:
        panel: The part of the help with the options that the class itself declares.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    panel: ClassVar[Panel]

    @classmethod
    def of(cls, **values: Any) -> Self:  # noqa: ANN401
        """Build the options from the values that the user gave.

        Raises:
            OptionError: An unknown name (the nearest known ones are suggested) or a wrong value.
        """
        for name in values:
            if name not in cls.model_fields:
                hint = suggestion(name, cls.model_fields)
                raise OptionError(f"Unknown option '{name}'.{hint}")
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            if not first["loc"]:  # Options that do not go together.
                raise OptionError(f"{first['ctx']['error']}.") from None
            name = str(first["loc"][0])
            why = _PATTERNS.get(name, first["msg"])
            given = first["input"]
            shown = repr(_text(given) if isinstance(given, Path) else given)
            raise OptionError(f"Option '{name}' cannot be {shown}: {why}.") from None

    @classmethod
    def panel_of(cls, name: str) -> Panel:
        """Return the part of the help that shows an option: that of the class declaring it."""
        homes = [one for one in cls.__mro__ if name in inspect.get_annotations(one)]
        return next(one.panel for one in homes if issubclass(one, Options))

    def given(self) -> dict[str, Any]:
        """Return the options that the user gave; None, False and "" count as not given."""
        values = {name: getattr(self, name) for name in sorted(self.model_fields_set)}
        return {
            name: value
            for name, value in values.items()
            if value is not None and value is not False and value != ""
        }
