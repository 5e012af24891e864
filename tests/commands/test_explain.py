"""`explain`: heat maps, and the training images that are similar."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

import headstart as hs
from headstart.cli.app import main
from headstart.commands.train import TrainResult
from headstart.errors import OptionError, OutputError
from headstart.predictor.predictor import FailedPrediction
from tests.commands.conftest import QUICK


@pytest.fixture
def photo(trained: TrainResult) -> Path:
    """Return a test image."""
    return trained.run.parent / "photos" / "test" / "blue" / "003.png"


def options(trained: TrainResult, out: Path) -> dict[str, Path]:
    return {"out": out, "cache": trained.run.parent / "cache"}


def test_an_explanation(trained: TrainResult, photo: Path, tmp_path: Path) -> None:
    """The heat map is a picture of the image's size; similar images are named as in the data."""
    (found,) = hs.explain(trained.run, photo, **options(trained, tmp_path / "maps"))
    assert found.heat_map == str(tmp_path / "maps" / "003.jpg")
    with Image.open(found.heat_map) as drawn, Image.open(photo) as image:
        assert (drawn.format, drawn.size) == ("JPEG", image.size)
    assert found.label == "blue"
    assert [one.label for one in found.nearest] == ["blue"] * 3
    assert all(one.image.startswith("train/blue/") for one in found.nearest)
    distances = [one.distance for one in found.nearest]
    assert distances == sorted(distances)


def test_a_bundle_does_not_know_names(trained: TrainResult, photo: Path, tmp_path: Path) -> None:
    """Without the run, similar images have labels and distances only."""
    shutil.copytree(trained.run / "bundle", tmp_path / "bundle")
    named = options(trained, tmp_path / "maps")
    (found,) = hs.explain(tmp_path / "bundle", photo, label="red", nearest=2, **named)
    assert found.label == "red"
    assert [(one.image, one.label) for one in found.nearest] == [("", "blue"), ("", "blue")]


def test_wrong_options(trained: TrainResult, photo: Path, tmp_path: Path) -> None:
    """An unknown class, and a folder that is not empty, are errors before anything is written."""
    named = options(trained, tmp_path / "maps")
    with pytest.raises(OptionError) as caught:
        hs.explain(trained.run, photo, label="green", **named)
    assert str(caught.value) == ("The model has no class 'green'. Its classes are 'blue', 'red'.")
    assert not (tmp_path / "maps").exists()
    hs.explain(trained.run, photo, **named)
    with pytest.raises(OutputError, match=r"already exists\. Pass --overwrite"):
        hs.explain(trained.run, photo, **named)
    hs.explain(trained.run, photo, overwrite=True, **named)


def test_files_of_one_name_and_unreadable_ones(
    trained: TrainResult, photo: Path, tmp_path: Path
) -> None:
    """Each has its own heat map; an image that cannot be read has a result of its own."""
    (tmp_path / "bad.png").write_bytes(b"no image")
    red = photo.parent.parent / "red" / "003.png"
    found = hs.explain(
        trained.run, [photo, tmp_path / "bad.png", red], **options(trained, tmp_path / "maps")
    )
    assert isinstance(found[1], FailedPrediction)
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {"003.jpg", "003-2.jpg"}


def test_the_command_line(trained: TrainResult, photo: Path, tmp_path: Path, capsys) -> None:
    """The terminal shows a table; --json has the documented keys."""
    arguments = ["explain", str(trained.run), str(photo), "--out", str(tmp_path / "maps")]
    cache = ["--cache", str(trained.run.parent / "cache"), "--overwrite"]
    with pytest.raises(SystemExit) as end:
        main([*arguments, *cache])
    assert end.value.code == 0
    assert "similar training images" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*arguments, "--json", *cache])
    (values,) = json.loads(capsys.readouterr().out)
    assert {"image", "label", "heat_map", "nearest"} <= values.keys()
    assert values["nearest"][0].keys() == {"image", "label", "distance"}


def test_predictions_with_heat_maps(trained: TrainResult, photo: Path, tmp_path: Path) -> None:
    """`predict` writes them too; the predictions are the same."""
    cache = trained.run.parent / "cache"
    (plain,) = hs.predict(trained.run, photo, cache=cache, coverage=0.8)
    (found,) = hs.predict(trained.run, photo, cache=cache, coverage=0.8, explain=tmp_path / "maps")
    assert found.heat_map == str(tmp_path / "maps" / "003.jpg")
    assert found.to_json() == {**plain.to_json(), "heat_map": found.heat_map}
    with pytest.raises(OutputError, match="already exists"):
        hs.predict(trained.run, photo, cache=cache, explain=tmp_path / "maps")


def test_pictures_of_training_images_in_the_model(
    trained: TrainResult, photo: Path, tmp_path: Path
) -> None:
    """A model shows the nearest of the training images of which it keeps pictures."""
    root = trained.run.parent
    options = {**QUICK, "cache": root / "cache", "keep_examples": 5}
    run = hs.train(root / "photos", out=tmp_path / "run", **options).run
    model = hs.load(run, cache=root / "cache")
    assert len(model.limits.examples) == 5
    assert not hs.load(trained.run, cache=root / "cache").limits.examples
    assert "small pictures of 5 training images" in (run / "bundle" / "README.md").read_text()
    shutil.move(run / "bundle", tmp_path / "bundle")
    (found,) = hs.explain(
        tmp_path / "bundle", photo, out=tmp_path / "maps", cache=root / "cache", nearest=2
    )
    assert len(found.nearest) == 2
    for one in found.nearest:
        with Image.open(one.picture) as picture:
            assert picture.format == "JPEG"
