"""How galleries and what is found in them are shown in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from headstart.cli.columns import print_line, print_table
from headstart.cli.rejections import show_rejections
from headstart.commands.galleries import AnySearchResult, GalleryChange
from headstart.galleries.store import GalleryStore
from headstart.predictor.predictor import FailedPrediction

_SHOWN_LABELS, _SHOWN_KNOWN = 50, 5


def show_trials(console: Console, gallery: GalleryStore) -> None:
    """Show the embeddings that were tried, and what distances say."""
    settings = gallery.settings
    if settings.trials:
        print_line(console, "Leave-one-out retrieval among these images:")
        rows = [
            [
                *(Text(one.features), Text(one.treatment)),
                *(Text(f"{one.recall_at_1:.1%}"), Text(f"{one.map_at_r:.3f}")),
                Text("" if number else "← chosen"),
            ]
            for number, one in enumerate(settings.trials)
        ]
        print_table(console, ("features", "treatment", "recall@1>", "mAP@R>", ""), rows)
    certainty = settings.certainty
    if certainty.limit is None:
        print_line(console, "There are too few images to say from where an image is unknown.")
    else:
        print_line(
            console,
            f"Images farther than {certainty.limit:.3f} are unknown: {certainty.false_accepts:.0%} "
            "of strangers are nearer.",
        )


def show_change(console: Console, result: GalleryChange, verb: str) -> None:
    """Show what was added or removed.

    Args:
        console: Where to print.
        result: What was done.
        verb: "Enrolled", "Added" or "Removed".
    """
    show_rejections(console, result.rejected)
    change = result.change
    if change.known:
        some = ", ".join(f"'{name}'" for name in change.known[:_SHOWN_KNOWN])
        more = (
            f" and {len(change.known) - _SHOWN_KNOWN:,} more"
            if len(change.known) > _SHOWN_KNOWN
            else ""
        )
        print_line(console, f"Enrolled before, not added again: {some}{more}.")
    print_line(
        console,
        f"{verb} {change.changed:,} {_images(change.changed)}. The gallery has {change.images:,} "
        f"{_images(change.images)} of {change.labels:,} "
        f"label{'' if change.labels == 1 else 's'}.",
    )
    print_line(console, f"  search  headstart gallery search {result.gallery.folder} IMAGE")


def show_answers(console: Console, answers: Sequence[AnySearchResult]) -> None:
    """Show the label of each image, and its nearest enrolled image."""
    rows = []
    for one in answers:
        if isinstance(one, FailedPrediction):
            rows.append([Text(one.image), Text(one.error, "red"), *map(Text, ("", "", ""))])
            continue
        first, hit = one.labels[0], one.hits[0]
        label = Text("unknown", "yellow") if one.unknown else Text(first.label, "bold")
        sure = "\u2013" if first.probability is None else f"{first.probability:.1%}"
        nearest = f"{hit.label}: {hit.image}" if one.unknown else hit.image
        fields = ", ".join(f"{name} {value}" for name, value in hit.fields.items())
        rows.append(
            [
                Text(one.image),
                label,
                Text(sure),
                Text(f"{hit.distance:.3f}"),
                Text(nearest),
                Text(fields),
            ]
        )
    columns = ("image", "label", "probability>", "distance>", "nearest image", "")
    print_table(console, columns, rows)


def show_labels(console: Console, gallery: GalleryStore, counts: Mapping[str, int]) -> None:
    """Show the labels with the number of their images."""
    rows = [
        [Text(name), Text(f"{count:,}")] for name, count in list(counts.items())[:_SHOWN_LABELS]
    ]
    print_table(console, ("label", "images>"), rows)
    if len(counts) > _SHOWN_LABELS:
        print_line(console, f"… and {len(counts) - _SHOWN_LABELS:,} more with --json")
    backbone = gallery.settings.backbone
    print_line(
        console,
        f"{sum(counts.values()):,} {_images(sum(counts.values()))} of {len(counts):,} labels; "
        f"{gallery.settings.treatment} {gallery.settings.features} features of {backbone.name}.",
    )


def _images(count: int) -> str:
    return "image" if count == 1 else "images"
