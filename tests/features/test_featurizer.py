"""The scikit-learn transformer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline

import headstart as hs
from headstart.errors import UnreadableImage
from tests.conftest import TINY, picture

MakeFolder = Callable[..., Path]


@pytest.fixture
def featurizer(tmp_path: Path) -> hs.Featurizer:
    """Return a featurizer with a tiny network."""
    return hs.Featurizer(TINY, weights="random", image_size=64, cache=tmp_path / "cache")


@pytest.fixture
def labelled(make_folder: MakeFolder) -> tuple[list[str], list[str]]:
    """Return the paths and labels of 24 pictures."""
    paths = sorted(make_folder().rglob("*.png"))
    return [str(path) for path in paths], [path.parent.name for path in paths]


def test_features_are_a_matrix(
    featurizer: hs.Featurizer, labelled: tuple[list[str], list[str]]
) -> None:
    """Each image has a row of finite float32 features that differs from the others."""
    features = featurizer.fit_transform(labelled[0])
    assert features.shape == (24, 256)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert len(np.unique(features, axis=0)) == 24


def test_paths_arrays_and_images_give_the_same(
    featurizer: hs.Featurizer, labelled: tuple[list[str], list[str]]
) -> None:
    """The features of an image do not depend on the type of input."""
    paths = labelled[0]
    featurizer.fit()
    expected = featurizer.transform(paths)
    images = [Image.open(path) for path in paths]
    arrays = np.stack([np.asarray(image) for image in images])
    tensors = torch.from_numpy(arrays).permute(0, 3, 1, 2)
    for given in ([Path(path) for path in paths], np.array(paths), images, arrays, list(arrays)):
        assert np.array_equal(featurizer.transform(given), expected)
    for given in (tensors, tensors / 255, (path for path in paths)):
        assert np.array_equal(featurizer.transform(given), expected)
    assert np.array_equal(featurizer.transform(paths[3]), expected[3:4])


def test_multilevel_begins_with_the_last_layer(
    featurizer: hs.Featurizer, labelled: tuple[list[str], list[str]]
) -> None:
    """Features of all stages begin with the output of the network."""
    last = featurizer.fit_transform(labelled[0])
    multilevel = clone(featurizer).set_params(features="multilevel").fit_transform(labelled[0])
    assert multilevel.shape[1] > last.shape[1]
    assert np.array_equal(multilevel[:, : last.shape[1]], last)


@pytest.mark.parametrize("features", ["last", "multilevel"])
def test_every_column_has_a_name(
    featurizer: hs.Featurizer, labelled: tuple[list[str], list[str]], features: str
) -> None:
    """Names are unique, one per column, and contain the block."""
    featurizer.set_params(features=features)
    width = featurizer.fit_transform(labelled[0][:1]).shape[1]
    names = featurizer.get_feature_names_out()
    assert len(names) == len(set(names)) == width
    assert names[0] == "output.0"
    assert {name.rpartition(".")[0] for name in names} >= (
        {"output"} if features == "last" else {"output", "stage1.mean", "stage2.max", "stage5.std"}
    )


def test_get_params_returns_the_arguments(tmp_path: Path) -> None:
    """get_params returns the constructor's arguments, unchanged."""
    given: dict[str, Any] = {
        "backbone": TINY,
        "features": "multilevel",
        "weights": "random",
        "image_size": 96,
        "device": "cpu",
        "precision": "float32",
        "cache": tmp_path,
    }
    assert hs.Featurizer(**given).get_params() == given


def test_a_clone_is_unfitted_and_equal(featurizer: hs.Featurizer) -> None:
    """Cloning copies the parameters and not the network."""
    copy = clone(featurizer.fit())
    assert copy.get_params() == featurizer.get_params()
    assert not hasattr(copy, "extractor_")


def test_transform_before_fit_is_an_error(featurizer: hs.Featurizer) -> None:
    """Before it is fitted, it raises scikit-learn's own error."""
    with pytest.raises(NotFittedError):
        featurizer.transform([picture(1)])


def test_feature_names_before_fit_are_an_error(featurizer: hs.Featurizer) -> None:
    """Before it is fitted, the columns are not known."""
    with pytest.raises(NotFittedError):
        featurizer.get_feature_names_out()


def test_in_a_pipeline(featurizer: hs.Featurizer, labelled: tuple[list[str], list[str]]) -> None:
    """In a pipeline with a classifier, labels are predicted from paths."""
    paths, labels = labelled
    pipeline = make_pipeline(featurizer, LogisticRegression(max_iter=1000)).fit(paths, labels)
    assert pipeline.predict(paths[:1] + paths[-1:]).tolist() == ["blue", "red"]
    assert cross_val_score(pipeline, paths, labels, cv=3).mean() == 1.0


def test_a_grid_search_runs_the_network_once_per_image(
    featurizer: hs.Featurizer,
    labelled: tuple[list[str], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A search over features and regularisation reads every image once."""
    from headstart.features import batches

    seen: list[str] = []
    read = batches.read_image

    def counting(path: str) -> bytes:
        seen.append(path)
        return read(path)

    monkeypatch.setattr(batches, "read_image", counting)
    paths, labels = labelled
    steps = [("features", featurizer), ("classifier", LogisticRegression(max_iter=1000))]
    grid = {"features__features": ["last", "multilevel"], "classifier__C": [0.1, 1.0]}
    search = GridSearchCV(Pipeline(steps), grid, cv=2).fit(paths, labels)
    assert search.best_score_ == 1.0
    assert sorted(seen) == paths


def test_pandas_output_names_the_columns(
    featurizer: hs.Featurizer, labelled: tuple[list[str], list[str]]
) -> None:
    """With set_output, the result is a data frame with these names."""
    pandas = pytest.importorskip("pandas")
    frame = featurizer.set_output(transform="pandas").fit_transform(labelled[0][:2])
    assert isinstance(frame, pandas.DataFrame)
    assert frame.columns[0] == "output.0"


def test_no_images_give_no_rows(featurizer: hs.Featurizer) -> None:
    """The features of an empty list are a matrix of the right width without rows."""
    assert featurizer.fit_transform([]).shape == (0, 256)


def test_an_unreadable_file_is_an_error(featurizer: hs.Featurizer, tmp_path: Path) -> None:
    """A damaged file is named, never replaced."""
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(UnreadableImage) as error:
        featurizer.fit_transform([tmp_path / "bad.png"])
    assert str(error.value) == (
        f"Cannot read image '{tmp_path / 'bad.png'}': it is not an image of a known format."
    )


def test_a_missing_file_is_an_error(featurizer: hs.Featurizer) -> None:
    """A missing file is named with the same message as elsewhere."""
    with pytest.raises(UnreadableImage) as error:
        featurizer.fit_transform(["nowhere.png"])
    assert str(error.value) == "Cannot read image 'nowhere.png': the file does not exist."


def test_a_wrong_array_is_an_error(featurizer: hs.Featurizer) -> None:
    """Floats beyond 0 to 1 are refused, since their range is unknown."""
    with pytest.raises(UnreadableImage) as error:
        featurizer.fit_transform([np.full((8, 8, 3), 2, dtype=np.float32)])
    assert str(error.value) == (
        "Cannot read image 'ndarray': its floats must be from 0 to 1; they are from 2 to 2; "
        "divide them by 255, or convert them to uint8."
    )
