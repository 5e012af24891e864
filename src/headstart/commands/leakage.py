"""Groups of images that may belong together, and what their leakage between folds is worth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headstart.arrays import Features, Rows
from headstart.classifier import Classifier
from headstart.commands.recording import estimate_of
from headstart.data.images import ImageSet
from headstart.errors import OptionError
from headstart.evaluation.intervals import difference
from headstart.evaluation.series import FoundSeries, guess_by_names, join_groups
from headstart.record import GroupSource, Leakage


@dataclass(frozen=True)
class TrainingGroups:
    """Groups of training images that belong together, or may.

    Attributes:
        source: See `Leakage.source`.
        count: The number of groups.
        grouped: The group of each image.
        ungrouped: The same without these groups: copies of an image.
        message: What the user should know that was not said yet; "" if there is nothing.
    """

    source: GroupSource
    count: int
    grouped: Sequence[str]
    ungrouped: Sequence[str]
    message: str = ""


def groups_of(train: ImageSet, found: FoundSeries | None) -> TrainingGroups | None:
    """Return the given groups of the training images or, without any, those that can be guessed.

    Args:
        train: The training images, with the groups that were given.
        found: Series among them.
    """
    if train.given_groups:
        groups = train.groups
        return TrainingGroups("given", len(set(groups)), groups, train.sha256s)
    if train.guessed_groups:
        return _guessed("column", train, _numbered(train.guessed_groups))
    if found and found.series.images:
        return _guessed("series", train, found.groups)
    if named := guess_by_names(train.names):
        # Series, which were found by names or features, have said what to do.
        return _guessed("names", train, named.groups, "" if found else named.message)
    return None


def measure_leakage(
    model: Classifier, train: ImageSet, features: Features, groups: TrainingGroups | None
) -> Leakage:
    """Cross-validate the frozen head with and without groups.

    Args:
        model: The classifier, which does not change.
        train: The training images.
        features: Their features, shape (images, width).
        groups: Their groups.

    Raises:
        OptionError: There are no groups, or the head has no folds.
    """
    if groups is None:
        raise OptionError(
            "--leakage needs groups of images that belong together, and there are none: none were "
            "given, and no column or common stem of file names looks like them. Pass --group."
        )
    ungrouped = model.cross_validate(train, features, groups.ungrouped)
    grouped = model.cross_validate(train, features, groups.grouped)
    if ungrouped is None or grouped is None:
        raise OptionError("--leakage needs a head that is cross-validated. Remove one of the two.")
    interval = difference(
        *(ungrouped.accuracy, ungrouped.images), *(grouped.accuracy, grouped.images)
    )
    return Leakage(
        groups.count, groups.source, estimate_of(ungrouped), estimate_of(grouped), interval
    )


def _guessed(
    source: GroupSource, train: ImageSet, groups: Rows, message: str = ""
) -> TrainingGroups:
    known = train.groups
    grouped = [str(number) for number in join_groups(known, groups)]
    return TrainingGroups(source, len(set(grouped)), grouped, known, message)


def _numbered(names: Sequence[str | None]) -> Rows:
    """Return the number of each name; images without one are groups of their own."""
    keys = [f"{number}" if name is None else f"={name}" for number, name in enumerate(names)]
    return np.unique(keys, return_inverse=True)[1].astype(np.int64)
