"""Exports of detectors: the same boxes from the same files, or none at all."""

import json
import re
import runpy
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import headstart as hs
from headstart.answers import Thresholds
from headstart.backbones.backbone import load_backbone
from headstart.backbones.maps import StageMaps
from headstart.boxes import Detections
from headstart.data.inputs import ImageInput
from headstart.data.preprocessing import Preprocess
from headstart.errors import ExportError, OptionError
from headstart.exporting import detector_job
from headstart.exporting.detector_graph import DetectingNetwork
from headstart.exporting.detector_job import DetectorExportJob, in_float32
from headstart.exporting.detector_parity import (
    _check_same,
    _parsed,
    boxes_of_detector,
    boxes_of_export,
    check_detector_parity,
    compare_boxes,
)
from headstart.exporting.formats import Torch
from headstart.exporting.metadata import _preprocess, metadata_of_detector
from headstart.exporting.parity import check_files
from headstart.exporting.readme import checks
from headstart.exporting.script import detecting_script
from headstart.exporting.suppression import Candidates, may_be_left
from headstart.heads.boxes import detections
from headstart.heads.boxes.network import BoxHead
from headstart.heads.boxes.shape import BoxHeadShape
from headstart.options import ExportOptions
from headstart.predictor.detector import Detector, head_tensors
from headstart.predictor.placed import decode_placed
from headstart.tasks.boxes import LabelledBoxes
from headstart.watching import SilentWatcher
from tests.conftest import TINY
from tests.detection.scenes import scene
from tests.exporting.conftest import parsed
from tests.exporting.test_script import run

LIMITS = np.array([0.3, 0.3])


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Write four scenes of different shapes."""
    folder = tmp_path_factory.mktemp("scenes")
    for number, size in enumerate([(96, 72), (72, 96), (64, 64), (160, 50)]):
        scene(number, size=size).image.save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def detector(images, tmp_path_factory):
    """Build a detector that finds many boxes, though it has learnt nothing."""
    torch.manual_seed(0)
    backbone = load_backbone(TINY, weights="random", image_size=64, fit="pad")
    maps = StageMaps(backbone)
    shape = BoxHeadShape(maps.shapes, 2, channels=8, depth=1)
    pixels = [backbone.preprocess.pixels(Image.open(file)) for file in sorted(images.iterdir())]
    return Detector(
        LabelledBoxes(),
        ("disc", "square"),
        backbone,
        shape,
        head_tensors(lively_head(shape, maps(torch.from_numpy(np.stack(pixels))))),
        Thresholds("f1", (0.3, 0.4), ("", "")),
        "cpu",
        "float32",
        tmp_path_factory.mktemp("cache"),
    )


@torch.no_grad()
def lively_head(shape, rows):
    """Return a head with random weights whose boxes differ from point to point."""
    head = BoxHead(shape)
    head.score.weight.normal_(0, 2)
    head.reach.weight.normal_(0, 0.6)
    head.score.bias.fill_(-1)
    for _ in range(50):  # Until the normalisation knows its input.
        head(rows)
    return head.eval()


@pytest.fixture(scope="module")
def exported(detector, images, tmp_path_factory):
    """Export the detector to ONNX."""
    out = tmp_path_factory.mktemp("exports") / "onnx"
    return hs.export(detector, out=out, images=images, progress=False)


@pytest.fixture
def refused(detector, images, tmp_path):
    """Return a function that returns why an export is refused, and nothing is written."""

    def call(kind=ExportError, **options):
        defaults = {"format": "openvino", "images": images, "out": tmp_path / "out"}
        with pytest.raises(kind) as caught:
            hs.export(detector, progress=False, **(defaults | options))
        assert list(tmp_path.iterdir()) == []
        return str(caught.value)

    return call


def test_the_script_prints_the_boxes_of_the_detector(exported, detector, images, tmp_path):
    """In the form of `headstart predict --json`; it needs neither PyTorch nor this project."""
    (tmp_path / "text.png").write_text("no image")
    files = [*sorted(images.iterdir()), tmp_path / "text.png"]
    done = run(Path(exported.folder), files, without=("torch", "torchvision", "headstart"))
    assert (done.returncode, done.stderr) == (0, "")
    *answers, failed = parsed(done.stdout)
    assert failed["error"].startswith("cannot identify image file")
    for got, expected in zip(answers, detector.predict(files[:-1]), strict=True):
        wanted = expected.to_json()
        assert got["image"] == wanted["image"] and len(got["boxes"]) == len(wanted["boxes"]) > 0
        for one, other in zip(got["boxes"], wanted["boxes"], strict=True):
            assert list(one) == list(other) and one["label"] == other["label"]
            assert one["probability"] == pytest.approx(other["probability"], abs=1e-4)
            assert one["box"] == pytest.approx(other["box"], abs=0.1)


def test_the_record_says_what_was_compared(exported):
    """Images, boxes and the largest differences."""
    parity = exported.parity
    assert (parity.images, parity.hard_cases, parity.converted) == (4, 17, 0)
    assert parity.refused == ("sixteen_bits.png", "cut_off.jpg")
    assert parity.boxes > 50 and parity.distance < 0.1
    assert parity.difference < 1e-4 and parity.batch_difference < 1e-4
    values = exported.to_json()
    assert values["parity"]["boxes"] == parity.boxes and values["weights"] == "float32"
    assert set(values["files"]) == {"README.md", "model.onnx", "predict.py"}


def test_what_was_compared_in_words(exported, checked, detector):
    """Rounding and the precision of the training are mentioned where they matter."""
    rounded = replace(exported.parity, by_rounding=2)
    assert ("images in which rounding decides about a box", "2") in [
        *checks(replace(exported, parity=rounded))
    ]
    limits = Thresholds("f1", (1.0, 0.4), ("", ""))
    parity = checked(measured=replace(detector, precision="bf16", thresholds=limits))
    assert (parity.precision, parity.boxes) == ("bf16", exported.parity.boxes)
    rows = dict(checks(replace(exported, parity=parity)))
    changed = rows["images with other labels in bf16, in which it was measured"]
    assert int(changed) == parity.measured_changed > 3


def test_the_file_says_what_it_needs(exported, detector):
    """The metadata has the thresholds, the preprocessing and the suppression."""
    import onnxruntime

    session = onnxruntime.InferenceSession(Path(exported.folder) / "model.onnx")
    values = json.loads(session.get_modelmeta().custom_metadata_map["headstart"])
    assert (values["task"], values["classes"]) == ("boxes", ["disc", "square"])
    assert values["operating_point"] == {"purpose": "f1", "thresholds": [0.3, 0.4]}
    assert (values["preprocess"]["size"], values["preprocess"]["resize"]) == (64, "pad")
    assert values["suppression"] == {
        "candidates": detections._CANDIDATES,
        "least_probability": detections.LEAST_SCORE,
        "overlap": detections._SAME_OBJECT,
        "boxes": detections._MOST,
    }
    points = len(detector.points)
    shapes = {output.name: output.shape[1:] for output in session.get_outputs()}
    assert shapes == {"boxes": [points, 4], "probabilities": [points, 2]}


def test_the_readme_explains_inputs_and_outputs(exported, detector):
    """It says what the numbers mean, and what was checked."""
    text = (Path(exported.folder) / "README.md").read_text()
    assert text.startswith("# Detector of 2 classes of objects\n")
    assert "| input | `images` | uint8, 0 to 255, red, green, blue | (batch, 64, 64, 3) |" in text
    assert f"(batch, {len(detector.points)}, 4) |" in text
    assert "right and bottom edge in pixels of the input" in text
    assert "1,000 most probable pairs" in text and "more than 0.6 (" in text
    assert "| boxes other than the model's in float32 | 0 |" in text
    assert "\n- Operating point: f1\n" in text


def test_a_program_of_pytorch(detector, images, tmp_path):
    """It finds the same boxes."""
    job = DetectorExportJob(detector, (), ExportOptions(format="torch"), SilentWatcher())
    job._write_model(Torch(), metadata_of_detector(detector, DetectingNetwork.outputs), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pt2", "predict.py"]
    files = sorted(images.iterdir())
    found = boxes_of_export(tmp_path, files, detector.classes)
    for got, expected in zip(found, boxes_of_detector(detector, files), strict=True):
        assert len(got) > 0 and compare_boxes(expected, got).is_same


def test_a_bundle_on_the_command_line(headstart, detector, images, tmp_path):
    """It is loaded as a detector, and a table shows what was compared."""
    detector.save(tmp_path / "bundle")
    options = ("--format", "openvino", "--images", images, "--cache", detector.cache)
    shown = headstart("export", tmp_path / "bundle", "--out", tmp_path / "out", *options)
    assert shown.code == 0, shown.err
    lines = [re.split(" {2,}", line.strip()) for line in shown.out.splitlines()]
    rows = {line[0]: line[1] for line in lines if len(line) == 2}
    assert rows["files"] == "4 images, and 17 that are easily decoded wrongly"
    assert int(rows["boxes that reach their threshold"]) > 50
    assert rows["boxes other than the model's in float32"] == "0"
    assert float(rows["largest distance of an edge, in pixels"]) < 0.1
    assert "Try it: python" in shown.out


@pytest.mark.parametrize("resize", ["pad", "squash"])
def test_the_script_places_images_as_the_detector_does(images, tmp_path, resize):
    """Pixels and places are equal, also of large photos, of turned ones and of panoramas."""
    turned, other = Image.Exif(), Image.Exif()
    turned[0x0112], other[0x0112] = 6, 3
    large = scene(5, size=(1203, 907), sides=(200, 400)).image
    large.save(tmp_path / "large.jpg")
    large.save(tmp_path / "turned.jpg", exif=turned)
    large.save(tmp_path / "upside-down.jpg", exif=other)
    large.resize((3000, 37)).convert("L").save(tmp_path / "panorama.jpg")
    scene(6, size=(90, 60)).image.save(tmp_path / "turned.tif", exif=turned)
    values = {"format": "onnx", "runtime": "onnxruntime", "contract": 2, "resize": resize}
    (tmp_path / "predict.py").write_text(detecting_script(values))
    read = runpy.run_path(str(tmp_path / "predict.py"))["read"]
    preprocess = Preprocess(64, resize=resize)
    for file in [*images.iterdir(), *tmp_path.glob("*.jpg"), tmp_path / "turned.tif"]:
        with file.open("rb") as opened:
            pixels, (scale, offset, seen) = read(opened, _preprocess(preprocess))
        expected, placement = decode_placed(ImageInput.of(str(file)), preprocess)
        np.testing.assert_array_equal(pixels, expected, err_msg=file.name)
        np.testing.assert_array_equal(scale, np.tile(placement.scale, 2), err_msg=file.name)
        np.testing.assert_array_equal(offset, np.tile(placement.offset, 2), err_msg=file.name)
        assert seen == (placement.width, placement.height) * 2


@pytest.mark.parametrize("name", ["half", "int8", "only_features"])
def test_options_for_models_of_labels_are_refused(refused, name):
    """The error names the option."""
    option = name.replace("_", "-")
    assert refused(OptionError, **{name: True}) == (
        f"--{option} is for classifiers, and this model is a detector: it is exported whole and in "
        "float32. Remove it."
    )


@pytest.fixture(scope="module")
def checked(exported, detector, images, tmp_path_factory):
    """Return a function that passes an export with a changed script through the gate."""
    root = tmp_path_factory.mktemp("gate")
    real = tuple(sorted(images.iterdir()))
    contract = detector.contract
    files = check_files(real, contract, root / "hard", lambda _: None)

    def check(*changes, detector=detector, measured=None):
        folder = shutil.copytree(exported.folder, root / str(len(list(root.iterdir()))))
        text = (folder / "predict.py").read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (folder / "predict.py").write_text(text)
        detectors = detector, measured or detector
        return check_detector_parity(folder, files, detectors, folder / "work")

    return check


class Shifted(DetectingNetwork):
    """A network whose boxes are a little too far right."""

    shift = 1.0

    def forward(self, images):
        """Return shifted boxes."""
        boxes, probabilities = super().forward(images)
        return boxes + self.shift, probabilities


def test_another_network_is_refused(refused, monkeypatch):
    """The message lists files with boxes that only one of the two finds."""
    monkeypatch.setattr(detector_job, "DetectingNetwork", Shifted)
    first, *lines = refused().splitlines()
    assert first.startswith("The exported model finds other boxes, so it was not written (")
    assert first.endswith("0.5 pixels and 0.0001 of a probability are allowed):")
    assert "missing, such as " in lines[0] and "; " in lines[0] and "additional" in lines[0]
    assert lines[-1].startswith("  and ")


RUN = 'session.run(None, {"images": batch})'


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (f"[{RUN}[0] + 1, {RUN}[1]]", "boxes differ by up to 1 pixels of the input, and "),
        (f"[{RUN}[0], {RUN}[1] + np.nan]", "probabilities by up to nan, or nan between "),
        (f"[{RUN}[0], {RUN}[1] / (len(batch) > 1)]", "or inf between a batch of one image"),
        (
            f"[{RUN}[0], {RUN}[1] * (1 - 0.01 * (len(batch) == 1))]",
            "and probabilities by up to 1e-06, or 0.01 between a batch of one image and of 16.",
        ),
    ],
    ids=["boxes", "nan", "alone", "batch"],
)
def test_outputs_that_are_not_shown_are_compared_too(checked, detector, run, text):
    """If no box reaches its threshold, a wrong network is found by its outputs."""
    high = replace(detector, thresholds=Thresholds("f1", (1.0, 1.0), ("", "")))
    with pytest.raises(ExportError) as caught:
        checked(("limits[number]", "1.0"), (RUN, run), detector=high)
    start = "The outputs of the exported model are not those of the model, so it was not written: "
    assert str(caught.value).startswith(start)
    assert text in re.sub(r"\d(?:\.\d)?e-0\d", "1e-06", str(caught.value))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('how["overlap"]', "0.3"),
        ("image = ImageOps.exif_transpose(image)", "pass"),
        ("(boxes[left] - offset)", "boxes[left]"),
        ("reduction = round(sides[0] / image.width)", "reduction = 1"),
        ("classes == number", "classes >= 0"),
        ("float(score) >= limits[number]", "float(score) >= limits[0]"),
        ("inputs[path] = read(", "raise OSError('no') or read("),
    ],
    ids=["overlap", "exif", "offset", "reduction", "classes", "thresholds", "unread"],
)
def test_another_script_is_refused(checked, old, new):
    """Suppression, placement and thresholds are checked, as printed."""
    with pytest.raises(ExportError, match=r"^The exported model finds other boxes"):
        checked((old, new))


def test_without_a_box_there_is_a_warning(detector, images, tmp_path):
    """The outputs are compared all the same."""
    high = replace(detector, thresholds=Thresholds("f1", (1.0, 1.0), ("", "")))
    options = {"format": "openvino", "images": images, "out": tmp_path / "out"}
    with pytest.warns(hs.HeadstartWarning, match="No box in the images that check the export"):
        assert hs.export(high, progress=False, **options).parity.boxes == 0


def boxes(*rows):
    """Return boxes from rows of x1, y1, x2, y2, class and probability."""
    values = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(
        values[:, :4].astype(np.float32), values[:, 4].astype(np.int64), values[:, 5].copy()
    )


LEFT, RIGHT = (0, 0, 10, 10, 0, 0.9), (50, 0, 70, 10, 1, 0.8)
"""Two boxes of two classes."""


def test_boxes_are_compared_within_rounding():
    """Half a pixel is allowed, and a ten-thousandth of the probability."""
    moved = (0.4, 0, 10, 10, 0, 0.90005)
    result = compare_boxes(boxes(LEFT, RIGHT), boxes(RIGHT, moved))
    assert result.is_same and result.distances.max() == pytest.approx(0.4)
    assert result.difference == pytest.approx(5e-5)
    assert compare_boxes(boxes(), boxes()).is_same


@pytest.mark.parametrize(
    "other", [(0.6, 0, 10, 10, 0, 0.9), (0, 0, 10, 10, 1, 0.9), (0, 0, 10, 10, 0, 0.8998)]
)
def test_boxes_that_are_not_the_same(other):
    """Neither another place, nor another class, nor another probability is."""
    result = compare_boxes(boxes(LEFT, RIGHT), boxes(other, RIGHT))
    assert len(result.missing) == len(result.additional) == 1 and not result.is_same


def left(found, candidates):
    """Return whether suppression may leave boxes."""
    every = Candidates(candidates.corners, candidates)
    return may_be_left(found, every, LIMITS, distance=0.5, difference=1e-4)


def test_either_of_two_boxes_of_the_same_probability_may_be_left():
    """Rounding decides; but not both, nor none, nor the less probable one."""
    near, less = (0, 1, 10, 10, 0, 0.90005), (0, 1, 10, 10, 0, 0.85)
    for kept in (LEFT, near):
        assert left(boxes(kept, RIGHT), boxes(LEFT, near, RIGHT))
    assert not left(boxes(LEFT, near, RIGHT), boxes(LEFT, near, RIGHT))
    assert not left(boxes(RIGHT), boxes(LEFT, near, RIGHT))
    assert left(boxes(LEFT, RIGHT), boxes(LEFT, less, RIGHT))
    assert not left(boxes(less, RIGHT), boxes(LEFT, less, RIGHT))
    assert not left(boxes((0, 2, 10, 12, 0, 0.9), RIGHT), boxes(LEFT, near, RIGHT))


def test_a_box_that_overlaps_by_the_limit_may_be_left_or_not():
    """An overlap of 0.6 is neither more nor less, after rounding."""
    other = (0, 0, 10, 6, 0, 0.5)
    assert left(boxes(LEFT), boxes(LEFT, other))
    assert left(boxes(LEFT, other), boxes(LEFT, other))
    assert not left(boxes(LEFT), boxes(LEFT, (0, 0, 10, 5, 0, 0.5)))


def test_boxes_that_need_not_be_shown():
    """One below its threshold, or one that is wholly in the padding."""
    assert left(boxes(LEFT), boxes(LEFT, (50, 0, 70, 10, 1, 0.30005), (50, 0, 50, 10, 1, 0.8)))
    assert left(boxes(), boxes((0, 0, 10, 10, 0, 0.2)))


def test_candidates_that_are_left_are_the_detections(detector, images):
    """What the detector finds is what suppression may leave of its candidates."""
    exact, file = in_float32(detector), images / "0.png"
    limits = np.array(detector.thresholds.values)
    found = exact.predict(str(file)).detections.above(limits)
    candidates = Candidates.of(exact, file)
    options = {"distance": 0.5, "difference": 1e-4}
    assert may_be_left(found, candidates, limits, **options)
    for number in range(len(found)):
        others = found.take(np.arange(len(found)) != number)
        assert not may_be_left(others, candidates, limits, **options)


def test_a_box_at_its_threshold_may_be_shown_or_not(detector, images):
    """Its probability is that of the threshold, but for rounding; such images are counted."""
    file = images / "0.png"
    (found,) = boxes_of_detector(detector, [file])
    last = found.take(np.arange(len(found)) == len(found) - 1)
    limits = np.array(detector.thresholds.values)
    limits[last.classes] = last.scores - 5e-5
    at = replace(detector, thresholds=Thresholds("f1", tuple(limits.tolist()), ("", "")))
    fewer = found.take(np.arange(len(found)) < len(found) - 1)
    arguments = [file], [found], [fewer], [0]
    result = _check_same(at, *arguments)
    assert (result.boxes, result.by_rounding) == (len(fewer), 1)
    with pytest.raises(ExportError) as caught:
        _check_same(detector, *arguments)
    label, corners = detector.classes[last.classes[0]], last.corners[0]
    assert str(caught.value).splitlines()[1] == (
        f"  0.png: 1 missing, such as {label} ({last.scores[0]:.4f}) at "
        + ", ".join(f"{value:.1f}" for value in corners)
    )


@pytest.mark.parametrize(
    "values",
    [
        {"image": "a", "label": "disc"},
        {"image": "a", "boxes": [{"label": "cone", "probability": 0.5, "box": [0, 0, 1, 1]}]},
        {"image": "a", "boxes": [{"label": "disc", "probability": 0.5, "box": [0, 0, 1]}]},
    ],
)
def test_what_is_printed_must_be_boxes(values):
    """Of the classes of the model."""
    with pytest.raises(ExportError) as caught:
        _parsed(values, ("disc", "square"))
    start = "The exported model does not print boxes of the classes disc, square: {'image': 'a'"
    assert str(caught.value).startswith(start)
