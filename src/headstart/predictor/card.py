"""The model card: what a model predicts, how well, and what it was made of."""

from headstart.backbones.licences import describe_licence
from headstart.predictor.config import BackboneConfig, Config
from headstart.task import Task


def model_card(config: Config, task: Task) -> str:
    """Write the card of a model, in Markdown."""
    created = f", {config.created}" if config.created else ""
    lines = [
        f"# A classifier of {len(config.classes)} classes",
        "",
        (
            "Made with Headstart. Load it with `headstart.load(folder)` or use it with "
            "`headstart predict folder image.jpg`."
        ),
        "",
        f"- Classes: {', '.join(config.classes)}",
        f"- Backbone: {config.backbone.name}",
        f"- Weights: {_weights(config.backbone)}",
        f"- Head: {config.head.kind} on {config.features} features",
        f"- Made with headstart {config.headstart}{created}",
    ]
    if config.record and config.record.test:
        lines += ["", task.summarise(config.record.test, "test").sentence]
    if "kernel" in {config.head.kind, *config.head.numbers.values()}:
        lines += ["", "The head keeps the features of training images, not the images themselves."]
    return "\n".join(lines) + "\n"


def _weights(backbone: BackboneConfig) -> str:
    """Say where weights come from, and under which licence; random ones have none."""
    if backbone.origin == "random":
        return backbone.origin
    return f"{backbone.origin}, {describe_licence(backbone.licence)}"
