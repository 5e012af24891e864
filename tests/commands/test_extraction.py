"""Features of all images, and what several passes of the network cost."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import headstart as hs
from headstart.commands.extraction import extract_features
from headstart.data.images import Images
from headstart.options import OrientationsOption, ScalesOption
from tests.commands.test_train import RecordingWatcher
from tests.conftest import TINY

PASSES = (
    "The network runs 2 times per image, here and in every prediction: "
    "--orientations mirror, at 64 pixels."
)


@pytest.fixture
def images(make_folder: Callable[..., Path]) -> Images:
    """Return six photos."""
    return hs.open_images(make_folder(3), progress=False)


def extract(
    images: Images,
    cache: Path,
    orientations: OrientationsOption = "one",
    scales: ScalesOption = "one",
) -> RecordingWatcher:
    """Extract features with a tiny network."""
    backbone = hs.load_backbone(
        TINY, weights="random", image_size=64, orientations=orientations, scales=scales
    )
    watcher = RecordingWatcher()
    extract_features(hs.Classifier(backbone, classes=images.classes, cache=cache), images, watcher)
    return watcher


def test_several_passes_are_announced_and_their_duration_is_stated(images, tmp_path):
    """A note before the extraction has the number of passes; one after it, the seconds."""
    watcher = extract(images, tmp_path, "mirror")
    before, after = watcher.notes
    assert before == PASSES
    assert re.fullmatch(
        r"2 passes for each of 6 images took \d+\.\d s: \d+\.\d ms per image\.", after
    )
    assert watcher.last["Extracting features"] == (6, 6)


def test_features_from_the_store_have_no_duration(images, tmp_path):
    """Nothing was computed the second time, so there is no price to state."""
    extract(images, tmp_path, "mirror")
    assert extract(images, tmp_path, "mirror").notes == [PASSES]


def test_the_passes_of_two_scales_are_at_both_sizes(images, tmp_path):
    """The note names the size and the smaller one."""
    assert extract(images, tmp_path, "mirror", "two").notes[0] == (
        "The network runs 4 times per image, here and in every prediction: "
        "--orientations mirror, at 64 and 32 pixels."
    )


def test_a_single_pass_needs_no_note(images, tmp_path):
    """With one orientation and one scale, nothing is said."""
    assert extract(images, tmp_path).notes == []
