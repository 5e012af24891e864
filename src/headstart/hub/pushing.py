"""Push a model to the hub: the files of its bundle, as one commit."""

from dataclasses import asdict, dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token, hf_hub_download
from huggingface_hub.hf_api import ModelInfo
from pydantic import JsonValue

from headstart.backbones.hub import quiet, why_unreachable
from headstart.data.paths import list_names
from headstart.errors import HeadstartError, HubError, OptionError, OutputError
from headstart.hub.failures import LOG_IN, why_not_pushed
from headstart.hub.loading import is_config
from headstart.hub.names import PREFIX, HubModel
from headstart.predictor.bundle import CARD, CONFIG, TENSORS, bundle_folder, read_bundle

_FILES = (CARD, CONFIG, TENSORS)
# What the hub itself adds to a new repository.
_OF_HUB = (".gitattributes",)


@dataclass(frozen=True)
class PushedFile:
    """A file that was pushed, with its size in bytes."""

    name: str
    bytes: int


@dataclass(frozen=True)
class PushedModel:
    """A model that was pushed.

    Attributes:
        repository: OWNER/NAME.
        url: The page of the model on the hub.
        commit: The hash of the commit.
        private: Whether only its owner can see it.
        files: The files of the model.
    """

    repository: str
    url: str
    commit: str
    private: bool
    files: tuple[PushedFile, ...]

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files)

    @property
    def model(self) -> str:
        """The name to load it by."""
        return PREFIX + self.repository

    def to_json(self) -> dict[str, JsonValue]:
        """Return plain JSON values."""
        return {
            **asdict(self),
            "files": [{"name": file.name, "bytes": file.bytes} for file in self.files],
            "bytes": self.bytes,
            "model": self.model,
        }


def push_model(
    model: Path, repository: str, *, message: str, private: bool, overwrite: bool
) -> PushedModel:
    """Push the bundle of a run, or a bundle, after verifying it.

    A repository that does not exist is created. Other files that it has are kept.

    Args:
        model: A run folder or a bundle.
        repository: OWNER/NAME.
        message: The message of the commit.
        private: Whether a new repository is private. A public one is refused then.
        overwrite: Whether a repository with other content may be written to.

    Raises:
        BundleError: The bundle is missing or damaged.
        OptionError: The name of the repository is not valid.
        HubError: The hub cannot be reached, or refuses.
        OutputError: The repository has other content, or is public.
    """
    target = HubModel.parse(repository)
    if target.revision:
        raise OptionError(f"'{repository}' has a revision, but a push adds one. Remove the @.")
    read_bundle(model)
    folder = bundle_folder(model)
    files = [folder / name for name in _FILES if (folder / name).is_file()]
    _check_access(target)
    try:
        with quiet():
            return _push(files, target, message, private=private, overwrite=overwrite)
    except HeadstartError:
        raise
    except Exception as error:  # The client passes on whatever its HTTP library raises.
        raise _failed(target, why_not_pushed(error, target)) from None


def _check_access(target: HubModel) -> None:
    if problem := why_unreachable():
        raise _failed(target, problem)
    if not get_token():
        raise _failed(
            target,
            f"you are not logged in. Create a token with write access at "
            f"{constants.ENDPOINT}/settings/tokens, and {LOG_IN}.",
        )


def _push(
    files: list[Path], target: HubModel, message: str, *, private: bool, overwrite: bool
) -> PushedModel:
    api = HfApi()
    url = api.create_repo(target.repository, private=private or None, exist_ok=True)
    found = api.model_info(target.repository)
    if private and not found.private:
        raise OutputError(
            f"'{target.repository}' exists and is public. Make it private in its settings, choose "
            "another name, or omit --private (private=True)."
        )
    if not overwrite:
        _check_content(target, found)
    operations = [CommitOperationAdd(file.name, file) for file in files]
    commit = api.create_commit(
        target.repository,
        operations,
        commit_message=message,
        parent_commit=found.sha,  # Refused if the repository has changed meanwhile.
    )
    sizes = tuple(PushedFile(file.name, file.stat().st_size) for file in files)
    return PushedModel(target.repository, str(url), commit.oid, bool(found.private), sizes)


def _check_content(target: HubModel, found: ModelInfo) -> None:
    """Check that a repository is empty or has a bundle."""
    names = sorted(file.rfilename for file in found.siblings or ())
    others = [name for name in names if name not in _OF_HUB]
    if not others:
        return
    if CONFIG in names and is_config(
        Path(hf_hub_download(target.repository, CONFIG, revision=found.sha))
    ):
        return
    raise OutputError(
        f"'{target.repository}' exists and has other content ({list_names(others, 3)}), so nothing "
        "was pushed. Choose another name, or pass --overwrite (overwrite=True), which replaces "
        "files of the same name and keeps the others."
    )


def _failed(target: HubModel, why: str) -> HubError:
    return HubError(f"The model cannot be pushed to '{target.repository}': {why}")
