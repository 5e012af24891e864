"""The model card: metadata that the hub reads, and text that Markdown shows as it is."""

from dataclasses import replace

import pytest
import yaml

from headstart.backbones.licences import hub_licence
from headstart.predictor.card import model_card
from headstart.predictor.config import BackboneConfig
from headstart.record import Rejection
from headstart.record.data_check import LabelError, Shortcut, ShortcutClass
from headstart.record.label_audit import LabelAudit
from headstart.tasks.boxes import LabelledBoxes
from headstart.tasks.single import Single
from tests.predictor.test_bundle import CONFIG
from tests.report.test_page import metrics, record


def metadata(card):
    """Return the metadata of a card."""
    _, block, _ = card.split("---\n", 2)
    return yaml.safe_load(block)


def test_the_metadata_has_what_the_hub_reads():
    """Library, task, licence, and each metric with its value and interval."""
    backbone = BackboneConfig("tiny", "test_resnet", "imagenet", licence="mit")
    found = metadata(model_card(replace(CONFIG, backbone=backbone), Single()))
    assert (found["library_name"], found["pipeline_tag"]) == ("headstart", "image-classification")
    assert found["license"] == "mit" and "license_name" not in found
    (model,) = found["model-index"]
    (result,) = model["results"]
    tested = CONFIG.record.test
    assert result["dataset"]["split"] == "test"
    accuracy = result["metrics"][0]
    assert accuracy["type"] == "accuracy"
    assert accuracy["value"] == pytest.approx(tested.accuracy, abs=1e-6)
    low, high = tested.accuracy_ci95
    assert accuracy["name"] == f"Accuracy (95% interval {low:.3f} to {high:.3f})"


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("apache-2.0", ("apache-2.0", "")),
        ("cc-by-nc-4.0", ("cc-by-nc-4.0", "")),
        ("apple-amlr", ("apple-amlr", "")),
        ("dinov3-license", ("other", "dinov3-license")),
        ("unknown", ("other", "unknown")),
        (None, ("other", "unknown")),
    ],
)
def test_licences_have_the_names_of_the_hub(licence, expected):
    """A licence that the hub does not list is "other", with its name."""
    assert hub_licence(licence) == expected


def test_random_weights_have_no_licence():
    """Nothing is claimed about what was never licensed."""
    card = model_card(CONFIG, Single())
    assert "license" not in metadata(card)
    assert "so no licence of pretrained weights applies" in card


@pytest.mark.parametrize(
    "name", ["a|b", "<b>x</b>", "*bold*", "_it_", "[a](b)", "`c`", "---", "1\n2"]
)
def test_names_are_shown_as_they_are(name):
    """Markup in the name of a class or of the data is escaped; the metadata stays valid."""
    changed = replace(CONFIG.record, data=replace(CONFIG.record.data, name=name))
    config = replace(CONFIG, classes=(name, "no: #1"), record=changed)
    card = model_card(config, Single())
    assert metadata(card)["model-index"][0]["name"] == name
    line = next(line for line in card.splitlines() if line.startswith("- Classes: "))
    shown = line.removeprefix("- Classes: ").removesuffix(", no: \\#1")
    assert shown.replace("\\", "") == name.replace("\n", " ")
    assert not any(mark in shown.replace(f"\\{mark}", "") for mark in "|<>*[]`")


def test_underscores_in_words_are_kept():
    """They are not markup, and names are easier to copy."""
    config = replace(CONFIG, classes=("solar_cell", "b"))
    assert "- Classes: solar_cell, b\n" in model_card(config, Single())


def test_limits_come_from_the_record():
    """Warnings, shortcuts and doubtful labels of the training are listed."""
    shortcut = Shortcut("the format", "file", 0.9, 0.5, (ShortcutClass("a", 0.95, (0.9, 1.0)),))
    suspects = (LabelError("x.png", "a", "b", 0.9),)
    audit = LabelAudit("test", 10, suspects, "80.0% correct", "88.9% correct", ())
    found = replace(
        CONFIG.record, warnings=("Leaks: 3.",), shortcuts=(shortcut,), label_audit=audit
    )
    card = model_card(replace(CONFIG, record=found), Single())
    assert "\n- Leaks: 3.\n" in card
    assert "\n- The format alone tells 'a' apart (AUROC 0.95;" in card
    assert "\n- The labels of 1 of 10 test images may be wrong. As labelled: 80.0% correct;" in card
    none = replace(found, warnings=(), shortcuts=(), label_audit=None, series=None, leakage=None)
    clean = model_card(replace(CONFIG, record=replace(none, disagreements=())), Single())
    assert "The training found no leak, shortcut or doubtful label" in clean


def test_the_data_and_the_results_by_class_are_there():
    """Counts of images, rejected files, and a table with a row for each class."""
    rejected = replace(record(metrics()), rejected=(Rejection("a.png", "no"),))
    card = model_card(replace(CONFIG, record=rejected), Single())
    images = rejected.data.images
    assert f"{images.train:,} training images" in card
    assert f"{images.rejected:,} files could not be used." in card
    rows = [line for line in card.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(rejected.test.per_class)
    assert "The weakest class is " in card


def test_a_model_without_record():
    """It is said that nothing was recorded or measured."""
    card = model_card(replace(CONFIG, record=None), Single())
    assert "Not recorded: the model was saved without the record of a training." in card
    assert "Not measured: the training held no images out." in card
    assert "model-index" not in metadata(card)


def test_the_same_model_has_the_same_card():
    """To the bit; without a date if the model is deterministic."""
    assert model_card(CONFIG, Single()) == model_card(CONFIG, Single())
    assert model_card(replace(CONFIG, created=None), Single()).count("2026") == 0


def test_a_detector_has_its_own_task_and_use():
    """The hub lists it under object detection, and its card says what it finds."""
    card = model_card(
        replace(CONFIG, task="boxes", classes=("disc",), record=None), LabelledBoxes()
    )
    assert metadata(card)["pipeline_tag"] == "object-detection"
    assert "# Detector of 1 class of objects\n" in card
    assert "To find the objects of the class above in images, and in others" in card
    assert "apart" not in card
