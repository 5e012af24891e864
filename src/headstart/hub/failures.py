"""Why the hub did not do what it was asked for, and what to do about it."""

from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from headstart.hub.names import HubModel

LOG_IN = "log in with 'hf auth login', or set HF_TOKEN"

_UNAUTHORISED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404
_CHANGED = (409, 412)


def why_not_loaded(error: Exception, model: HubModel) -> str:
    """Return why a file of a model cannot be downloaded, in sentences."""
    page = f"{constants.ENDPOINT}/{model.repository}"
    if isinstance(error, GatedRepoError):
        return f"its owner asks for your consent first: visit {page}, then {LOG_IN}."
    if isinstance(error, RevisionNotFoundError):
        return f"it has no revision '{model.revision}'. {page} lists them."
    if isinstance(error, RepositoryNotFoundError) or _status(error) == _UNAUTHORISED:
        return f"the repository does not exist, or is private. Check the name, or {LOG_IN}."
    if _status(error) == _FORBIDDEN:
        return f"your token may not read it. Ask its owner for access, or {LOG_IN}."
    return _reason(error)


def why_not_pushed(error: Exception, model: HubModel) -> str:
    """Return why a model cannot be pushed, in sentences."""
    if isinstance(error.__cause__, Exception) and type(error) is RuntimeError:
        error = error.__cause__  # The client's own says only which file failed.
    status, owner = _status(error), model.repository.split("/")[0]
    if status == _FORBIDDEN:
        return (
            f"your token may not write to '{owner}'. Choose a repository of your own, or a token "
            f"with write access: {constants.ENDPOINT}/settings/tokens."
        )
    if status == _UNAUTHORISED:
        return f"the hub does not accept your token. Create one with write access, and {LOG_IN}."
    if status == _NOT_FOUND:
        return f"there is no '{owner}' to write to. Check the name."
    if status in _CHANGED:
        return "the repository was changed meanwhile. Look at it, and push again."
    return _reason(error)


def _status(error: Exception) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _reason(error: Exception) -> str:
    """Return the reason in the words of the hub or of the system."""
    said = getattr(error, "server_message", None) or getattr(error, "strerror", None)
    text = " ".join(str(said or error).split()) or type(error).__name__
    return text if text.endswith(".") else f"{text}."
