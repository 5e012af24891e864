"""Load a model from the hub: downloaded once, and from the cache without a network connection."""

import json
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from headstart.backbones.hub import quiet, why_unreachable
from headstart.errors import BundleError, HubError
from headstart.hub.failures import why_not_loaded
from headstart.hub.names import HubModel
from headstart.predictor.bundle import CONFIG, TENSORS, Bundle, read_bundle


def read_hub_bundle(name: str) -> Bundle:
    """Read a bundle from the hub, and verify its checksums.

    The card is not downloaded: it may have been edited there, and predictions do not need it.

    Args:
        name: "hf-hub:OWNER/NAME", or with "@" and a branch, a tag or a commit.

    Raises:
        OptionError: The name is not valid.
        HubError: The model cannot be downloaded, and is not in the cache.
        BundleError: The repository has no bundle, or a damaged one.
    """
    model, problem = HubModel.parse(name), why_unreachable()
    config = _download(model, CONFIG, model.revision, problem)
    if not is_config(config):
        raise _not_a_bundle(model, f"its '{CONFIG}' is that of another library")
    # Of the same commit, even if the repository changes meanwhile.
    _download(model, TENSORS, config.parent.name, problem)
    try:
        return read_bundle(config.parent)
    except BundleError as error:
        raise BundleError(
            f"{error} It is from '{model.repository}' on the hub: remove "
            f"'{config.parents[2]}' to download it again."
        ) from None


def is_config(file: Path) -> bool:
    """Return whether a file is the configuration of a bundle, of any version."""
    try:
        values = json.loads(file.read_bytes())
    except ValueError:
        return False
    return isinstance(values, dict) and {"schema", "sha256", "files"} <= values.keys()


def _download(model: HubModel, file: str, revision: str | None, problem: str) -> Path:
    """Return the path of a file in the cache, downloaded unless it is there.

    Args:
        model: The model.
        file: The name of the file.
        revision: A branch, a tag or a commit; None for the newest version.
        problem: Why the hub cannot be reached; "" if it can be.
    """
    try:
        with quiet():
            path = hf_hub_download(
                model.repository, file, revision=revision, local_files_only=bool(problem)
            )
    except LocalEntryNotFoundError as error:
        why = problem or why_not_loaded(error, model)
        raise HubError(
            f"Model '{model.repository}' is not in the cache, and cannot be downloaded: {why} "
            "Without network access, copy the folder of the model and pass its path."
        ) from None
    except EntryNotFoundError:
        raise _not_a_bundle(model, f"it contains no '{file}'") from None
    except Exception as error:  # The client passes on whatever its HTTP library raises.
        why = why_not_loaded(error, model)
        raise HubError(f"Model '{model.repository}' cannot be downloaded: {why}") from None
    return Path(path)


def _not_a_bundle(model: HubModel, why: str) -> BundleError:
    return BundleError(
        f"'{model.repository}' on the hub is not a model of headstart: {why}. "
        "Pass a repository that 'headstart push' has written."
    )
