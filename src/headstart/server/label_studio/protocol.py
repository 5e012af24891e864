"""Label Studio's requests as far as they are used, and the predictions that it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from headstart.answers import AnyTaskPrediction, Prediction
from headstart.server.label_studio.config import ImageChoices
from headstart.server.refusals import Refusal

Id = int | str


class _Message(BaseModel):
    """What is not named is not looked at: Label Studio sends much more."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Task(_Message):
    """A task: its data name the image."""

    id: Id
    data: dict[str, JsonValue] = {}

    def image(self, choices: ImageChoices) -> str | None:
        """Return the name of its image; None if it has none."""
        value = self.data.get(choices.key)
        return value if isinstance(value, str) and value else None


class Annotation(_Message):
    """An annotation of a task. Who skips a task leaves one that was cancelled."""

    id: Id
    task: Id | None = None
    result: JsonValue = None
    was_cancelled: bool | None = False

    def labels(self, choices: ImageChoices) -> tuple[str, ...] | None:
        """Return what was chosen; None if that says nothing about the image."""
        results = self.result if isinstance(self.result, list) else []
        chosen = dict.fromkeys(name for result in results for name in _chosen(result, choices))
        if self.was_cancelled or (len(chosen) != 1 and not choices.multiple):
            return None
        return tuple(chosen)


class AnnotatedTask(Task):
    """A task with its annotations, as Label Studio exports it."""

    annotations: list[Annotation] = []


class Named(_Message):
    """Something of which only the number is sent."""

    id: Id


class Project(_Message):
    """A project of Label Studio."""

    id: Id
    label_config: str | None = None


class PredictRequest(_Message):
    """The body of /predict."""

    tasks: list[Task] = []
    label_config: str | None = None
    project: Id | None = None


class SetupRequest(_Message):
    """The body of /setup."""

    project: Id | None = None
    label_config: str | None = Field(None, alias="schema")


class TrainRequest(_Message):
    """The body of /train: all annotated tasks."""

    annotations: list[AnnotatedTask] = []
    label_config: str | None = None
    project: Id | None = None


class Event(_Message):
    """The body of /webhook: what happened, and to what."""

    action: str
    project: Project | None = None
    task: Task | list[Task] | None = None
    annotation: Annotation | list[Annotation] | None = None
    annotations: list[Named] = []
    tasks: list[Named] = []


def _chosen(result: JsonValue, choices: ImageChoices) -> Iterator[str]:
    """Yield what an annotator chose, if a part of an annotation is of these choices."""
    if not isinstance(result, dict) or result.get("from_name") != choices.name:
        return
    value = result.get("value")
    names = value.get("choices") if isinstance(value, dict) else None
    if isinstance(names, list):
        yield from (name for name in names if isinstance(name, str))


_Read = TypeVar("_Read", bound=BaseModel)


def read_message(kind: type[_Read], body: bytes) -> _Read:
    """Read the body of a request.

    Raises:
        Refusal: It is not what Label Studio sends.
    """
    with _said():
        return kind.model_validate_json(body)


def read_tasks(export: bytes) -> list[AnnotatedTask]:
    """Read the annotated tasks that Label Studio exports as JSON.

    Raises:
        Refusal: They are something else.
    """
    with _said():
        return TypeAdapter(list[AnnotatedTask]).validate_json(export)


@contextmanager
def _said() -> Iterator[None]:
    """Turn what is wrong with a message into a refusal."""
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise Refusal(422, f"The request is not valid: {place}: {first['msg']}.") from None


def project_number(project: Id | None) -> str | None:
    """Return the number of a project, which may be followed by when it was created."""
    return None if project is None else str(project).partition(".")[0]


def prediction_json(
    prediction: AnyTaskPrediction,
    choices: ImageChoices,
    by_class: Mapping[str, str],
    version: str,
) -> dict[str, JsonValue]:
    """Return the prediction of a task.

    Args:
        prediction: What the model says.
        choices: The choices for the image.
        by_class: The choice for each class.
        version: The version of the model.

    Returns:
        Nothing is chosen where the image is unknown or the class is not a choice. The score is the
        probability of the least probable label that is chosen; without any, 0 for one label per
        image, and the probability that no label is present for several.
    """
    if prediction.unknown:
        return no_prediction(version)
    if isinstance(prediction, Prediction):
        found: tuple[tuple[str, float], ...] = ((prediction.label, prediction.probability),)
        otherwise = 0.0
    else:
        found = prediction.labels
        otherwise = 1 - max((probability for _, probability in prediction.top), default=1.0)
    known = [(by_class[label], value) for label, value in found if label in by_class]
    known = known if choices.multiple else known[:1]
    names = dict.fromkeys(name for name, _ in known)  # Several classes may be one choice.
    score = min((value for _, value in known), default=0.0 if found else otherwise)
    values: dict[str, JsonValue] = {
        "from_name": choices.name,
        "to_name": choices.image,
        "type": "choices",
        "value": {"choices": list(names)},
        "score": score,
    }
    return {
        "model_version": version,
        "score": score,
        "result": [values] if known else [],
    }


def no_prediction(version: str) -> dict[str, JsonValue]:
    """Return the prediction of a task without an answer: Label Studio expects one for each."""
    return {"model_version": version, "score": 0.0, "result": []}
