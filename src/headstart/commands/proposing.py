"""The plan of changes that follows from what `check` found."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from headstart.data.images import Images
from headstart.data.plan import Action, Step, label_text
from headstart.record.data_check import Copies, DataCheck, LabelError


def propose_steps(record: DataCheck, images: Images) -> Iterator[Step]:
    """Yield a step for each image that something was found about.

    Only what is beyond doubt is proposed as an action: files that cannot be used and further exact
    copies are dropped, and near copies are moved to the part of the first one. Everything else is
    kept, with the reason beside it, until a person decides.
    """
    several = images.task.activation == "sigmoid"
    table = images.manifest.select(["image", "label", "split"]).to_pylist()
    rows = {row["image"]: row for row in table}
    reasons: dict[str, list[str]] = defaultdict(list)
    actions: dict[str, tuple[Action, str]] = {}
    suggested = {one.image: one for one in reversed(record.label_errors)}
    for rejection in record.rejected:
        reasons[rejection.image].append(rejection.reason)
        actions[rejection.image] = ("drop", "")
    for copies in record.conflicts:
        for name in copies.images:
            reasons[name].append(f"copies have different labels: {', '.join(copies.labels)}")
    for copies in record.duplicates:
        first, part = _first_copy(copies, rows)
        for name in copies.images:
            if name == first:
                continue
            reasons[name].append(f"{'exact' if copies.exact else 'near'} copy of {first}")
            if copies.exact and len(copies.labels) == 1:
                actions.setdefault(name, ("drop", ""))
            elif rows[name]["split"] != part and images.split_given:
                actions.setdefault(name, ("move", part))
    for oddity in record.oddities:
        if not oddity.usual:
            for name in oddity.images:
                reasons[name].append(oddity.described)
    for name, error in suggested.items():
        reasons[name].append(f"the label may be wrong (score {error.score:.2f})")
    for name in sorted(reasons):
        row = rows[name]
        action, split = actions.get(name, ("keep", ""))
        label = label_text(row["label"], several=several) if row["label"] is not None else ""
        yield Step(
            name,
            label,
            (row["split"] or "") if images.split_given else "",
            action,
            _new_label(label, [one for one in record.label_errors if one.image == name]),
            split,
            "; ".join(reasons[name]),
        )


def _first_copy(copies: Copies, rows: dict[str, dict[str, str]]) -> tuple[str, str]:
    """Return the copy that stays where it is, and its part: a test image before others."""
    order = {"test": 0, "val": 1, "train": 2}
    first = min(copies.images, key=lambda name: order.get(rows[name]["split"], 3))
    return first, rows[first]["split"] or ""


def _new_label(label: str, errors: Sequence[LabelError]) -> str:
    """Return the suggested label; with several labels per image, all of them."""
    if not errors:
        return ""
    if not errors[0].about:
        return errors[0].suggested
    present = {name for name in label.split("|") if name}
    for error in errors:
        present ^= {error.about}
    return "|".join(sorted(present))
