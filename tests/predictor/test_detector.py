"""The detector: boxes where the objects are, in every kind of image, thread and process."""

import copy
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
from PIL import Image

import headstart as hs
from headstart.answers import BoxesPrediction, Thresholds
from headstart.backbones.maps import StageMaps
from headstart.data import decoding
from headstart.data.inputs import ImageInput
from headstart.data.placement import Placement
from headstart.engines.slot import EngineSlot
from headstart.errors import NotAnImage, OptionError, OutputError, UnreadableImage
from headstart.heads.boxes.network import BoxHead
from headstart.heads.boxes.shape import BoxHeadShape
from headstart.predictor.bundle import read_bundle
from headstart.predictor.detector import Detector, head_tensors
from headstart.predictor.placed import side_needed
from headstart.predictor.predictor import FailedPrediction
from headstart.tasks.boxes import LabelledBoxes
from tests.conftest import TINY
from tests.detection.scenes import box_on_plain, dark_box, scene
from tests.processes import PROCESSES

CLASSES = ("disc", "square")
SCENES = [scene(number).image for number in range(11)]
TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How an image that is seen upright is stored, for each EXIF orientation."""


def make(cache, name=TINY, size=64):
    """Return a detector with random weights, which finds many boxes."""
    backbone = hs.load_backbone(name, weights="random", image_size=size, fit="pad").freeze()
    maps = StageMaps(backbone).eval()
    shape = BoxHeadShape(maps.shapes, len(CLASSES), channels=16)
    torch.manual_seed(0)
    head = BoxHead(shape)
    pixels = np.stack([backbone.preprocess.pixels(image) for image in SCENES])
    with torch.no_grad():
        rows = maps(torch.from_numpy(pixels))
        for _ in range(20):
            head(rows)  # Sets the statistics of the norms.
        head.score.weight.mul_(2 / head.eval()(rows)[..., 4:].std())
        head.score.bias.fill_(-2)
    thresholds = Thresholds("f1", (0.1, 0.3), ("", ""))
    options = {"device": "cpu", "precision": "float32", "cache": cache}
    return Detector(
        LabelledBoxes(), CLASSES, backbone, shape, head_tensors(head), thresholds, **options
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A folder for converted networks."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def detector(cache):
    """A detector that has already predicted."""
    detector = make(cache)
    detector.predict(SCENES[0])
    return detector


class Finder:
    """An engine that finds the dark box in each image, and nothing else."""

    name, precision, batch_size, streams = "openvino", "float32", 3, 1

    def __init__(self, detector):
        self._points, self._width = detector.points, 4 + len(detector.classes)

    def run(self, batches):
        """See `Engine.run`."""
        for batch in batches:
            yield np.stack([self._output(pixels) for pixels in batch])

    def _output(self, pixels):
        output = torch.full((len(self._points), self._width), -30.0)
        if (pixels[:, :, 0] < 70).sum() < 40:
            return output.numpy()
        box = torch.from_numpy(dark_box(pixels)).float()
        centres = self._points.centres
        inside = ((centres > box[:2]) & (centres < box[2:])).all(dim=1)
        if not inside.any():  # A tile shows a little of it only.
            return output.numpy()
        point = int(inside.nonzero()[0])
        distances = torch.cat([centres[point] - box[:2], box[2:] - centres[point]])
        output[point, :4] = (distances / self._points.steps[point]).log()
        output[point, 5] = 4.0
        return output.numpy()


@pytest.fixture(scope="module")
def finder(cache):
    """A detector that finds dark boxes exactly."""
    detector = make(cache, size=128)
    return replace(detector, _engine=EngineSlot(Finder(detector)))


def corners(prediction):
    """Return the corners of the only box of a prediction."""
    (box,) = prediction.boxes
    assert box.label == "square"
    return np.array(box.box)


def stored(image, path, orientation, **options):
    """Write an image as a camera does that was held in some way."""
    turn, exif = TURNS[orientation], Image.Exif()
    exif[0x0112] = orientation
    turned = image if turn is None else image.transpose(turn)
    turned.save(path, exif=exif, **options)
    return path


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("x.png", {}),
        ("x.jpg", {"quality": 95, "subsampling": 0}),
        ("x.webp", {"lossless": True}),
        ("x.tif", {}),
    ],
)
def test_boxes_are_in_pixels_of_the_image_as_it_is_seen(
    finder, tmp_path, orientation, name, options
):
    """Within half a pixel of the truth, however the file is turned."""
    box = (20, 13, 70, 50)
    path = stored(box_on_plain((97, 61), box), tmp_path / name, orientation, **options)
    prediction = finder.predict(path)
    assert prediction.size == (97, 61)
    np.testing.assert_allclose(corners(prediction), box, atol=0.5)


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("size", [(2000, 1600), (2003, 1601)])
def test_a_turned_photo_of_reduced_scale_has_its_boxes_in_place(
    finder, tmp_path, orientation, size
):
    """It is decoded at 1/8, in whole blocks; half a pixel is 0.03 of the network's input."""
    box = (400, 300, 1500, 1210)
    image = box_on_plain(size, box)
    path = stored(image, tmp_path / "x.jpg", orientation, quality=95, subsampling=0)
    prediction = finder.predict(path)
    assert prediction.size == size
    np.testing.assert_allclose(corners(prediction), box, atol=0.5)


@pytest.mark.parametrize(
    "size", [(64, 64), (97, 61), (61, 97), (1000, 100), (100, 1000), (1001, 333)]
)
def test_odd_sizes_and_panoramas_have_boxes_in_place(finder, size):
    """Within half a pixel, for a proportion of 1:10 too."""
    box = (size[0] // 5, size[1] // 6, size[0] * 4 // 5, size[1] * 5 // 6)
    prediction = finder.predict(box_on_plain(size, box))
    np.testing.assert_allclose(corners(prediction), box, atol=0.5)


@pytest.mark.parametrize("orientation", list(TURNS)[1:])
def test_a_turned_file_has_the_boxes_of_the_upright_one(detector, tmp_path, orientation):
    """The network sees the same pixels."""
    upright = stored(SCENES[1], tmp_path / "a.png", 1)
    turned = stored(SCENES[1], tmp_path / "b.png", orientation)
    first, second = detector.predict([upright, turned])
    assert len(first.boxes) > 2
    assert first.boxes == second.boxes
    assert first.size == second.size == SCENES[1].size


def test_a_photo_in_memory_is_turned_too(finder, tmp_path):
    """A Pillow image that was opened from a file has its orientation."""
    box = (20, 13, 70, 50)
    path = stored(box_on_plain((97, 61), box), tmp_path / "x.jpg", 6, quality=95, subsampling=0)
    with Image.open(path) as image:
        prediction = finder.predict(image)
    assert prediction.size == (97, 61)
    np.testing.assert_allclose(corners(prediction), box, atol=0.5)


def test_the_boxes_are_those_of_the_module(detector):
    """PyTorch and the engine agree on every box that is likely."""
    pixels = np.stack([detector.preprocess.pixels(image) for image in SCENES])
    with torch.no_grad():
        outputs = detector.module()(torch.from_numpy(pixels)).numpy()
    for image, output, prediction in zip(SCENES, outputs, detector.predict(SCENES), strict=True):
        placement = Placement.of(detector.preprocess, image.size)
        expected = detector.answer("", detector.detections(output, placement), placement)
        assert [box.label for box in prediction.boxes] == [box.label for box in expected.boxes]
        for found, true in zip(prediction.boxes, expected.boxes, strict=True):
            assert found.probability == pytest.approx(true.probability, abs=1e-3)
            np.testing.assert_allclose(found.box, true.box, atol=0.5)


def test_only_boxes_that_reach_their_threshold_are_predicted(detector):
    """The thresholds of the two classes differ; all detections are kept beside the boxes."""
    for prediction in detector.predict(SCENES):
        detections = prediction.detections
        limits = np.array([0.1, 0.3])[detections.classes]
        assert len(prediction.boxes) == (detections.scores >= limits).sum()
        assert len(detections) > len(prediction.boxes)
        probabilities = [box.probability for box in prediction.boxes]
        assert probabilities == sorted(probabilities, reverse=True)
        for box in prediction.boxes:
            assert box.probability >= {"disc": 0.1, "square": 0.3}[box.label]
            assert 0 <= box.box[0] < box.box[2] <= prediction.size[0]
            assert 0 <= box.box[1] < box.box[3] <= prediction.size[1]


def test_one_image_has_one_prediction(detector, tmp_path):
    """A path, the contents of a file, a Pillow image, an array and a tensor give the same."""
    SCENES[0].save(tmp_path / "a.png")
    array = np.asarray(SCENES[0])
    expected = detector.predict(SCENES[0])
    assert isinstance(expected, BoxesPrediction)
    assert expected.boxes
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1)
    contents = (tmp_path / "a.png").read_bytes()
    for image in (tmp_path / "a.png", str(tmp_path / "a.png"), contents, array, tensor):
        assert detector.predict(image).boxes == expected.boxes
    assert detector.predict(str(tmp_path / "a.png")).image == str(tmp_path / "a.png")


def test_several_images_have_a_list(detector):
    """A list, a generator and a batch give those of the images in order, whatever the batches."""
    expected = [detector.predict(image).boxes for image in SCENES]
    assert len(set(expected)) == len(SCENES)
    batch = np.stack([np.asarray(image) for image in SCENES])
    for images in (SCENES, (image for image in SCENES), batch):
        found = detector.predict(images)
        assert [len(prediction.boxes) for prediction in found] == list(map(len, expected))
        for prediction, boxes in zip(found, expected, strict=True):
            for one, other in zip(prediction.boxes, boxes, strict=True):
                assert one.label == other.label
                np.testing.assert_allclose(one.box, other.box, atol=1e-2)
    assert detector.predict([]) == []
    assert len(detector.predict(SCENES[:1])) == 1


def test_an_unreadable_image_is_an_error(detector, tmp_path):
    """`predict` raises it, whatever its kind; a value that is not an image too."""
    with pytest.raises(UnreadableImage, match=r"none\.png"):
        detector.predict([SCENES[0], tmp_path / "none.png"])
    with pytest.raises(UnreadableImage, match="it is not an image of a known format"):
        detector.predict(b"no image")
    with pytest.raises(NotAnImage):
        detector.predict(7)
    with pytest.raises(OptionError, match=r"^errors must be raise or keep\. Got 'ignore'\.$"):
        detector.predict(SCENES, errors="ignore")


def test_unreadable_images_keep_their_place(detector, tmp_path):
    """At the begin, at the end, between batches and several in a row."""
    none = FailedPrediction(str(tmp_path / "none.png"), "the file does not exist")
    readable = [detector.predict(image).boxes for image in SCENES]
    missing = tmp_path / "none.png"
    images = [
        missing,
        missing,
        *SCENES[:3],
        b"no image",
        *SCENES[3:8],
        missing,
        *SCENES[8:],
        missing,
    ]
    found = detector.predict(images, errors="keep")
    assert found == list(detector.predict_each(images))
    assert len(found) == len(images)
    assert [place for place, one in enumerate(found) if one == none] == [0, 1, 11, 15]
    assert found[5] == FailedPrediction("bytes", "it is not an image of a known format")
    boxes = [one.boxes for one in found if isinstance(one, BoxesPrediction)]
    assert list(map(len, boxes)) == list(map(len, readable))
    for one, other in zip(boxes, readable, strict=True):
        np.testing.assert_allclose([b.box for b in one], [b.box for b in other], atol=1e-2)
    assert detector.predict(missing, errors="keep") == none
    assert detector.predict([missing] * 40, errors="keep") == [none] * 40
    kept = detector.predict([SCENES[0], None], errors="keep")
    assert (len(kept[0].boxes), kept[1].image) == (len(readable[0]), "None")


def test_threads_share_a_detector(cache):
    """Eight threads that start at once get the same boxes as one."""
    fresh = make(cache)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: fresh.predict(SCENES[:4]), range(8)))
    expected = fresh.predict(SCENES[:4])
    assert results == [expected] * 8


def test_it_is_immutable(detector):
    """Attributes cannot be assigned."""
    with pytest.raises(FrozenInstanceError):
        detector.device = "cuda"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_predicts_the_same(detector, copied):
    """A detector that has predicted can be copied and pickled."""
    assert copied(detector).predict(SCENES[:2]) == detector.predict(SCENES[:2])


@pytest.mark.parametrize("name", [TINY, "test_vit"])
def test_a_saved_detector_predicts_the_same_to_the_bit(cache, tmp_path, name):
    """With three maps and, for a transformer, one."""
    detector = make(cache, name)
    detector.save(tmp_path / "model")
    again = Detector.of_bundle(read_bundle(tmp_path / "model"), LabelledBoxes(), cache=tmp_path)
    assert (again.classes, again.shape, again.thresholds) == (
        *(detector.classes, detector.shape, detector.thresholds),
    )
    assert again.precision == "float32"
    assert again.weights_sha256 == detector.weights_sha256
    assert again.preprocess == detector.preprocess
    for one, other in zip(again.predict(SCENES), detector.predict(SCENES), strict=True):
        assert one.boxes == other.boxes
        assert np.array_equal(one.detections.corners, other.detections.corners)
        assert np.array_equal(one.detections.scores, other.detections.scores)


def load_and_predict(root):
    """Load a detector and predict. A function of the module, for another process."""
    model = Detector.of_bundle(read_bundle(root / "model"), LabelledBoxes(), cache=root / "cache")
    return model.predict(root / "a.png").to_json()


def test_a_saved_detector_predicts_the_same_in_another_process(detector, tmp_path):
    """To the last digit, with a network that is converted anew."""
    detector.save(tmp_path / "model")
    SCENES[0].save(tmp_path / "a.png")
    with PROCESSES.Pool(1) as pool:
        found = pool.apply(load_and_predict, [tmp_path])
    assert found == detector.predict(tmp_path / "a.png").to_json()


def test_a_folder_is_not_replaced_without_being_asked(detector, tmp_path):
    """As of a predictor."""
    detector.save(tmp_path / "model")
    with pytest.raises(OutputError, match="already exists"):
        detector.save(tmp_path / "model")
    detector.save(tmp_path / "model", overwrite=True)


def test_a_detector_of_other_weights_has_another_network(detector):
    """So that a converted network in the cache is never that of another detector."""
    changed = {name: value + (name == "score.bias") for name, value in detector.head.items()}
    assert replace(detector, head=changed).weights_sha256 != detector.weights_sha256
    assert replace(detector, thresholds=Thresholds("f1", (0, 0), ("", ""))).weights_sha256 == (
        detector.weights_sha256
    )


def test_a_detector_shows_itself_in_one_line(detector):
    """Its backbone and its classes."""
    assert repr(detector) == "Detector(test_efficientnet; classes: 'disc', 'square')"


def test_a_prediction_is_plain_json(finder):
    """With label, probability and corners of each box."""
    values = finder.predict(box_on_plain((128, 128), (20, 30, 70, 90))).to_json()
    (box,) = json.loads(json.dumps(values))["boxes"]
    assert box["label"] == "square"
    assert box["probability"] == pytest.approx(0.982, abs=1e-3)
    assert box["box"] == pytest.approx([20, 30, 70, 90], abs=0.1)


TILED = [((700, 500), 256), ((1600, 160), 256), ((130, 1300), 200), ((257, 256), 256)]


@pytest.mark.parametrize(("size", "side"), TILED)
@pytest.mark.parametrize("place", [(0.1, 0.2), (0.45, 0.5), (0.8, 0.7)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_boxes_in_tiles_are_those_of_the_image(finder, tmp_path, size, side, place, orientation):
    """Within half a pixel, wherever an object is; what its tiles show of it is found once."""
    left, top = (round(share * length) for share, length in zip(place, size, strict=True))
    box = (left, top, min(left + 60, size[0] - 3), min(top + 45, size[1] - 3))
    path = stored(box_on_plain(size, box), tmp_path / "image.png", orientation)
    found = replace(finder, tiles=side).predict(path)
    assert found.size == size
    assert np.abs(corners(found) - box).max() <= 0.5


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize(
    ("size", "side", "reduction", "largest"),
    [
        ((3001, 2203), 800, 4, 100_000_000),
        ((1703, 1201), 400, 2, 100_000_000),
        ((1703, 1201), 300, 1, 100_000_000),
        ((1703, 1201), 300, 2, 2_000_000),
    ],
)
def test_boxes_in_tiles_of_a_photo_of_reduced_scale_are_in_place(
    finder, tmp_path, monkeypatch, orientation, size, side, reduction, largest
):
    """To half a pixel of the input. A large photo is decoded down to the input's own scale."""
    monkeypatch.setattr(decoding, "_LARGE", largest)
    begin = (size[0] * 3 // 5, size[1] * 2 // 3)
    box = (*begin, begin[0] + side // 3, begin[1] + side // 4)
    image = box_on_plain(size, box)
    path = stored(image, tmp_path / "x.jpg", orientation, quality=95, subsampling=0)
    needed = side_needed(finder.preprocess, side)
    loaded = ImageInput.of(path).decode_with_size(min_side=needed)
    assert loaded.image.size == tuple(-(-length // reduction) for length in size)
    found = replace(finder, tiles=side).predict(path)
    assert found.size == size
    assert np.abs(corners(found) - box).max() <= 0.5 * side / finder.preprocess.size


def test_an_object_larger_than_a_tile_is_found_in_the_whole_image(finder):
    """What the tiles show of it are not boxes of their own."""
    box = (100, 80, 600, 420)
    found = replace(finder, tiles=128).predict(box_on_plain((700, 500), box))
    assert np.abs(corners(found) - box).max() <= 700 / 128 / 2


def test_images_of_few_and_many_tiles_keep_their_order(finder):
    """Batches mix tiles of several images, and errors keep their place."""
    boxes = [(20, 30, 60, 70), (400, 300, 450, 360), (10, 10, 50, 60), (900, 20, 960, 60)]
    images = [
        box_on_plain(size, box)
        for size, box in zip([(128, 96), (700, 500), (100, 100), (1000, 90)], boxes, strict=True)
    ]
    given = [images[0], b"no image", images[1], images[2], b"", images[3]]
    results = replace(finder, tiles=256).predict(given, errors="keep")
    assert [isinstance(one, FailedPrediction) for one in results] == [
        *(False, True, False, False, True, False)
    ]
    found = [one for one in results if isinstance(one, BoxesPrediction)]
    for one, box in zip(found, boxes, strict=True):
        assert np.abs(corners(one) - box).max() <= 0.75


def test_tiles_are_saved_with_the_detector(detector, cache, tmp_path):
    """A loaded detector cuts images as it did in training."""
    replace(detector, tiles=200).save(tmp_path / "model")
    detector.save(tmp_path / "plain")
    loaded = [
        Detector.of_bundle(read_bundle(tmp_path / name), LabelledBoxes(), cache=cache)
        for name in ("model", "plain")
    ]
    assert [one.tiles for one in loaded] == [200, None]
