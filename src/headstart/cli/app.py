"""The commands: each builds its options, calls one use case and prints the result."""

import io
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from contextvars import ContextVar
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headstart.cache import cache_folder, cache_url
from headstart.cli import interruption
from headstart.cli.clock import process_start
from headstart.cli.console import display, print_error, stderr, stdout
from headstart.cli.gallery import gallery_app
from headstart.cli.json_output import print_json
from headstart.cli.parameters import Command, Json, with_options
from headstart.errors import HeadstartError
from headstart.options import (
    BackbonesOptions,
    CacheOptions,
    CheckOptions,
    ClearOptions,
    CompareOptions,
    ConvertOptions,
    EvaluateOptions,
    ExplainOptions,
    ExportOptions,
    PredictOptions,
    PushOptions,
    RecommendOptions,
    ShiftOptions,
    TrainOptions,
)
from headstart.serving_options import ServeOptions, StudioOptions

if TYPE_CHECKING:
    from headstart.commands.train import TrainResult

_INTERRUPTED = 130

_began: ContextVar[float] = ContextVar("began")

app = typer.Typer(
    name="headstart",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)
cache_app = typer.Typer(no_args_is_help=True, help="Show or clear the cache of computed features.")
app.add_typer(gallery_app, name="gallery")
app.add_typer(cache_app, name="cache")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"headstart {version('headstart')}")  # noqa: T201
        raise typer.Exit


@app.callback()
def headstart(
    version_: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Show the version and exit.",
            metavar="",
            callback=_show_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Train, evaluate and use image classifiers and object detectors, on pretrained networks."""


Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        show_default=False,
        help="A folder with one subfolder per class (optionally inside train/ and test/), images "
        "with boxes (COCO, Pascal VOC, YOLO), a CSV or Parquet file, an archive or shards, or the "
        "URL of one in an object store.",
    ),
]
BoxData = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        show_default=False,
        help="Images with boxes: COCO, Pascal VOC, YOLO, or a CSV or Parquet file.",
    ),
]
Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        show_default=False,
        help="A run folder, its bundle, or hf-hub:OWNER/NAME.",
    ),
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    The exit status is 0 on success, 1 for invalid input, 2 for wrong usage, 130 if interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # Not every name is printable.
    _began.set(process_start() if arguments is None else time.perf_counter())
    interruption.begin(sys.argv[1:] if arguments is None else arguments)
    try:
        status = app(args=arguments, standalone_mode=False)
    except typer.Exit as end:
        status = end.exit_code
    except (KeyboardInterrupt, typer.Abort):
        status = _INTERRUPTED
    except HeadstartError as error:
        print_error(str(error))
        status = 1
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        if hasattr(error, "message"):  # Typer passes on how pydantic begins its messages.
            error.message = error.message.replace("Value error, ", "")
        error.show()  # type: ignore[attr-defined]
        status = 2
    if status == _INTERRUPTED:
        interruption.print_interrupted()
    sys.exit(status or 0)


@app.command(cls=Command)
@with_options(TrainOptions)
def demo(json_: Json = False, *, options: TrainOptions) -> None:
    """Train on 2,624 photos of solar cells, as an example."""
    _reject_at_once(None, options)
    watcher = display()
    with watcher.loading():
        from headstart.commands.demo import run_demo

    with interruption.continued():
        result = run_demo(options, watcher, begin=_began.get())
    _print_training(result, json_)


@app.command(cls=Command)
@with_options(TrainOptions)
def train(data: Data, json_: Json = False, *, options: TrainOptions) -> None:
    """Train a classifier or, if the images have boxes, a detector, and evaluate it."""
    _reject_at_once(data, options)
    watcher = display()
    with watcher.loading():
        from headstart.commands.train import run_training

    with interruption.continued():
        result = run_training(data, options, watcher, begin=_began.get())
    _print_training(result, json_)


@app.command(cls=Command)
@with_options(PredictOptions)
def predict(
    model: Model,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE",
            show_default=False,
            help="Image files, folders, tables with a column 'path' or 'image', COCO's JSON, "
            "shards, or their URLs in an object store.",
        ),
    ],
    json_: Json = False,
    *,
    options: PredictOptions,
) -> None:
    """Predict the labels of images, or with a detector the boxes of objects in them.

    With --out, there may be any number of images, and the same command continues if it was
    interrupted. The exit status is 1 if a file that is named cannot be read, or no file at all.
    """
    watcher = display()
    with watcher.loading():
        from headstart.cli.predicting import print_predictions, write_predictions

    # Of predictions, what is kept is said by the command itself.
    with interruption.continued(kept="") if options.out else nullcontext():
        predict = write_predictions if options.out else print_predictions
        read = predict(stdout(), model, images, options, watcher, json_=json_)
    if not read:
        raise typer.Exit(1)


@app.command(cls=Command)
@with_options(EvaluateOptions)
def evaluate(
    model: Model,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            show_default=False,
            help="Labelled images, as for train (default: the images that the run held out).",
        ),
    ] = None,
    json_: Json = False,
    *,
    options: EvaluateOptions,
) -> None:
    """Evaluate a trained model on labelled images, or again on its own test images."""
    watcher = display()
    with watcher.loading():
        from headstart.cli.tables import show_evaluation
        from headstart.commands.evaluate import run_evaluation

    result = run_evaluation(model, data, options, watcher)
    if json_:
        print_json(result.to_json())
    else:
        show_evaluation(stdout(), result)


@app.command(cls=Command)
@with_options(CompareOptions)
def compare(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL MODEL... DATA",
            show_default=False,
            help="Two or more runs or bundles, and labelled images as for train.",
        ),
    ],
    json_: Json = False,
    *,
    options: CompareOptions,
) -> None:
    """Compare trained models on the same labelled images: are the differences more than chance?"""
    watcher = display()
    with watcher.loading():
        from headstart.cli.comparison import show_comparison
        from headstart.commands.compare import run_comparison

    *compared, data = models
    record = run_comparison(compared, data, options, watcher)
    if json_:
        print_json(record.to_json())
    else:
        show_comparison(stdout(), record, written=options.report)


@app.command(cls=Command)
@with_options(CheckOptions)
def check(data: Data, json_: Json = False, *, options: CheckOptions) -> None:
    """Look at images with labels or boxes before training: copies, leaks, shortcuts, label errors.

    With --plan and --apply, faults are corrected on a copy.
    """
    watcher = display()
    with watcher.loading():
        from headstart.cli.checking import show_check
        from headstart.commands.check import run_check

    result = run_check(data, options, watcher)
    if json_:
        print_json(result.to_json())
    else:
        show_check(stdout(), result, options, interruption.arguments())


@app.command(cls=Command)
@with_options(ConvertOptions)
def convert(data: BoxData, json_: Json = False, *, options: ConvertOptions) -> None:
    """Write images with boxes in another format."""
    watcher = display()
    with watcher.loading():
        from headstart.cli.converting import show_conversion
        from headstart.commands.convert import run_convert

    result = run_convert(data, options, watcher)
    if json_:
        print_json(result.to_json())
    else:
        show_conversion(stdout(), result)


@app.command(cls=Command)
@with_options(ExplainOptions)
def explain(
    model: Model,
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE", show_default=False, help="Image files or folders."),
    ],
    json_: Json = False,
    *,
    options: ExplainOptions,
) -> None:
    """Write heat maps of predictions, and name similar training images.

    The exit status is 1 if no image can be read.
    """
    watcher = display()
    with watcher.loading():
        from headstart.cli.explaining import show_explanations
        from headstart.commands.explain import run_explanation

    explained = run_explanation(model, images, options, watcher)
    if json_:
        print_json([one.to_json() for one in explained])
    elif explained:
        show_explanations(stdout(), explained)
    if not any("heat_map" in one.to_json() for one in explained):
        raise typer.Exit(1)


@app.command(cls=Command)
@with_options(ExportOptions)
def export(model: Model, json_: Json = False, *, options: ExportOptions) -> None:
    """Write a model as one file that answers the same without Headstart.

    Its answers to real image files are compared with the model's first. If any differs, nothing is
    written.
    """
    watcher = display()
    with watcher.loading():
        from headstart.cli.exporting import show_export
        from headstart.commands.export import run_export

    record = run_export(model, options, watcher)
    if json_:
        print_json(record.to_json())
    else:
        show_export(stdout(), record)


@app.command(cls=Command)
@with_options(ShiftOptions)
def shift(
    model: Model,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="FOLDER|IMAGE",
            show_default=False,
            help="Unlabelled images: folders or files.",
        ),
    ],
    json_: Json = False,
    *,
    options: ShiftOptions,
) -> None:
    """Are unlabelled images like the training images? What to expect of the model on them."""
    watcher = display()
    with watcher.loading():
        from headstart.cli.shifting import show_shift
        from headstart.commands.shift import run_shift

    record = run_shift(model, images, options, watcher)
    if json_:
        print_json(record.to_json())
    else:
        show_shift(stdout(), record)


@app.command(cls=Command)
@with_options(PushOptions)
def push(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", show_default=False, help="A run folder or its bundle."),
    ],
    repository: Annotated[
        str,
        typer.Argument(
            metavar="OWNER/NAME",
            show_default=False,
            help="The repository; it is created if it does not exist.",
        ),
    ],
    json_: Json = False,
    *,
    options: PushOptions,
) -> None:
    """Push a trained model to the Hugging Face hub."""
    watcher = display()
    with watcher.loading():
        from headstart.cli.pushing import show_push
        from headstart.commands.push import run_push

    pushed = run_push(model, repository, options, watcher)
    if json_:
        print_json(pushed.to_json())
    else:
        show_push(stdout(), pushed)


@app.command(cls=Command)
@with_options(ServeOptions)
def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            show_default=False,
            help="Runs, bundles, galleries or hf-hub:OWNER/NAME, also as NAME=MODEL; or a folder "
            "of them, which is watched.",
        ),
    ],
    *,
    options: ServeOptions,
) -> None:
    """Serve models and galleries over HTTP, with a page to try them."""
    from headstart.cli.serving import run_server

    run_server(stderr(), models, options)


@app.command(cls=Command)
@with_options(StudioOptions)
def studio(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            show_default=False,
            help="Images, with or without class folders; it is created if it does not exist.",
        ),
    ] = Path("studio"),
    *,
    options: StudioOptions,
) -> None:
    """Label images in the browser, and see at once what a model learns from them."""
    from headstart.cli.serving import open_studio

    open_studio(stderr(), folder, options)


@app.command(cls=Command)
@with_options(RecommendOptions)
def recommend(data: Data, json_: Json = False, *, options: RecommendOptions) -> None:
    """Compare backbones on your images and recommend one."""
    _reject_at_once(data, options)
    watcher = display()
    with watcher.loading():
        from headstart.cli.tables import show_recommendation
        from headstart.commands.recommend import run_recommendation
        from headstart.record import recommendation_json

    result = run_recommendation(data, options, watcher)
    if json_:
        print_json(recommendation_json(result.recommendation))
    else:
        show_recommendation(stdout(), result, data)


@app.command(cls=Command)
@with_options(BackbonesOptions)
def backbones(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            show_default=False,
            help="List only backbones whose name or family contains this text.",
        ),
    ] = "",
    json_: Json = False,
    *,
    options: BackbonesOptions,
) -> None:
    """List the available pretrained networks."""
    watcher = display()
    with watcher.loading():
        from headstart.cli.tables import show_backbones
        from headstart.commands.backbones import list_backbones

    listed = list_backbones(text, options, watcher)
    if json_:
        print_json([backbone.to_dict() for backbone in listed])
    else:
        show_backbones(stdout(), listed, measured=options.measure)


@cache_app.command("info", cls=Command)
@with_options(CacheOptions)
def cache_info_command(json_: Json = False, *, options: CacheOptions) -> None:
    """Show the contents and the size of the cache."""
    from headstart.cli.tables import show_cache
    from headstart.commands.cache import cache_info

    info = cache_info(options)
    if json_:
        tables = [
            {"about": table.about, "images": table.images, "bytes": table.bytes}
            for table in info.tables
        ]
        print_json({"folder": str(info.folder), "tables": tables, "bytes": info.bytes})
    else:
        show_cache(stdout(), info)


@cache_app.command("clear", cls=Command)
@with_options(ClearOptions)
def cache_clear_command(json_: Json = False, *, options: ClearOptions) -> None:
    """Delete the cache. Anything needed later is recomputed."""
    from headstart.cli.tables import megabytes
    from headstart.commands.cache import cache_clear

    folder = cache_url(options.cache) or cache_folder(options.cache)
    freed = sum(cache_clear(options).values())
    if json_:
        print_json({"folder": str(folder), "freed_bytes": freed})
    else:
        stdout().print(f"Freed {megabytes(freed)} in {folder}", highlight=False)


def _reject_at_once(data: str | None, options: TrainOptions | RecommendOptions) -> None:
    """Reject what can be found wrong before libraries are loaded, which takes seconds."""
    from headstart.commands.combinations import (
        RUN,
        reject_ineffective_options,
        reject_ineffective_training_options,
    )
    from headstart.data.paths import check_exists

    if isinstance(options, TrainOptions):
        reject_ineffective_training_options(options, data)
    else:
        reject_ineffective_options(options, RUN)
    if data is not None:
        check_exists(data)


def _print_training(result: "TrainResult", json_: bool) -> None:
    from headstart.cli.tables import show_training

    if json_:
        print_json(result.to_json())
    else:
        show_training(stdout(), result)
    if result.interrupted:
        interruption.continue_with(result.run)
        raise typer.Exit(_INTERRUPTED)
