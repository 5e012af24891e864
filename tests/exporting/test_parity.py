"""The parity gate: a fault anywhere between a file and its answer is found, and names files."""

from dataclasses import replace

import numpy as np
import pytest

from headstart.answers import Thresholds
from headstart.errors import ExportError
from headstart.exporting import job, parity
from headstart.exporting.graph import AnsweringNetwork
from headstart.exporting.parity import (
    Answer,
    _parsed,
    compare_half,
    count_changed,
    probabilities_of,
)
from tests.exporting.planting import (
    change_metadata,
    change_network,
    change_script,
    mixed_in_batch,
    swapped,
)

HEAD = (
    "The exported model answers differently, so it was not written "
    "({} of the checked images; differences up to 0.0001 are allowed):\n"
)


def with_preprocess(**values):
    """Return a function that changes how images are read, in metadata."""
    return lambda metadata: metadata | {"preprocess": metadata["preprocess"] | values}


def refused(export, **options):
    """Return the message with which an export is refused."""
    with pytest.raises(ExportError) as caught:
        export(overwrite=True, **options)
    return str(caught.value)


@pytest.mark.parametrize("change", [swapped, mixed_in_batch])
def test_a_network_that_sees_other_images_is_refused(export, nothing_left, monkeypatch, change):
    """Neither swapped channels nor images that depend on their batch pass."""
    change_network(monkeypatch, change)
    text = refused(export)
    first, *lines, last = text.splitlines()
    count = int(first.partition("written (")[2].split()[0])
    assert first + "\n" == HEAD.format(count) and count > 10
    assert len(lines) == 5 and last == f"  and {count - 5} more"
    assert any(line.startswith("  1.png: ") for line in lines)
    assert all("; exported: " in line and "; difference 0." in line for line in lines)
    nothing_left()


@pytest.mark.parametrize(
    ("values", "file"),
    [
        ({"interpolation": "nearest"}, "huge.jpg"),
        ({"interpolation": "bilinear"}, "1.png"),
        ({"background": 0}, "transparent.png"),
        ({"min_side": 16}, "panorama.jpg"),
    ],
    ids=["nearest", "bilinear", "background", "draft"],
)
def test_other_preprocessing_is_refused(export, nothing_left, monkeypatch, values, file):
    """The filter, the background and the scale at which JPEGs are read all matter."""
    monkeypatch.setattr(parity, "_SHOWN", 50)
    change_metadata(monkeypatch, with_preprocess(**values))
    assert f"\n  {file}: " in refused(export)
    nothing_left()


def test_other_names_of_classes_are_refused(export, nothing_left, monkeypatch):
    """The order of the classes is part of the answer."""
    change_metadata(monkeypatch, lambda values: values | {"classes": values["classes"][::-1]})
    assert refused(export) == (
        "The exported model has the classes red, blue, in this order, but the model has blue, red."
    )
    nothing_left()


@pytest.mark.parametrize(
    ("old", "new", "file"),
    [
        ("image = ImageOps.exif_transpose(image)", "pass", "sideways.jpg"),
        ('zip(classes, values["predicted"])', 'zip(classes[::-1], values["predicted"])', "0.png"),
        ('bool(values["unknown"])', 'not values["unknown"]', "0.png"),
        (
            'image.convert("L" if image.mode in ("L", "1") else "RGB")',
            "image",
            "black_and_white.png",
        ),
    ],
    ids=["exif", "labels", "unknown", "bilevel"],
)
def test_a_script_that_reads_or_answers_otherwise_is_refused(
    export, nothing_left, monkeypatch, old, new, file
):
    """The script is checked as much as the network."""
    change_script(monkeypatch, old, new)
    assert f"\n  {file}: " in refused(export)
    nothing_left()


def test_another_operating_point_is_refused(export, model, nothing_left, monkeypatch):
    """Labels must be the same, even if all probabilities are."""
    limits = [Thresholds("f1", (1 - at, at), ("", ""), 1) for at in (0.5, 0.0)]
    planted = replace(model, thresholds=limits[1])
    monkeypatch.setattr(
        job, "AnsweringNetwork", lambda module, _: AnsweringNetwork(module, planted)
    )
    text = refused(export, model=replace(model, thresholds=limits[0]))
    assert "\n  0.png: blue (" in text and "; exported: red (" in text
    nothing_left()


def test_an_answer_that_depends_on_the_size_of_the_batch_is_refused(
    export, nothing_left, monkeypatch
):
    """An image alone must get the answer that it gets among others."""
    old = "np.stack(list(pixels.values()))"
    change_script(monkeypatch, old, f"{old} // (2 if batch == 1 else 1)")
    text = refused(export)
    start = "The exported model answers differently to a batch of one image and of 16: by up to 0."
    assert text.startswith(start)
    nothing_left()


def test_a_script_that_cannot_be_run_is_refused(export, nothing_left, monkeypatch):
    """Its error is repeated."""
    change_script(monkeypatch, "import openvino\n", "import openvino_of_tomorrow\n")
    assert refused(export) == (
        "The exported model cannot be run: ModuleNotFoundError: "
        "No module named 'openvino_of_tomorrow'"
    )
    nothing_left()


def test_a_script_that_reads_no_images_is_refused(export, nothing_left, monkeypatch):
    """Images of the user must have answers, if need be as PNG."""
    change_script(monkeypatch, "image = Image.open(path, formats=FORMATS)", "raise OSError('no')")
    text = refused(export)
    assert text.startswith(HEAD.format(3 + 17))
    assert text.splitlines()[1].startswith("  0.png: blue (")
    assert text.splitlines()[1].endswith("; exported: no")
    nothing_left()


ANSWERS = [
    Answer(("red",), False, np.array([0.2, 0.8])),
    Answer(("blue",), True, np.array([0.7, 0.3])),
]


def test_an_answer_is_shown_in_a_few_words():
    """Its labels, the highest probability, and whether it is unknown."""
    assert list(map(str, ANSWERS)) == ["red (0.8000)", "blue (0.7000), unknown"]
    assert str(Answer((), False, np.array([0.1, 0.2]))) == "no label (0.2000)"


def test_changed_labels_are_counted():
    """Only labels count, and an image without an answer is changed."""
    other = [replace(ANSWERS[0], values=np.array([0.4, 0.6])), replace(ANSWERS[1], labels=("red",))]
    assert count_changed(ANSWERS, other) == 1
    assert count_changed(ANSWERS, [ANSWERS[0], "no image"]) == 1
    result = compare_half(ANSWERS, other, features=False)
    assert (result.images, result.changed, result.difference) == (2, 1, pytest.approx(0.2))
    assert compare_half(ANSWERS, other, features=True).difference == pytest.approx(0.2 / 0.8)


def test_probabilities_of_answers():
    """They are one array; an image without an answer is an error."""
    np.testing.assert_array_equal(probabilities_of(ANSWERS), [[0.2, 0.8], [0.7, 0.3]])
    with pytest.raises(ExportError) as caught:
        probabilities_of([*ANSWERS, "no image"])
    expected = "The exported script cannot read some of the images: no image."
    assert str(caught.value) == expected


def test_several_labels_are_compared_in_any_order():
    """The order in which labels are printed does not matter."""
    printed = {"labels": ["b", "a"], "probabilities": {"a": 0.9, "b": 0.8}, "unknown": True}
    answer = _parsed(printed, ("a", "b"))
    assert (answer.labels, answer.unknown) == (("a", "b"), True)
    assert _parsed({"error": "no image"}, ("a", "b")) == "no image"


@pytest.mark.parametrize(
    ("old", "options"),
    [
        ('values["features"]', {"only_features": True}),
        ('values["probabilities"]', {}),
    ],
    ids=["features", "probabilities"],
)
def test_values_that_are_not_numbers_are_refused(export, nothing_left, monkeypatch, old, options):
    """A difference that is not a number is not a small one."""
    change_script(monkeypatch, f"{old}.tolist()", f"({old} * np.nan).tolist()")
    assert "answers differently" in refused(export, **options)
    nothing_left()
