"""With `deterministic`, the same data and options give the same bundle, bit for bit."""

from pathlib import Path

import pytest

import headstart as hs
from headstart.errors import OptionError
from tests.conftest import TINY, picture

HEADS = ("auto", "linear", "kernel", "mlp", "nearest")
QUICK = {"backbone": TINY, "weights": "random", "deterministic": True}
TUNED = {"tune": "stages:1", "epochs": 1, "batch_size": 8, "views": 1}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write photos larger than the network's usual size, of two overlapping classes."""
    root = tmp_path_factory.mktemp("photos")
    for number, label in enumerate(("dark", "light")):
        (root / label).mkdir()
        for index in range(14):
            shade = 110 + 30 * number
            picture(100 * number + index, (shade, shade, shade), side=200).save(
                root / label / f"{index}.png"
            )
    return root


def bundle(folder: Path) -> dict[str, bytes]:
    """Return the content of every file of a bundle."""
    return {path.name: path.read_bytes() for path in (folder / "bundle").iterdir()}


@pytest.mark.parametrize(
    "options",
    [*({"head": head} for head in HEADS), {"head": "linear", **TUNED}, {"recipe": "tutorial"}],
    ids=str,
)
def test_two_trainings_give_the_same_bundle(
    photos: Path, tmp_path: Path, options: dict[str, str | int]
) -> None:
    """Every file is equal, although both trainings start with an empty cache."""
    options = {"image_size": 64, **QUICK, **options}
    runs = [
        hs.train(photos, out=tmp_path / name, cache=tmp_path / f"{name}-cache", **options)
        for name in ("first", "second")
    ]
    first, second = (bundle(result.run) for result in runs)
    assert sorted(first) == ["README.md", "config.json", "model.safetensors"]
    assert first == second
    assert bool(runs[0].record.tuning) == bool("tune" in options or "recipe" in options)


@pytest.mark.parametrize("tune", [False, True])
def test_the_six_steps_give_the_model_of_train(photos: Path, tmp_path: Path, tune: bool) -> None:
    """In Python, step by step, with the same options: the same weights, head and probabilities."""
    cache, options = tmp_path / "cache", TUNED if tune else {}
    run = hs.train(photos, out=tmp_path / "run", cache=cache, **QUICK, **options).run

    data = hs.open_images(photos, cache=cache)
    backbone = hs.load_backbone(TINY, weights="random")
    model = hs.Classifier(backbone, classes=data.classes, cache=cache, deterministic=True)
    model.fit(data.train, val=data.val)
    if tune:
        tuning = {name: value for name, value in TUNED.items() if name != "tune"}
        model.fine_tune(data.train, val=data.val, unfreeze=TUNED["tune"], **tuning)
    model.save(tmp_path / "steps")

    steps, trained = (hs.load(path, cache=cache).to_bundle() for path in (tmp_path / "steps", run))
    assert steps.config.preprocess.size > backbone.preprocess.size
    assert (tmp_path / "steps/model.safetensors").read_bytes() == (
        run / "bundle/model.safetensors"
    ).read_bytes()
    for name in ("preprocess", "backbone", "features", "head", "calibration", "specification"):
        assert getattr(steps.config, name) == getattr(trained.config, name)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tune": "auto"}, "depends on timing"),
        ({"tune": "stages:1", "minutes": 1.0}, "minutes is a time limit"),
        ({"backbone": "auto"}, "times backbones"),
        ({"device": "cuda"}, "CPU"),
    ],
)
def test_options_that_depend_on_timing_are_refused(
    photos: Path, tmp_path: Path, options: dict[str, str | float], reason: str
) -> None:
    """An option that would make the result depend on timing is an error before any work."""
    with pytest.raises(OptionError, match=reason):
        hs.train(
            photos, out=tmp_path / "run", cache=tmp_path / "cache", deterministic=True, **options
        )
    assert not (tmp_path / "cache").exists()
