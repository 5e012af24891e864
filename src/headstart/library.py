"""The functions of the library: keywords become options, and progress is shown.

Libraries that are slow to import are imported when a function is called, with progress too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Unpack

from headstart.errors import OptionError
from headstart.gallery_options import VerifyOptions
from headstart.keywords import (
    CheckKeywords,
    CompareKeywords,
    ComputeKeywords,
    EvaluateKeywords,
    ExplainKeywords,
    ExportKeywords,
    OpenKeywords,
    PredictKeywords,
    PushKeywords,
    RecommendKeywords,
    ShiftKeywords,
    TrainKeywords,
    VerifyKeywords,
    with_keywords,
)
from headstart.options import (
    CheckOptions,
    CompareOptions,
    ComputeOptions,
    EvaluateOptions,
    ExplainOptions,
    ExportOptions,
    OpenOptions,
    PredictOptions,
    PushOptions,
    RecommendOptions,
    ShiftOptions,
    TrainOptions,
)
from headstart.watching import ProgressOption, Watcher, watcher_for

if TYPE_CHECKING:
    from headstart.commands.evaluate import EvaluateResult
    from headstart.commands.explain import AnyExplanation
    from headstart.commands.recommend import RecommendResult
    from headstart.commands.train import TrainResult
    from headstart.commands.verify import VerifyResult
    from headstart.data.images import Images
    from headstart.data.inputs import ImagesLike
    from headstart.hub.pushing import PushedModel
    from headstart.predictor.detector import Detector
    from headstart.predictor.predictor import AnyResult, Predictor
    from headstart.record.comparison import ComparisonRecord
    from headstart.record.data_check import DataCheck
    from headstart.record.export import ExportRecord
    from headstart.record.shift import ShiftRecord


@with_keywords(TrainOptions, TrainKeywords)
def train(
    data: str | os.PathLike[str],
    *,
    progress: ProgressOption = None,
    watcher: Watcher | None = None,
    **options: Unpack[TrainKeywords],
) -> TrainResult:
    """Train on labelled images with the defaults of the command line.

    Args:
        data: A folder with one subfolder per class, a folder with train/ (val/) and test/ of such
            folders, a CSV or Parquet file, or an archive of a folder.
        progress: By default, a bar in a terminal or a notebook, and lines on stderr elsewhere;
            False shows nothing. A function is called with the number of images that are done in
            the current stage, and the total.
        watcher: Receives the name of each stage, progress, notes and warnings instead.
        options: As listed below.

    Raises:
        HeadstartError: The data, an option or the output cannot be used. The message says why.
    """
    values, watcher = TrainOptions.of(**options), _watcher(watcher, progress)
    with _loading("headstart.commands.train", watcher):
        from headstart.commands.train import run_training
    return run_training(data, values, watcher)


@with_keywords(EvaluateOptions, EvaluateKeywords)
def evaluate(
    model: str | os.PathLike[str],
    data: str | os.PathLike[str] | None = None,
    *,
    progress: ProgressOption = None,
    watcher: Watcher | None = None,
    **options: Unpack[EvaluateKeywords],
) -> EvaluateResult:
    """Evaluate a trained model on labelled images, or again on its own test images.

    Args:
        model: A run folder or a bundle.
        data: See `train`. Images of classes that the model does not know are rejected. Default: the
            images that the run held out, with the labels that they had in the training.
        progress: See `train`.
        watcher: See `train`.
        options: As listed below.

    Raises:
        HeadstartError: The model, the data or an option cannot be used.
    """
    values, watcher = EvaluateOptions.of(**options), _watcher(watcher, progress)
    with _loading("headstart.commands.evaluate", watcher):
        from headstart.commands.evaluate import run_evaluation
    return run_evaluation(model, data, values, watcher)


@with_keywords(CheckOptions, CheckKeywords)
def check(
    data: str | os.PathLike[str],
    *,
    progress: ProgressOption = None,
    watcher: Watcher | None = None,
    **options: Unpack[CheckKeywords],
) -> DataCheck:
    """Look at labelled images before training: copies, leaks, shortcuts, label errors.

    Args:
        data: See `train`.
        progress: See `train`.
        watcher: See `train`.
        options: As listed below.

    Returns:
        What was found; with `apply`, only what opening the data finds.

    Raises:
        HeadstartError: The data, an option or a plan cannot be used.
    """
    values, watcher = CheckOptions.of(**options), _watcher(watcher, progress)
    with _loading("headstart.commands.check", watcher):
        from headstart.commands.check import run_check
    return run_check(data, values, watcher).record


@with_keywords(CompareOptions, CompareKeywords)
def compare(
    models: Sequence[str | os.PathLike[str]],
    data: str | os.PathLike[str],
    *,
    progress: ProgressOption = None,
    watcher: Watcher | None = None,
    **options: Unpack[CompareKeywords],
) -> ComparisonRecord:
    """Compare trained models on the same labelled images, and test their differences.

    Args:
        models: Run folders or bundles, at least two. Each is compared with those before it.
        data: See `train`. Only images of classes that all models know are used.
        progress: See `train`.
        watcher: See `train`.
        options: As listed below.

    Returns:
        The differences of all metrics with intervals and p-values.

    Raises:
        HeadstartError: A model, the data or an option cannot be used.
    """
    values, watcher = CompareOptions.of(**options), _watcher(watcher, progress)
    with _loading("headstart.commands.compare", watcher):
        from headstart.commands.compare import run_comparison
    return run_comparison(models, data, values, watcher)


@with_keywords(PredictOptions, PredictKeywords)
def predict(
    model: str | os.PathLike[str],
    images: ImagesLike,
    *,
    progress: ProgressOption = None,
    watcher: Watcher | None = None,
    **options: Unpack[PredictKeywords],
) -> list[AnyResult]:
    """Predict the labels of images.

    Args:
        model: A run folder or a bundle.
        images: One image or several, of any kind that `Predictor.predict` takes. The path of a
            folder stands for all images in it, that of a table for the images in its column `path`
            or `image`, and that of COCO's JSON for its images. With `out` and paths, the same call
            continues if it was interrupted.
        progress: See `train`.
        watcher: See `train`.
        options: As listed below.

    Returns:
        One result per image, in the order given. An image that cannot be read has a
        `FailedPrediction`.

    Raises:
        HeadstartError: The model, an option or a folder cannot be used, or the output cannot be
            written.
    """
    values, watcher = PredictOptions.of(**options), _watcher(watcher, progress)
    with _loading("headstart.commands.predict", watcher):
        from headstart.commands.predict import run_prediction
    return run_prediction(model, images, values, watcher)


@with_keywords(RecommendOptions, RecommendKeywords)
def recommend(
    data: str | os.PathLike[str],
    *,
    progress: ProgressOption = None,
    watcher: Watcher | None = None,
    **options: Unpack[RecommendKeywords],
) -> RecommendResult:
    """Compare backbones on a sample of labelled images and recommend one.

    Only training images are used. `train` reuses the features computed here.

    Args:
        data: See `train`.
        progress: See `train`.
        watcher: See `train`.
        options: As listed below.

    Raises:
        HeadstartError: The data, a backbone or an option cannot be used. The message says why.
    """
    values, watcher = RecommendOptions.of(**options), _watcher(watcher, progress)
    with _loading("headstart.commands.recommend", watcher):
        from headstart.commands.recommend import run_recommendation
    return run_recommendation(data, values, watcher)


@with_keywords(ExplainOptions, ExplainKeywords)
def explain(
    model: str | os.PathLike[str],
    images: ImagesLike,
    *,
    progress: ProgressOption = None,
    watcher: Watcher | None = None,
    **options: Unpack[ExplainKeywords],
) -> list[AnyExplanation]:
    """Write heat maps of predictions, and name the training images that are similar.

    Args:
        model: A run folder or a bundle.
        images: See `predict`.
        progress: See `train`.
        watcher: See `train`.
        options: As listed below.

    Returns:
        One result per image, in the order given. An image that cannot be read has a
        `FailedPrediction`.

    Raises:
        HeadstartError: The model, an option or a folder cannot be used, or the output cannot be
            written.
    """
    values, watcher = ExplainOptions.of(**options), _watcher(watcher, progress)
    with _loading("headstart.commands.explain", watcher):
        from headstart.commands.explain import run_explanation
    return run_explanation(model, images, values, watcher)


@with_keywords(ExportOptions, ExportKeywords)
def export(
    model: str | os.PathLike[str] | Predictor,
    *,
    progress: ProgressOption = None,
    watcher: Watcher | None = None,
    **options: Unpack[ExportKeywords],
) -> ExportRecord:
    """Write a model as one file that answers the same without this project.

    The file takes decoded, resized images and returns calibrated probabilities. A short script
    beside it reads image files as the model was trained on them. Both are checked on real files
    first: with any other answer, nothing is written.

    Args:
        model: A run folder, a bundle or a predictor. A bundle and a predictor need `images`.
        progress: See `train`.
        watcher: See `train`.
        options: As listed below.

    Raises:
        ExportError: The exported file answers differently; the message lists the images.
        HeadstartError: The model or an option cannot be used, or the output cannot be written.
    """
    values, watcher = ExportOptions.of(**options), _watcher(watcher, progress)
    with _loading("headstart.commands.export", watcher):
        from headstart.commands.export import run_export
    return run_export(model, values, watcher)


@with_keywords(ShiftOptions, ShiftKeywords)
def shift(
    model: str | os.PathLike[str],
    images: ImagesLike,
    *,
    progress: ProgressOption = None,
    watcher: Watcher | None = None,
    **options: Unpack[ShiftKeywords],
) -> ShiftRecord:
    """Measure how far unlabelled images are from the training images of a model.

    Args:
        model: A run folder or a bundle.
        images: A folder, or any images that `Predictor.predict` takes.
        progress: See `train`.
        watcher: See `train`.
        options: As listed below.

    Returns:
        Whether the images differ from the training images by more than chance, the share that is
        unknown, the estimated accuracy, what moved, and which images to label first.

    Raises:
        HeadstartError: The model, an option or a folder cannot be used, or no image can be read.
    """
    values, watcher = ShiftOptions.of(**options), _watcher(watcher, progress)
    with _loading("headstart.commands.shift", watcher):
        from headstart.commands.shift import run_shift
    return run_shift(model, images, values, watcher)


@with_keywords(VerifyOptions, VerifyKeywords)
def verify(
    model: str | os.PathLike[str],
    pairs: str | os.PathLike[str],
    *,
    progress: ProgressOption = None,
    watcher: Watcher | None = None,
    **options: Unpack[VerifyKeywords],
) -> VerifyResult:
    """Measure how often a model tells whether two images show the same product or person.

    Args:
        model: A gallery, a run, its bundle, the name of a backbone, or "dlib-face".
        pairs: A table with the columns path1, path2 and same (1 or 0), and perhaps fold.
        progress: See `train`.
        watcher: See `train`.
        options: As listed below.

    Returns:
        The accuracy with its standard error by the protocol of LFW, AUROC, equal error rate, and
        true accepts at shares of false ones.

    Raises:
        HeadstartError: The model, an option or the pairs cannot be used.
    """
    values, watcher = VerifyOptions.of(**options), _watcher(watcher, progress)
    with _loading("headstart.commands.verify", watcher):
        from headstart.commands.verify import verify_model
    return verify_model(model, pairs, values, watcher)


@with_keywords(PushOptions, PushKeywords)
def push(
    model: str | os.PathLike[str],
    repository: str,
    *,
    progress: ProgressOption = None,
    watcher: Watcher | None = None,
    **options: Unpack[PushKeywords],
) -> PushedModel:
    """Push a trained model to the Hugging Face hub: the files of its bundle, and nothing else.

    Args:
        model: A run folder or a bundle.
        repository: OWNER/NAME; it is created if it does not exist.
        progress: See `train`.
        watcher: See `train`.
        options: As listed below.

    Returns:
        Where the model is, and which files were pushed.

    Raises:
        HeadstartError: The model is damaged, the hub cannot be reached or refuses, or the
            repository has other content.
    """
    values, watcher = PushOptions.of(**options), _watcher(watcher, progress)
    with _loading("headstart.commands.push", watcher):
        from headstart.commands.push import run_push
    return run_push(model, repository, values, watcher)


@with_keywords(OpenOptions, OpenKeywords)
def open_images(
    data: str | os.PathLike[str],
    *,
    progress: ProgressOption = None,
    watcher: Watcher | None = None,
    **options: Unpack[OpenKeywords],
) -> Images:
    """Open labelled images, check every file, and split them into training and test images.

    Args:
        data: A folder with one subfolder per class, a folder with train/ (val/) and test/ of such
            folders, a CSV or Parquet file, or an archive of a folder.
        progress: See `train`.
        watcher: See `train`.
        options: As listed below.

    Raises:
        DataError: No usable images are left, or there are fewer than two classes.
        OptionError: An option is invalid.
    """
    values, watcher = OpenOptions.of(**options), _watcher(watcher, progress)
    with _loading("headstart.tasks.opening", watcher):
        from headstart.tasks.opening import open_data
    return open_data(data, values, watcher)


@with_keywords(ComputeOptions, ComputeKeywords)
def load(model: str | os.PathLike[str], **options: Unpack[ComputeKeywords]) -> Predictor | Detector:
    """Load a trained model. Network access is needed at most once, for a model on the hub.

    Args:
        model: A run folder, a bundle, or "hf-hub:OWNER/NAME" for a model on the Hugging Face hub;
            "@" and a branch, a tag or a commit may follow.
        options: As listed below.

    Raises:
        BundleError: The model is missing, was changed, or has an unknown version.
        HubError: The model cannot be downloaded from the hub.
        OptionError: An option is invalid.
    """
    from headstart.tasks.loading import load_model

    return load_model(model, ComputeOptions.of(**options))


def _watcher(watcher: Watcher | None, progress: ProgressOption) -> Watcher:
    if watcher is None:
        return watcher_for(progress)
    if progress is not None:
        raise OptionError("A watcher receives the progress. Pass either progress or watcher.")
    return watcher


def _loading(module: str, watcher: Watcher) -> AbstractContextManager[None]:
    """Show that a module is being imported, unless it was imported before or nothing is shown."""
    if module in sys.modules:
        return nullcontext()
    from headstart.watching.display import Display

    return watcher.loading() if isinstance(watcher, Display) else nullcontext()
