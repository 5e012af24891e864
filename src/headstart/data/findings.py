"""Find what the user should know about the data before training on it."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from headstart.data.checks import Scan
from headstart.data.images import Images
from headstart.data.labels import normalised, similar_names, simplified
from headstart.data.listing import Source
from headstart.data.manifest import rejected, usable, with_column
from headstart.data.paths import list_names
from headstart.task import Task

# Fewer classes than that are not surprising, however few images they have.
_MANY = 10
_SHOWN_REASONS = 3
_SHOWN_LEAKS, _SHOWN_OF_LEAK = 3, 3
# What differs between reasons of the same kind: names, numbers and messages of libraries.
_DETAIL = re.compile(r"'.*'|\(.*\)|\d+")


def find_warnings(images: Images, checked: Scan, source: Source) -> Iterator[str]:
    """Yield a sentence for each thing that may be a mistake in the data.

    Args:
        images: The images, split.
        checked: The result of checking every file.
        source: The source, which knows the given split.
    """
    yield from unusable_classes(images.manifest, images.task)
    if (unused := rejected(images.manifest)).num_rows:
        yield f"Images not used: {unused.num_rows:,}. {describe_rejections(unused)}"
    if checked.conflicts and source.in_folders and not source.several:
        yield (
            f"Images that are in the folders of several classes: {checked.conflicts:,}. If an "
            "image may have several labels, pass --task multi."
        )
    present = len(images.classes) - len(images.all.absent())
    if present > max(_MANY, len(images.all) / 2):
        yield (
            f"There are {present:,} classes for {len(images.all):,} images. Is the "
            "right column or folder the label?"
        )
    for names in similar_names(images.classes):
        yield (
            f"The classes {list_names(names)} differ only in the way they are written. If they "
            "are the same, rename one of them."
        )
    yield from _repairs(images.manifest)
    yield from _first_frames(images.manifest)
    if checked.duplicates and not source.splits:
        yield f"Duplicates, each kept on the same side of the split: {checked.duplicates}."
    if images.leaks:
        yield (
            f"Groups or duplicates that span the given split: {len(images.leaks):,} "
            f"({_describe_leaks(images.leaks)}). Test scores are optimistic."
        )
    if source.unassigned:
        yield f"Images without a part in the given split, used for training: {source.unassigned:,}."
    yield from _classes_without_images(images)


def _describe_leaks(leaks: Sequence[Sequence[str]]) -> str:
    """Name the images of the first groups."""
    shown = "; ".join(list_names(list(names), _SHOWN_OF_LEAK) for names in leaks[:_SHOWN_LEAKS])
    rest = len(leaks) - _SHOWN_LEAKS
    return f"{shown}; and {rest:,} more" if rest > 0 else shown


def test_part_warnings(images: Images) -> Iterator[str]:
    """Yield a sentence if a given split has no test images, for those who train on it."""
    if not images.split_given or len(images.test):
        return
    if not len(images.val):
        yield "The data has no test images, so the model will not be evaluated."
        return
    yield (
        "The data has no test images. train reports the result on the validation part instead; "
        "with --test 0.2, it holds out a fifth of the training part for testing."
    )


def _repairs(manifest: pa.Table) -> Iterator[str]:
    """Yield a sentence for each kind of repair, with the first images."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in usable(manifest).select(["image", "repaired"]).to_pylist():
        if row["repaired"]:
            found[row["repaired"]].append(row["image"])
    for repair, names in found.items():
        count = "1 image was" if len(names) == 1 else f"{len(names):,} images were"
        yield f"{count} repaired, as {repair}: {list_names(names)}."


def _first_frames(manifest: pa.Table) -> Iterator[str]:
    """Yield a sentence if images have more frames or pages than the first one."""
    table = usable(manifest)
    if names := table.filter(table["has_more"])["image"].to_pylist():
        yield (
            f"Images with several frames or pages, of which the first is used: {len(names):,} "
            f"({list_names(names)})."
        )


def _classes_without_images(images: Images) -> Iterator[str]:
    task = images.task
    trained, tested = task.present(images.train.labels), task.present(images.test.labels)
    if tested and (missing := _names(images, trained - tested)):
        whose = "its" if len(missing) == 1 else "their"
        yield f"No test images of {list_names(missing)}: {whose} accuracy is not measured."
    if trained and (missing := _names(images, tested - trained)):
        what = "it" if len(missing) == 1 else "they"
        yield f"No training images of {list_names(missing)}: {what} cannot be learnt."


def unusable_classes(manifest: pa.Table, task: Task) -> list[str]:
    """Return a sentence for each class of which every image was rejected."""
    used = set(task.classes(usable(manifest)["label"].to_pylist()))
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rejected(manifest).select(["label", "rejected"]).to_pylist():
        for name in task.classes([row["label"]]) if row["label"] else ():
            reasons[name][row["rejected"]] += 1
    return [
        f"No image of the class '{name}' can be used: {_describe(reasons[name])}."
        for name in sorted(set(reasons) - used)
    ]


def describe_rejections(table: pa.Table) -> str:
    """Return a sentence of the most frequent reasons, each with the first image.

    Args:
        table: The rejected images' rows of the manifest.
    """
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in table.select(["image", "rejected"]).to_pylist():
        groups[_DETAIL.sub("", row["rejected"])].append((row["image"], row["rejected"]))
    shown = sorted(groups.values(), key=len, reverse=True)[:_SHOWN_REASONS]
    rest = table.num_rows - sum(map(len, shown))
    texts = [f"{list_names([image for image, _ in group], 1)}: {group[0][1]}" for group in shown]
    return "; ".join(texts) + (f"; and {rest:,} for other reasons." if rest else ".")


def _describe(reasons: Counter[str]) -> str:
    (reason, count), *_ = reasons.most_common(1)
    total = sum(reasons.values())
    if total == 1:
        return reason
    share = f"{count:,} of {total:,} images" if len(reasons) > 1 else f"all {total:,} images"
    return f"{reason} ({share})"


def with_known_classes(manifest: pa.Table, task: Task, classes: Sequence[str]) -> pa.Table:
    """Write labels as a model does, and reject images of classes that the model does not have."""
    written = {normalised(name): name for name in classes}
    labels = [written.get(label, label) for label in manifest["label"].to_pylist()]
    reasons = {
        label: _unknown_class(unknown[0], classes)
        for label in set(labels)
        if label and (unknown := [name for name in task.classes([label]) if name not in classes])
    }
    manifest = with_column(manifest, "label", labels)
    return with_column(manifest, "rejected", _first_reasons(manifest, labels, reasons))


def _first_reasons(
    manifest: pa.Table, labels: Sequence[str | None], reasons: Mapping[str, str]
) -> list[str | None]:
    old = manifest["rejected"].to_pylist()
    return [
        reason or (reasons.get(label) if label else None)
        for reason, label in zip(old, labels, strict=True)
    ]


def _unknown_class(name: str, classes: Sequence[str]) -> str:
    alike = [known for known in classes if simplified(known) == simplified(name)]
    hint = f", but '{alike[0]}'; rename one of them" if alike else ""
    return f"the model has no class {name}{hint}"


def _names(images: Images, numbers: set[int]) -> list[str]:
    return [images.classes[number] for number in sorted(numbers)]
