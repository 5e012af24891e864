"""The commands of `headstart gallery`."""

from pathlib import Path
from typing import Annotated

import typer

from headstart.cli.console import display, stdout
from headstart.cli.json_output import print_json
from headstart.cli.parameters import Command, Json, with_options
from headstart.gallery_options import (
    AddOptions,
    CreateOptions,
    EvaluateGalleryOptions,
    RemoveOptions,
    SearchOptions,
    VerifyOptions,
)
from headstart.options import ComputeOptions

gallery_app = typer.Typer(
    no_args_is_help=True, help="Find the same product or person among enrolled images."
)

Folder = Annotated[
    Path, typer.Argument(metavar="GALLERY", show_default=False, help="The folder of a gallery.")
]
Labelled = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        show_default=False,
        help="A folder with a folder for each product or person, a CSV or Parquet file with "
        "'label' and any other columns, or an archive.",
    ),
]


@gallery_app.command(cls=Command)
@with_options(CreateOptions)
def create(data: Labelled, json_: Json = False, *, options: CreateOptions) -> None:
    """Make a gallery of labelled images."""
    watcher = display()
    with watcher.loading():
        from headstart.cli.galleries import show_change, show_trials
        from headstart.commands.galleries import create_gallery

    result = create_gallery(data, options, watcher)
    if json_:
        print_json(result.to_json())
    else:
        show_trials(stdout(), result.gallery)
        show_change(stdout(), result, "Enrolled")


@gallery_app.command(cls=Command)
@with_options(AddOptions)
def add(folder: Folder, data: Labelled, json_: Json = False, *, options: AddOptions) -> None:
    """Enrol further labelled images, of new labels or of old ones."""
    watcher = display()
    with watcher.loading():
        from headstart.cli.galleries import show_change
        from headstart.commands.galleries import add_images

    result = add_images(folder, data, options, watcher)
    if json_:
        print_json(result.to_json())
    else:
        show_change(stdout(), result, "Added")


@gallery_app.command(cls=Command)
@with_options(RemoveOptions)
def remove(
    folder: Folder,
    names: Annotated[
        list[str], typer.Argument(metavar="NAME…", show_default=False, help="Labels, or images.")
    ],
    json_: Json = False,
    *,
    options: RemoveOptions,
) -> None:
    """Remove labels or images, with every trace of their embeddings."""
    with display().loading():
        from headstart.cli.galleries import show_change
        from headstart.commands.galleries import remove_images

    kind = "images" if options.images else "labels"
    result = remove_images(folder, options, **{kind: names})
    if json_:
        print_json(result.to_json())
    else:
        show_change(stdout(), result, "Removed")


@gallery_app.command(cls=Command)
@with_options(SearchOptions)
def search(
    folder: Folder,
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE…", show_default=False, help="Images, or folders of images."),
    ],
    json_: Json = False,
    *,
    options: SearchOptions,
) -> None:
    """Which enrolled product or person do images show?"""
    with display().loading():
        from headstart.cli.galleries import show_answers
        from headstart.commands.embedding import open_gallery
        from headstart.commands.galleries import answers_of
        from headstart.commands.image_files import found_images

    gallery, found = open_gallery(folder, options), found_images(images, display().warn)
    answers = list(answers_of(gallery, found, options.hits, coarse=options.coarse))
    if json_:
        print_json([one.to_json() for one in answers])
    else:
        show_answers(stdout(), answers)


@gallery_app.command(cls=Command)
@with_options(VerifyOptions)
def verify(
    model: Annotated[
        str,
        typer.Argument(
            show_default=False,
            help="A gallery, a run, its bundle, the name of a backbone, or dlib-face.",
        ),
    ],
    pairs: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS.csv",
            show_default=False,
            help="A table with path1, path2 and same (1 or 0), and perhaps fold.",
        ),
    ],
    json_: Json = False,
    *,
    options: VerifyOptions,
) -> None:
    """How often does a model tell whether two images show the same product or person?"""
    watcher = display()
    with watcher.loading():
        from headstart.cli.verifying import show_verification
        from headstart.commands.verify import verify_model

    result = verify_model(model, pairs, options, watcher)
    if json_:
        print_json(result.to_json())
    else:
        show_verification(stdout(), result)


@gallery_app.command(cls=Command)
@with_options(EvaluateGalleryOptions)
def evaluate(
    folder: Folder,
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATA",
            show_default=False,
            help="Labelled images to look up, as for create; those of labels that are not enrolled "
            "are strangers (default: each enrolled image is looked up among the others).",
        ),
    ] = None,
    json_: Json = False,
    *,
    options: EvaluateGalleryOptions,
) -> None:
    """Measure how often images are found again, and strangers are recognised as unknown."""
    watcher = display()
    with watcher.loading():
        from headstart.cli.gallery_evaluation import show_gallery_evaluation
        from headstart.commands.gallery_evaluation import run_gallery_evaluation

    record = run_gallery_evaluation(folder, data, options, watcher)
    if json_:
        print_json(record.to_json())
    else:
        show_gallery_evaluation(stdout(), record, out=options.out)


@gallery_app.command("list", cls=Command)
@with_options(ComputeOptions)
def list_command(folder: Folder, json_: Json = False, *, options: ComputeOptions) -> None:
    """List the labels and the number of their images."""
    with display().loading():
        from headstart.cli.galleries import show_labels
        from headstart.commands.embedding import open_gallery

    gallery = open_gallery(folder, options)
    counts = gallery.labels()
    if json_:
        print_json({"images": sum(counts.values()), "labels": counts})
    else:
        show_labels(stdout(), gallery, counts)
