"""Models for MLflow: save or log one, and load it with `mlflow.pyfunc.load_model`.

The model is stored as its bundle, so MLflow loads it without pickle.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING, Any

from headstart.errors import OptionError, OutputError
from headstart.options import ComputeOptions
from headstart.predictor.bundle import Bundle, write_bundle
from headstart.predictor.predictor import Predictor
from headstart.tasks.loading import load_predictor, read_model
from headstart.tuning.events.trackers import require_mlflow, silence_mlflow

if TYPE_CHECKING:
    from mlflow.models.model import ModelInfo

_COLUMNS = ("image", "path")
"""The columns of a table that may have the images."""


def save_model(model: Predictor | str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Write a model in MLflow's format to a new folder.

    Args:
        model: A trained model, its run folder or bundle, or "hf-hub:OWNER/NAME".
        path: The folder.

    Raises:
        OptionError: MLflow is not installed.
        OutputError: The folder exists.
        BundleError: The model is missing or damaged.
    """
    pyfunc = _require_pyfunc()
    if Path(path).exists():
        raise OutputError(f"Output '{path}' already exists. Choose another folder.")
    with _stored(model) as stored:
        pyfunc.save_model(path=os.fspath(path), **stored)


def log_model(
    model: Predictor | str | os.PathLike[str],
    name: str = "model",
    *,
    registered_model_name: str | None = None,
) -> ModelInfo:
    """Log a model to the active run of MLflow, or to a new one.

    Args:
        model: A trained model, its run folder or bundle, or "hf-hub:OWNER/NAME".
        name: The name of the model in MLflow.
        registered_model_name: Also register it as a version of this model.

    Returns:
        MLflow's description of the model; `mlflow.pyfunc.load_model` takes its `model_uri`.

    Raises:
        OptionError: MLflow is not installed, or no server is set.
        BundleError: The model is missing or damaged.
    """
    pyfunc = _require_pyfunc()
    require_mlflow()
    with _stored(model) as stored:
        return pyfunc.log_model(name=name, registered_model_name=registered_model_name, **stored)


class PyFuncModel:
    """A model behind the interface of `mlflow.pyfunc`.

    Attributes:
        predictor: The trained model.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
        """Predict the labels of images.

        Args:
            model_input: Several images of any kind that `Predictor.predict` takes, or a pandas
                table of paths or file contents: its only column, or the column "image" or "path".
            params: MLflow's parameters, of which there are none.

        Returns:
            A pandas table with one row per image and the columns of `predict --json`: label,
            probability, and all labels with their probabilities in `top`.

        Raises:
            OptionError: The table has no such column.
            UnreadableImage: An image cannot be decoded.
        """
        import pandas as pd

        table = isinstance(model_input, pd.DataFrame)
        images = _column(model_input).tolist() if table else list(model_input)
        found = self.predictor.predict(images, top=len(self.predictor.classes))
        assert isinstance(found, list)
        return pd.DataFrame([prediction.to_json() for prediction in found])


def _load_pyfunc(path: str) -> PyFuncModel:
    """Load the model; MLflow calls this by name."""
    return PyFuncModel(load_predictor(path, ComputeOptions()))


@contextmanager
def _stored(model: Predictor | str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Write the bundle of a model to a temporary folder, and yield what MLflow needs to know."""
    bundle: Bundle = model.to_bundle() if isinstance(model, Predictor) else read_model(model)
    with TemporaryDirectory() as folder:
        write_bundle(bundle, Path(folder) / "bundle")
        yield {
            "data_path": str(Path(folder) / "bundle"),
            "loader_module": __name__,
            # Otherwise MLflow would load the model in another process to find these.
            "pip_requirements": [f"headstart=={version('headstart')}"],
        }


def _column(table: Any) -> Any:  # noqa: ANN401
    """Return the column of a table with the images."""
    names = list(table.columns)
    chosen = names if len(names) == 1 else [name for name in _COLUMNS if name in names]
    if not chosen:
        raise OptionError(
            f"The table has the columns {', '.join(map(str, names))}, but neither 'image' nor "
            "'path'. Rename the column with the images."
        )
    return table[chosen[0]]


def _require_pyfunc() -> ModuleType:
    silence_mlflow()
    try:
        import mlflow.pyfunc
    except ImportError as error:
        raise OptionError(
            f"MLflow's models need '{error.name}', which is not installed. "
            "Run: pip install 'headstart[mlflow]'"
        ) from None
    return mlflow.pyfunc  # type: ignore[no-any-return]
