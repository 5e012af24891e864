"""Names of models on the hub, such as "hf-hub:owner/name@revision"."""

import os
from dataclasses import dataclass
from pathlib import PurePath
from typing import Self

from headstart.errors import OptionError

PREFIX = "hf-hub:"


@dataclass(frozen=True)
class HubModel:
    """A model on the hub.

    Attributes:
        repository: OWNER/NAME.
        revision: A branch, a tag or a commit; None for the newest version.
    """

    repository: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a name with or without its prefix.

        Raises:
            OptionError: It is not a valid name.
        """
        repository, at, revision = text.removeprefix(PREFIX).partition("@")
        if problem := _problem(repository):
            raise OptionError(f"'{text}' is not the name of a model on the hub: {problem}")
        if at and not revision:
            raise OptionError(f"'{text}' has no revision after the @. Add it, or remove the @.")
        return cls(repository, revision or None)


def on_hub(model: str | os.PathLike[str]) -> str | None:
    """Return the name of a model on the hub; None for a path, which is not one."""
    text = PurePath(model).as_posix()
    return text if text.startswith(PREFIX) else None


def _problem(repository: str) -> str:
    """Return why a name of a repository is not valid, as a sentence; "" if it is."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    if repository.count("/") != 1:
        return "it must be OWNER/NAME, with the name of a user or an organisation."
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        return f"{str(error).removesuffix('.')}."
    return ""
