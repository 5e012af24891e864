"""Errors that a user can cause. Each message says what is wrong, with the value, and what to do.

HeadstartError
├── OptionError           an option's name or value
├── DataError             the images, labels or table
│   ├── UnreadableImage   one image that cannot be decoded
│   │   └── NotAnImage    a value of a type that is not taken for an image
│   └── UnsafeArchive     an archive that would write outside its folder, or is too large
├── BackboneError
│   ├── UnknownBackbone   no architecture of that name
│   └── WeightsError      weights that are missing, damaged or of another architecture
├── StoreError            the feature store cannot be read or written
├── TuningError           fine-tuning cannot continue
├── OutputError           the output folder exists or cannot be written
├── RecordError           the record of a run is missing, damaged or of a later version
├── BundleError           a saved model that is missing, damaged or of an unknown version
├── ExportError           a model cannot be exported in this form
├── GalleryError          a gallery is missing, damaged, empty, or changed by another process
├── ProjectError          a labelling project is open elsewhere, or an act in it is impossible
├── HubError              the hub cannot be reached, or refuses
├── ServerError           a model cannot be served in this way
└── ClusterError          a cluster cannot be reached, or does not suit
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Self


class HeadstartError(Exception):
    """Base of every error that a user can cause."""


class OptionError(HeadstartError):
    """An option has an unknown name or a value outside its range."""


class DataError(HeadstartError):
    """The images, labels or table cannot be used."""


class UnreadableImage(DataError):
    """One image cannot be decoded.

    Attributes:
        path: The file, as the user named it.
        reason: The reason, without the path.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"Cannot read image '{path}': {reason}.")
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        """Pickle it, for errors of workers."""
        return type(self), (self.path, self.reason)


class NotAnImage(UnreadableImage, TypeError):
    """A value has a type that is not taken for an image."""


class UnsafeArchive(DataError):
    """An archive has a member that would be written outside its folder, or is too large."""


class BackboneError(HeadstartError):
    """The backbone cannot be built or loaded."""


class UnknownBackbone(BackboneError):
    """There is no architecture of that name."""


class WeightsError(BackboneError):
    """Weights are missing, damaged or belong to another architecture."""


class StoreError(HeadstartError):
    """The feature store cannot be read or written."""


class TuningError(HeadstartError):
    """Fine-tuning cannot continue."""


class OutputError(HeadstartError):
    """The output folder exists or cannot be written."""


class ExportError(HeadstartError):
    """A model cannot be exported with the same answers."""


class RecordError(HeadstartError):
    """The record of a run is missing, damaged or of a later version."""


class BundleError(HeadstartError):
    """A saved model is missing, damaged or of an unknown version."""


class GalleryError(HeadstartError):
    """A gallery is missing, damaged, empty, or changed by another process."""


class ProjectError(HeadstartError):
    """A labelling project cannot be opened, or an act in it is impossible."""


class HubError(HeadstartError):
    """The hub cannot be reached, or refuses what it was asked for."""


class ServerError(HeadstartError):
    """A server cannot start."""


class ClusterError(HeadstartError):
    """A cluster cannot be reached, has other versions, or lacks what is needed."""


class RunInterrupted(KeyboardInterrupt):
    """The user pressed Ctrl-C, and the training can be resumed.

    Attributes:
        run: The folder of the run.
    """

    def __init__(self, run: Path) -> None:
        super().__init__(str(run))
        self.run = run


class HeadstartWarning(UserWarning):
    """Something about the data or a training that the user should know."""


def suggestion(
    wrong: str, known: Iterable[str], *, display: Mapping[str, str] | None = None
) -> str:
    """Return `" Did you mean 'a', 'b'?"` with the names most similar to a wrong one, or "".

    Args:
        wrong: The name that was typed.
        known: The valid names.
        display: The form in which to show a valid name, if it differs.
    """
    near = get_close_matches(wrong.lower(), list(known), n=3, cutoff=0.5)
    names = [display.get(name, name) if display else name for name in near]
    return f" Did you mean {', '.join(repr(name) for name in names)}?" if near else ""


def reason_of(error: Exception) -> str:
    """Return why a system call or a library failed, without the path that its error may name."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
