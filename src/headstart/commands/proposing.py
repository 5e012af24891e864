"""The plan of changes that follows from what `check` found."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from headstart.data.images import Images
from headstart.data.plan import NO_LABEL, Action, Step
from headstart.record.data_check import DataCheck, LabelError


def propose_steps(record: DataCheck, images: Images) -> Iterator[Step]:
    """Yield a step for each image that something was found about.

    Only what is beyond doubt is proposed as an action: files that cannot be used and further exact
    copies are dropped, and near copies are moved to the part of the first one. Everything else is
    kept, with the reason beside it, until a person decides.
    """
    table = images.manifest.select(["image", "label", "split"]).to_pylist()
    rows = {row["image"]: row for row in table}
    errors: dict[str, list[LabelError]] = defaultdict(list)
    for error in record.label_errors:
        errors[error.image].append(error)
    reasons: dict[str, list[str]] = defaultdict(list)
    actions: dict[str, tuple[Action, str]] = {}
    for rejection in record.rejected:
        reasons[rejection.image].append(rejection.reason)
        actions[rejection.image] = ("drop", "")
    for copies in record.duplicates:
        first = copies.images[0]
        for one in copies.images[1:]:
            kind = "exact" if one.exact else "near"
            other = f", which has the label {first.label}" if one.label != first.label else ""
            reasons[one.image].append(f"{kind} copy of {first.image}{other}")
            if one.exact and one.label == first.label:
                actions.setdefault(one.image, ("drop", ""))
            elif one.split != first.split:
                actions.setdefault(one.image, ("move", first.split or ""))
    known = {name for copies in record.duplicates for name in copies.names}
    for leak in record.leaks:
        for name in leak:
            if name not in known:
                reasons[name].append("its group is in several parts of the split")
    for oddity in record.oddities:
        if not oddity.usual:
            for name in oddity.images:
                reasons[name].append(f"it is {oddity.described}")
    for name, found in errors.items():
        for error in found:
            reasons[name].append(
                f"{error.label} may be wrong: {error.suggested}? (score {error.score:.2f})"
            )
    for name in sorted(reasons):
        row = rows[name]
        action, split = actions.get(name, ("keep", ""))
        label = images.task.label_text(row["label"]) if row["label"] is not None else ""
        yield Step(
            name,
            label,
            (row["split"] or "") if images.split_given else "",
            action,
            _new_label(label, errors[name]),
            split,
            "; ".join(reasons[name]),
        )


def _new_label(label: str, errors: Sequence[LabelError]) -> str:
    """Return the suggested label; with several labels per image, all of them."""
    if not errors:
        return ""
    if not errors[0].about:
        return errors[0].suggested
    present = {name for name in label.split("|") if name}
    for error in errors:
        present ^= {error.about}
    return "|".join(sorted(present)) or NO_LABEL
