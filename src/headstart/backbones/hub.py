"""Download files from the Hugging Face hub, or say at once that it cannot be reached.

The client itself retries for half a minute, and logs each attempt.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

from huggingface_hub import (
    ModelCard,
    constants,
    get_session,
    hf_hub_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import HFValidationError

from headstart.errors import WeightsError

# Seconds for an answer of any kind. Finding the address of a server may take longer than the
# timeout of the request, so both are limited.
ANSWER_WITHIN = 3.0

_CARD = "README.md"


def download(name: str, file: str) -> Path:
    """Return the path of a file of the hub, downloaded unless it is in the cache.

    Args:
        name: OWNER/NAME.
        file: The file in that repository.

    Raises:
        WeightsError: It cannot be downloaded; the message says why and what to do.
    """
    problem = why_unreachable()
    if problem and not _is_cached(name, file):
        raise _failed(name, file, problem)
    try:
        with quiet():
            return Path(hf_hub_download(name, file, local_files_only=bool(problem)))
    except Exception as error:  # The client passes on whatever its HTTP library raises.
        raise _failed(name, file, " ".join(str(error).split()) or type(error).__name__) from None


def download_card(name: str) -> None:
    """Download the card of a repository, which has its licence, if it has one."""
    with suppress(WeightsError):
        download(name, _CARD)


def licence_in_card(name: str) -> str | None:
    """Return the licence that the card of a repository names; None if it is not in the cache."""
    path = try_to_load_from_cache(name, _CARD)
    if not isinstance(path, str):
        return None
    card = ModelCard.load(path, ignore_metadata_errors=True)
    return card.data.license if isinstance(card.data.license, str) else None


def check_reachable(name: str, file: str) -> None:
    """Check that a file is in the cache or that the hub can be reached.

    Raises:
        WeightsError: Neither is the case, or the name is not valid.
    """
    if not _is_cached(name, file) and (problem := why_unreachable()):
        raise _failed(name, file, problem)


def _is_cached(name: str, file: str) -> bool:
    try:
        return isinstance(try_to_load_from_cache(name, file), str)
    except HFValidationError as error:
        raise _failed(name, file, str(error)) from None


def why_unreachable() -> str:
    """Return why nothing can be downloaded from the hub, as a sentence; "" if it can be."""
    if constants.HF_HUB_OFFLINE:
        return "the offline mode is on (HF_HUB_OFFLINE)."
    problems = [f"it did not answer within {ANSWER_WITHIN:.0f} seconds"]

    def ask() -> None:
        try:
            get_session().head(constants.ENDPOINT, timeout=ANSWER_WITHIN)
            problems.append("")
        except Exception as error:
            problems.append(" ".join(str(error).split()) or type(error).__name__)

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_WITHIN)
    problem = problems[-1]
    return f"{constants.ENDPOINT} cannot be reached ({problem})." if problem else ""


def _failed(name: str, file: str, reason: str) -> WeightsError:
    return WeightsError(
        f"Cannot download '{file}' of '{name}' from the hub: {reason} "
        f"Without network access, download it elsewhere and pass --weights PATH/{file}, or use "
        "efficientnet-lite0, which needs no download."
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the client from logging, such as its retries: what fails in the end is raised."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
