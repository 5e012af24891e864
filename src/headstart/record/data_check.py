"""What `check` found in labelled images."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import JsonValue

from headstart.record.estimates import Interval
from headstart.record.values import Rejection

OddityKind = Literal["blurred", "dark", "bright", "empty", "border", "size", "shape", "mode"]
"""What is unusual about an image; see `Oddity.described`."""

_ODDITIES: dict[OddityKind, str] = {
    "blurred": "blurred",
    "dark": "nearly black",
    "bright": "nearly white",
    "empty": "almost of one colour",
    "border": "framed by a border of one colour",
    "size": "much smaller than most",
    "shape": "much longer or wider than most",
    "mode": "stored in another colour mode than most",
}


@dataclass(frozen=True)
class CheckedClass:
    """A class and its number of usable images."""

    name: str
    images: int


@dataclass(frozen=True)
class Copy:
    """One of several copies of a picture.

    Attributes:
        image: Its name.
        label: Its label; with several per image, those that are present, separated by "|".
        split: The part of the given split; None without one.
        exact: Whether its file is identical to that of an earlier copy; if not, it is the first, or
            re-encoded, resized or slightly brighter.
    """

    image: str
    label: str
    split: str | None
    exact: bool


@dataclass(frozen=True)
class Copies:
    """Copies of one picture: test images first, then validation, then training images."""

    images: tuple[Copy, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the images."""
        return tuple(one.image for one in self.images)

    @property
    def labels(self) -> tuple[str, ...]:
        """Their different labels."""
        return tuple(sorted({one.label for one in self.images}))


@dataclass(frozen=True)
class Oddity:
    """Images that are unusual in the same way.

    Attributes:
        kind: What is unusual.
        images: Their names, the most unusual first.
        usual: Whether so many are that it is a property of the data, and not of single images.
    """

    kind: OddityKind
    images: tuple[str, ...]
    usual: bool

    @property
    def described(self) -> str:
        """What is unusual, after "Images that are" or "Images"."""
        return _ODDITIES[self.kind]


@dataclass(frozen=True)
class ShortcutClass:
    """A class that can be recognised by a trait alone.

    Attributes:
        name: The class.
        auroc: The AUROC of the class against all others, on held-out folds, 0 to 1.
        auroc_ci95: Its 95% interval.
    """

    name: str
    auroc: float
    auroc_ci95: Interval


@dataclass(frozen=True)
class Shortcut:
    """A trait of files or pictures that distinguishes classes without looking at the content.

    Attributes:
        trait: The name of the trait.
        of: Whether it belongs to the file (format, size, compression, camera), where it is nearly
            always a mistake, or to the picture (border, colour, sharpness), where it may also be
            what the class looks like.
        accuracy: Accuracy of a small decision tree on the trait alone, on held-out folds; None for
            several labels per image.
        baseline: Accuracy of the majority baseline; None for several labels per image.
        classes: The classes that the trait distinguishes, most clearly first.
    """

    trait: str
    of: Literal["file", "picture"]
    accuracy: float | None
    baseline: float | None
    classes: tuple[ShortcutClass, ...]

    @property
    def sentence(self) -> str:
        """The finding in a sentence."""
        names = _listed([f"'{one.name}'" for one in self.classes])
        auroc = self.classes[0].auroc
        measured = f"AUROC {'up to ' if len(self.classes) > 1 else ''}{auroc:.2f}"
        if self.accuracy is not None and self.baseline is not None:
            measured += f"; accuracy {self.accuracy:.0%}, majority baseline {self.baseline:.0%}"
        return f"{self.trait[:1].upper()}{self.trait[1:]} alone tells {names} apart ({measured})."


@dataclass(frozen=True)
class LabelError:
    """An image whose label is probably wrong.

    Attributes:
        image: Its name.
        label: The label that it has.
        suggested: The label that models that did not learn the image predict.
        score: The probability of the suggested label minus that of the given one, 0 to 1.
        split: The part of the given split; None without one.
        about: With several labels per image, the name of the label; "" otherwise.
    """

    image: str
    label: str
    suggested: str
    score: float
    split: str | None = None
    about: str = ""


@dataclass(frozen=True)
class DataCheck:
    """Everything that `check` found.

    Attributes:
        headstart: The version of headstart that checked it.
        created: Date and time in ISO 8601 with the time zone.
        data: A short name of the data.
        source: The path that the user passed.
        task: The name of the task.
        images: The number of usable images.
        splits: The number of usable images in each part of the given split; empty without one.
        classes: The classes with their number of images.
        few: Classes with too few images to learn or to measure.
        imbalance: The largest class divided by the smallest; None with several labels per image.
        rejected: Images that cannot be used, with the reasons.
        duplicates: Copies of the same picture.
        leaks: Copies, or groups, that span the given split, as names of images.
        conflicts: Copies that have different labels.
        oddities: Unusual images.
        constant: Descriptions of regions that look the same in all images, such as watermarks.
        shortcuts: Traits that distinguish classes without looking at the content.
        label_errors: Images whose label is probably wrong, most suspect first.
        accuracy: Accuracy of the models that looked for label errors, on held-out folds; None if
            none were looked for.
        warnings: Other things that may be wrong, in sentences.
        seconds: The time that it took.
        boxes: What the boxes are like, as names and values; empty for other labels.
    """

    headstart: str
    created: str
    data: str
    source: str
    task: str
    images: int
    splits: dict[str, int]
    classes: tuple[CheckedClass, ...]
    few: tuple[CheckedClass, ...]
    imbalance: float | None
    rejected: tuple[Rejection, ...]
    duplicates: tuple[Copies, ...]
    leaks: tuple[tuple[str, ...], ...]
    conflicts: tuple[Copies, ...]
    oddities: tuple[Oddity, ...] = ()
    constant: tuple[str, ...] = ()
    shortcuts: tuple[Shortcut, ...] = ()
    label_errors: tuple[LabelError, ...] = ()
    accuracy: float | None = None
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    boxes: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, JsonValue]:
        """Return all of it as plain JSON values."""
        return {**asdict(self), "findings": list(self.findings)}

    @property
    def findings(self) -> Iterator[str]:
        """Sentences that say what was found, most serious first."""
        if self.rejected:
            yield f"{_count(self.rejected, 'file')} cannot be used."
        if self.conflicts:
            yield (f"{_count(self.conflicts, 'picture')} with copies under different labels.")
        if self.leaks:
            yield (
                f"{_count(self.leaks, 'group')} of copies or related images spanning the split: "
                "test results would be optimistic."
            )
        yield from (one.sentence for one in self.shortcuts if one.of == "file")
        if self.label_errors:
            sure = (
                "" if self.accuracy is None else f" (models predict {self.accuracy:.0%} correctly)"
            )
            yield f"{_count(self.label_errors, 'label')} that may be wrong{sure}."
        if self.duplicates:
            copies = sum(len(one.images) - 1 for one in self.duplicates)
            exact = sum(one.exact for copies in self.duplicates for one in copies.images)
            what = "1 more copy" if copies == 1 else f"{copies:,} more copies"
            yield (
                f"{_count(self.duplicates, 'picture')} with {what} "
                f"({exact:,} exact, {copies - exact:,} near)."
            )
        for oddity in self.oddities:
            many = ", so many that it is a property of the data" if oddity.usual else ""
            yield f"{_count(oddity.images, 'image')} {oddity.described}{many}."
        yield from self.constant
        yield from (one.sentence for one in self.shortcuts if one.of == "picture")
        if self.few:
            yield describe_few(self.few)


def describe_few(few: tuple[CheckedClass, ...]) -> str:
    """Return a sentence about classes with too few images to learn or to measure."""
    names = _listed([f"'{one.name}' ({one.images:,})" for one in few])
    return f"Classes with too few images: {names}."


def _count(items: tuple[object, ...], noun: str) -> str:
    return f"{len(items):,} {noun}{'' if len(items) == 1 else 's'}"


_SHOWN = 5


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else shown
