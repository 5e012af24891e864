"""The model card, in the format of the Hugging Face hub: what a model is for, and how good it is.

Everything comes from the model and the record of its training; nothing is measured here.
"""

import re
from collections.abc import Iterable, Iterator

from headstart.backbones.licences import describe_licence
from headstart.predictor.card_metadata import card_metadata
from headstart.predictor.config import BackboneConfig, Config, HeadConfig
from headstart.record import (
    BoxClassResult,
    ClassResult,
    Evaluation,
    Interval,
    LabelResult,
    Record,
    describe_use,
)
from headstart.task import Summary, Task

_USE = """\
```python
import headstart as hs

model = hs.load("path/to/this/folder")  # on the hub: "hf-hub:OWNER/NAME"
print(model.predict("image.jpg"))
```

```
headstart predict path/to/this/folder image.jpg
headstart predict hf-hub:OWNER/NAME image.jpg
```"""

_PEOPLE = (
    "Where a decision has consequences for people, a person has to check it. The results below are "
    "those of one data set. Measure the model on your own images first, with `headstart evaluate`."
)

# What Markdown or HTML would take for markup. An underscore within a word is none.
_MARKUP = re.compile(r"[\\`*\[\]<>|&#~]|(?<![^\W_])_|_(?![^\W_])")


def model_card(config: Config, task: Task, *, kept: str = "") -> str:
    """Return the card of a model, in Markdown.

    Args:
        config: The model.
        task: Its task.
        kept: What else it keeps of its training images, as a sentence; "" if nothing.
    """
    record = config.record
    sections = [
        ("How to use it", [_USE]),
        ("Intended use", _intended_use(config)),
        ("Training data", _training_data(record)),
        ("Results", _results(record, task)),
        ("Limits", _limits(config, kept)),
        ("Licence of the weights", [_licence(config.backbone)]),
        ("Versions", [_listed(_versions(config))]),
    ]
    text = [f"{card_metadata(config)}# {task.describe(config.classes)}", _listed(_facts(config))]
    for title, paragraphs in sections:
        text += [f"## {title}", *paragraphs]
    return "\n\n".join(text) + "\n"


def _facts(config: Config) -> Iterator[str]:
    yield f"Classes: {', '.join(map(escaped, config.classes))}"
    yield f"Backbone: {config.backbone.name}"
    yield f"Weights: {_weights(config.backbone)}"
    yield f"Head: {_describe_head(config.head)} on {config.features} features"
    if config.record and config.record.tuned:
        yield f"Fine-tuned: {config.record.tuned}"


def _describe_head(head: HeadConfig) -> str:
    """Return the kind of a head; of an average, also the kinds and shares of its members."""
    numbers = head.numbers
    shares = [float(value) for name, value in numbers.items() if name.startswith("share")]
    if not shares:
        return head.kind
    members = [
        f"{numbers[f'member{number}.kind']} {share:.0%}" for number, share in enumerate(shares)
    ]
    return f"average of {len(shares)} heads ({', '.join(members)})"


def _weights(backbone: BackboneConfig) -> str:
    """Return the source and the licence of the weights; random weights have no licence."""
    if backbone.origin == "random":
        return backbone.origin
    return f"{backbone.origin}, {describe_licence(backbone.licence)}"


def _intended_use(config: Config) -> Iterator[str]:
    what = f"images of '{escaped(config.record.data.name)}'" if config.record else "images"
    others = "and in others of the same kind from the same source"
    if config.task == "boxes":
        objects = "class" if len(config.classes) == 1 else f"{len(config.classes):,} classes"
        yield f"To find the objects of the {objects} above in {what}, {others}."
        yield "Not for other objects or other kinds of images: the model knows no other classes."
    else:
        yield f"To tell the {len(config.classes):,} classes above apart in {what}, {others}."
        yield (
            "Not for other images, because the model knows no other classes. Nor does it say where "
            "in an image something is."
        )
    yield _PEOPLE


def _training_data(record: Record | None) -> Iterator[str]:
    if record is None:
        yield "Not recorded: the model was saved without the record of a training."
        return
    images = record.data.images
    yield (
        f"'{escaped(record.data.name)}': {images.train:,} training images, {images.val:,} "
        f"validation images and {images.test:,} test images; {images.rejected:,} files could not "
        "be used."
    )
    if record.data.understood:
        yield _listed(map(escaped, record.data.understood))


def _results(record: Record | None, task: Task) -> Iterator[str]:
    """Yield the results on the test part or, without one, on the validation part."""
    evaluation = record.reported if record else None
    if record is None or evaluation is None:
        yield "Not measured: the training held no images out."
        return
    summary = task.summarise(
        evaluation, "test" if record.test else "validation", record.data.trained_on
    )
    use = "" if record.test else f" The validation part {describe_use(record.val_used_for)}."
    yield f"{summary.sentence}{use}"
    yield f"{summary.figures}."
    yield from _table(summary)
    yield from _as_list([*_weakest(evaluation), *summary.operating])


def _table(summary: Summary) -> Iterator[str]:
    """Yield the results by class; a row that is a remark becomes a paragraph."""
    titles = [title.removesuffix(">") for title in summary.columns]
    marks = ["---:" if title.endswith(">") else "---" for title in summary.columns]
    rows = [tuple(map(escaped, row)) for row in summary.rows if len(row) == len(titles)]
    yield "\n".join(f"| {' | '.join(cells)} |" for cells in (titles, marks, *rows))
    yield from (escaped(row[0]) for row in summary.rows if len(row) == 1)
    if summary.note:
        yield escaped(summary.note)


def _weakest(evaluation: Evaluation) -> Iterator[str]:
    """Yield which class is recognised least often, with its interval."""
    recalls = [(one.name, *_recall(one)) for one in evaluation.per_class]
    measured = [(recall, name, bounds) for name, recall, bounds in recalls if recall is not None]
    if len(measured) > 1:
        recall, name, bounds = min(measured, key=lambda one: one[0])
        if recall == 1:
            return
        interval = f" (95% interval {bounds[0]:.1%} to {bounds[1]:.1%})" if bounds else ""
        what = "boxes are found" if evaluation.task == "boxes" else "images are recognised"
        yield f"The weakest class is '{name}': {recall:.1%} of its {what}{interval}."


def _recall(
    result: ClassResult | LabelResult | BoxClassResult,
) -> tuple[float | None, Interval | None]:
    if isinstance(result, LabelResult):
        return result.recall.value, result.recall.ci95
    if isinstance(result, BoxClassResult):
        return result.recall, None
    return result.recall, result.recall_ci95


def _limits(config: Config, kept: str) -> Iterator[str]:
    record = config.record
    found = list(_found(record)) if record else []
    if record:
        yield (
            "What the training found that may limit these results:"
            if found
            else (
                "The training found no leak, shortcut or doubtful label that limits these results."
            )
        )
    yield from _as_list(found)
    if record and record.limits:
        yield "What the model knows about its own limits, measured on the same images:"
        yield from _as_list(record.limits.sentences)
    yield from _kept(config, kept)


def _found(record: Record) -> Iterator[str]:
    """Yield what raises doubts about the results of a training, in sentences."""
    yield from record.warnings
    yield from (one.message for one in record.disagreements)
    yield from (one.message for one in (record.series, record.leakage) if one)
    yield from (one.sentence for one in record.shortcuts)
    if record.reported:
        yield from record.reported.slice_warnings
    audit = record.label_audit
    if audit and audit.suspects:
        count = len({one.image for one in audit.suspects})
        without = f"; without them, {audit.without}, which is optimistic" if audit.without else ""
        yield (
            f"The labels of {count:,} of {audit.images:,} {audit.part} images may be wrong. As "
            f"labelled: {audit.given}{without}."
        )


def _kept(config: Config, kept: str) -> Iterator[str]:
    """Yield what the model keeps of its training images."""
    kernel = "kernel" in {config.head.kind, *config.head.numbers.values()}
    if kernel:
        yield "The head keeps the features of training images, not the images themselves."
    if kept:
        yield kept
    if config.record:
        yield (
            "`config.json` has the record of the training, with names of some images and the path "
            "of the data."
        )


def _licence(backbone: BackboneConfig) -> str:
    if backbone.origin == "random":
        return "The network was not pretrained, so no licence of pretrained weights applies."
    return (
        f"The pretrained weights that the model contains: {describe_licence(backbone.licence)}. "
        "The training images may have terms of their own."
    )


def _versions(config: Config) -> Iterator[str]:
    yield f"Trained with headstart {config.headstart}{f', {config.created}' * bool(config.created)}"
    yield f"Architecture: {config.backbone.architecture} (timm), in {config.precision}"


def _as_list(sentences: Iterable[str]) -> Iterator[str]:
    """Yield a list of sentences as one paragraph, or nothing if there are none."""
    if texts := [escaped(text) for text in sentences]:
        yield _listed(texts)


def _listed(texts: Iterable[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def escaped(text: str) -> str:
    """Return text, such as the name of a class, that Markdown shows as it is, on one line."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))
