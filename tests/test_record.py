"""The record of a run is read exactly as written."""

import json
import shlex
from dataclasses import replace

import pytest

from headstart.errors import RecordError
from headstart.options import TrainOptions
from headstart.record import (
    ClassResult,
    RecommendationRecord,
    Record,
    SingleEvaluation,
    Source,
    Tuning,
    describe_gain,
)
from tests.report.test_page import many_classes, metrics, record
from tests.report.test_tuning import tuning
from tests.test_notebook import unstyled

RECORDS = {
    "plain": metrics(),
    "without a test part": metrics(test=None),
    "of many classes": many_classes(40),
    "with fine-tuning": metrics(tuning=tuning()),
}

EVALUATION = SingleEvaluation(
    images=4,
    accuracy=0.75,
    accuracy_ci95=(0.3, 0.95),
    macro_f1=0.7333,
    auroc=None,
    ece=0.1,
    log_loss=0.5,
    majority=0.5,
    per_class=(
        ClassResult("red", 2 / 3, 1.0, (0.3, 1.0), 0.8, 2),
        ClassResult("<i>", None, None, None, None, 0),
    ),
    confusion=(),
    reliability=(),
)


@pytest.mark.parametrize("values", RECORDS.values(), ids=RECORDS)
def test_a_record_is_read_as_written(tmp_path, values):
    """All values are equal, read from the file or from its folder."""
    before = record(values)
    before.write(tmp_path / "metrics.json")
    assert Record.read(tmp_path) == Record.read(str(tmp_path)) == before
    assert Record.read(tmp_path / "metrics.json") == before
    assert Record.of(before.to_json(), "x") == before


def test_the_file_is_plain_json(tmp_path):
    """The file is valid JSON without NaN and has a version."""
    record(metrics(tuning=tuning())).write(tmp_path / "metrics.json")
    values = json.loads(
        (tmp_path / "metrics.json").read_text(encoding="utf-8"), parse_constant=pytest.fail
    )
    assert values["schema"] == 2
    assert values["test"]["accuracy"] == 0.8765
    assert values["test"]["per_class"][0]["name"] == "defective"


def test_values_that_are_not_finite_are_null(tmp_path):
    """A number that is not finite is written as null and read as None."""
    before = record(metrics(tuning=tuning()))
    last = replace(before.tuning.epochs[-1], val_loss=float("nan"))
    epochs = (*before.tuning.epochs[:-1], last)
    replace(before, tuning=replace(before.tuning, epochs=epochs)).write(tmp_path / "metrics.json")
    assert Record.read(tmp_path).tuning.epochs[-1].val_loss is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "Invalid JSON"),
        ("[]", "should be an object"),
        ("{}", "'test' is missing"),
        ('{"schema": 2}', "headstart: Field required"),
    ],
)
def test_a_damaged_file_is_an_error(tmp_path, content, reason):
    """The error names the file and the first problem."""
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(RecordError) as caught:
        Record.read(tmp_path)
    assert str(caught.value).startswith(f"'{tmp_path / 'metrics.json'}' is incomplete or damaged: ")
    assert reason in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    """The error names the file."""
    with pytest.raises(RecordError) as caught:
        Record.read(tmp_path)
    assert str(caught.value) == (
        f"'{tmp_path / 'metrics.json'}' cannot be read: No such file or directory."
    )


def test_a_recommendation_is_written_as_json(tmp_path):
    """Scripts can read the result of `recommend`."""
    from headstart.record import Recommendation

    recommendation = Recommendation("resnet50", "imagenet", "the only one", 12, ())
    RecommendationRecord("0.1.0", Source("photos", "photos/"), recommendation).write(
        tmp_path / "m.json"
    )
    values = json.loads((tmp_path / "m.json").read_text())
    assert values["recommendation"]["recommended"] == "resnet50"
    assert values["data"] == {"name": "photos", "source": "photos/"}


def test_an_evaluation_shows_itself_in_one_line() -> None:
    """The text has the accuracy with its interval, the number of images and the macro F1."""
    assert repr(EVALUATION) == (
        "Evaluation(75.0% correct on 4 images, 95% interval 30.0% to 95.0%; macro-F1 0.733)"
    )


def test_a_notebook_shows_the_results_by_class() -> None:
    """There is a row for each class; one without images has dashes, and names are escaped."""
    table = unstyled(EVALUATION._repr_html_())
    assert "<th>class</th><th>precision</th><th>recall</th><th>F1</th><th>images</th>" in table
    assert "<td>red</td><td>66.7%</td><td>100.0%</td><td>0.800</td><td>2</td>" in table
    assert "<td>&lt;i&gt;</td><td>\u2013</td><td>\u2013</td><td>\u2013</td><td>0</td>" in table
    counted = unstyled(EVALUATION.to_html((1200, 30)))
    assert "<th>images</th><th>trained on</th>" in counted
    assert "<td>0.800</td><td>2</td><td>1,200</td></tr>" in counted


@pytest.mark.parametrize(
    ("probe", "tuned", "interval", "expected"),
    [
        (0.88, 0.885, (-0.01, 0.02), "better by 1 image in 200, which may be chance"),
        (0.88, 0.94, (0.01, 0.11), "better by 12 images in 200"),
        (0.88, 0.87, (-0.03, 0.01), "worse by 2 images in 200, which may be chance"),
        (0.88, 0.88, (-0.02, 0.02), "as accurate on 200 images"),
        (None, None, None, ""),
    ],
)
def test_the_gain_of_fine_tuning_in_words(
    probe: float | None, tuned: float | None, interval: tuple[float, float] | None, expected: str
) -> None:
    """The number of images makes a small gain plain."""
    losses = (0.4, 0.3) if probe else (None, None)
    result = Tuning("all", True, 200, probe, tuned, interval, *losses, 60.0, None, ())
    assert describe_gain(result) == expected


def test_the_command_repeats_the_training() -> None:
    """It has the options that are not the defaults, and none of those of a single run."""
    given = {"head": "linear", "seed": 3, "balanced": True, "out": "runs/x", "group": "(p[0-9]+)"}
    options = {**TrainOptions().model_dump(mode="json"), **given}
    words = shlex.split(replace(record(metrics()), options=options).command)
    assert words[:3] == ["headstart", "train", "/data/solar"]
    pairs = {"--head": "linear", "--seed": "3", "--group": "(p[0-9]+)"}
    assert {option: words[words.index(option) + 1] for option in pairs} == pairs
    assert "--balanced" in words
    assert len(words) == 3 + 2 * len(pairs) + 1
