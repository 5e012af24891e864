"""What the boxes of a data set are like, as rows of a table."""

from headstart.data.boxes.findings import BoxFindings, Quartiles
from headstart.data.paths import list_names

_CLASSES = 20


def describe_boxes(found: BoxFindings) -> list[tuple[str, str]]:
    """Return names and values for the report."""
    rows = [("Images", f"{found.images:,}, of which {found.background:,} have no box")]
    crowds = f", and {found.crowds:,} around crowds" if found.crowds else ""
    rows.append(("Boxes", f"{found.boxes:,}{crowds}"))
    if found.per_image:
        rows.append(("Boxes per image", _quartiles(found.per_image, "{:,.0f}")))
    if found.sides:
        rows.append(("Side of a box, as a share of the image's", _quartiles(found.sides, "{:.0%}")))
    sizes = f"{found.small:,} small, {found.medium:,} medium, {found.large:,} large"
    rows.append(("Sizes, as COCO counts them", sizes))
    shown = [f"{name} {count:,}" for name, count in found.by_class[:_CLASSES]]
    if (more := len(found.by_class) - _CLASSES) > 0:
        shown.append(f"and {more:,} more")
    rows.append(("Boxes of each class", ", ".join(shown)))
    if found.doubles:
        names = list(dict.fromkeys(double.image for double in found.doubles))
        doubles = f"{len(found.doubles):,}, in {list_names(names)}"
        rows.append(("Nearly the same box twice", doubles))
    return rows


def _quartiles(values: Quartiles, form: str) -> str:
    low, middle, high, most = (
        form.format(value) for value in (values.lower, values.median, values.upper, values.most)
    )
    return f"{middle} in the middle, {low} to {high} for half of them, {most} at most"
