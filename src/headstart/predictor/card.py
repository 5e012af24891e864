"""The model card: classes, components and test result of a model."""

from headstart.backbones.licences import describe_licence
from headstart.predictor.config import BackboneConfig, Config, HeadConfig
from headstart.record import Record, describe_use
from headstart.task import Task


def model_card(config: Config, task: Task, *, kept: str = "") -> str:
    """Return the card of a model, in Markdown.

    Args:
        config: The model.
        task: Its task.
        kept: What else it keeps of its training images, as a sentence; "" if nothing.
    """
    created = f", {config.created}" if config.created else ""
    lines = [
        f"# {task.describe(config.classes)}",
        "",
        (
            "Trained with Headstart. Load it with `headstart.load(folder)`, or use it with "
            "`headstart predict folder image.jpg`."
        ),
        "",
        f"- Classes: {', '.join(config.classes)}",
        f"- Backbone: {config.backbone.name}",
        f"- Weights: {_weights(config.backbone)}",
        f"- Head: {_describe_head(config.head)} on {config.features} features",
        f"- Trained with headstart {config.headstart}{created}",
    ]
    if config.record and config.record.tuned:
        lines += [f"- Fine-tuned: {config.record.tuned}"]
    lines += _result(config.record, task) if config.record else []
    if "kernel" in {config.head.kind, *config.head.numbers.values()}:
        lines += ["", "The head keeps the features of training images, not the images themselves."]
    if kept:
        lines += ["", kept]
    return "\n".join(lines) + "\n"


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


def _result(record: Record, task: Task) -> list[str]:
    """Return the result on the test part or, without one, on the validation part."""
    if record.test:
        return ["", task.summarise(record.test, "test").sentence]
    if record.validation:
        sentence = task.summarise(record.validation, "validation").sentence
        return ["", f"{sentence} The validation part {describe_use(record.val_used_for)}."]
    return []


def _weights(backbone: BackboneConfig) -> str:
    """Return the source and the licence of the weights; random weights have no licence."""
    if backbone.origin == "random":
        return backbone.origin
    return f"{backbone.origin}, {describe_licence(backbone.licence)}"
