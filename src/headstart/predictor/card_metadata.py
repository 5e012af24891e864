"""The metadata of a model card: the YAML block that the Hugging Face hub reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from headstart.backbones.licences import hub_licence
from headstart.predictor.config import Config
from headstart.record import Evaluation, Record

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

_METRICS = {
    "accuracy": ("accuracy", "Accuracy"),
    "macro_f1": ("f1", "Macro F1"),
    "auroc": ("roc_auc", "AUROC"),
    "macro_auroc": ("roc_auc", "Macro AUROC"),
    "map": ("map", "mAP50-95"),
    "map50": ("map", "mAP50"),
    "macro_ap": ("average_precision", "Macro average precision"),
    "ece": ("ece", "Expected calibration error"),
    "log_loss": ("log_loss", "Log loss"),
}
"""The hub's identifier and the title of each metric that a record may have."""

_PIPELINES = {"boxes": "object-detection"}
_CLASSIFICATION = "image-classification"


def card_metadata(config: Config) -> str:
    """Return the YAML block of a card, with its delimiters, which the hub filters and shows."""
    from huggingface_hub import ModelCardData  # Loading a model does not need it.

    record, backbone = config.record, config.backbone
    licence = name = None  # Random weights have no licence.
    if backbone.origin != "random":
        licence, name = hub_licence(backbone.licence)
    results = list(_results(record)) if record else []
    data = ModelCardData(
        license=licence,
        license_name=name or None,
        library_name="headstart",
        pipeline_tag=_pipeline(config.task),
        tags=["headstart", "timm", "transfer-learning"],
        model_name=record.data.name if record and results else None,
        eval_results=results or None,
    )
    return f"---\n{str(data).rstrip()}\n---\n"


def _pipeline(task: str) -> str:
    """Return what the hub calls the kind of a model's task."""
    return _PIPELINES.get(task, _CLASSIFICATION)


def _results(record: Record) -> Iterator[EvalResult]:
    """Yield each metric on the test part or, without one, on the validation part."""
    from huggingface_hub import EvalResult

    if record.reported is None:
        return
    for identifier, title, value in _metrics(record.reported):
        yield EvalResult(
            task_type=_pipeline(record.task),
            dataset_type="imagefolder",
            dataset_name=record.data.name,
            dataset_split="test" if record.test else "validation",
            metric_type=identifier,
            metric_name=title,
            metric_value=value,
        )


def _metrics(evaluation: Evaluation) -> Iterator[tuple[str, str, float]]:
    """Yield identifier, title with the interval, and value of each metric that is defined."""
    values = evaluation.headline()
    for name, (identifier, title) in _METRICS.items():
        value, bounds = values.get(name), values.get(f"{name}_ci95")
        if isinstance(value, int | float):
            yield identifier, f"{title}{_interval(bounds)}", round(value, 6)


def _interval(bounds: object) -> str:
    if not isinstance(bounds, list):
        return ""
    low, high = bounds
    return f" (95% interval {low:.3f} to {high:.3f})"
