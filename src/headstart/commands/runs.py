"""A run: the folder that a training writes."""

import io
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from headstart.bundle import replace_folder, write_files
from headstart.classifier import Classifier
from headstart.data.decoding import decode_image, quiet_pillow, read_image
from headstart.data.images import ImageSet
from headstart.errors import OutputError
from headstart.evaluation.metrics import Probabilities
from headstart.report import Mistake, render_recommendation, render_report
from headstart.tuning.events.listeners import EVENTS

METRICS, MANIFEST, REPORT, BUNDLE = "metrics.json", "manifest.parquet", "report.html", "bundle"

_MISTAKES = 24
_THUMBNAIL = 224


def choose_folder(out: Path | None, name: str, *, overwrite: bool) -> Path:
    """Decide where a run goes, before any work is done.

    Args:
        out: What the user asked for, or None for runs/NAME, or runs/NAME-2 and so on.
        name: Of the data.
        overwrite: Whether an earlier run may be replaced.

    Raises:
        OutputError: The folder exists, or is no run although it may be replaced.
    """
    if out is None:
        return _next_free(re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run")
    if out.resolve() == Path.cwd():
        raise OutputError(f"Output '{out}' is the folder you stand in. Name a folder within it.")
    parent = next(one for one in out.resolve().parents if one.exists())
    if not parent.is_dir():
        raise OutputError(f"Output '{out}' cannot be written: Not a directory.")
    if not os.access(parent, os.W_OK):
        raise OutputError(f"Output '{out}' cannot be written: Permission denied.")
    if out.exists() and not _is_empty(out):
        if not overwrite:
            raise OutputError(
                f"Output '{out}' already exists. Pass --overwrite (overwrite=True) to replace it."
            )
        if not (out / METRICS).is_file():
            raise OutputError(
                f"Output '{out}' exists and is no run of headstart, so it is not replaced. "
                "Choose another folder."
            )
    return out


@contextmanager
def reserved_folder(out: Path | None, name: str, *, overwrite: bool) -> Iterator[Path]:
    """Do `choose_folder`, and give the folder back if nothing came to be written into it."""
    run = choose_folder(out, name, overwrite=overwrite)
    try:
        yield run
    finally:
        with suppress(OSError):
            run.rmdir()  # Only if it is empty.


def _next_free(stem: str) -> Path:
    """Make the first folder of runs/NAME, runs/NAME-2, … that is not there: nobody else has it."""
    for number in range(1, 10**6):
        run = Path("runs", stem if number == 1 else f"{stem}-{number}")
        try:
            run.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise OutputError(f"Output '{run}' cannot be written: {error.strerror}.") from None
        return run
    raise OutputError(f"There are a million runs of '{stem}'. Pass --out.")


def write_run(
    run: Path,
    model: Classifier,
    manifest: pa.Table,
    metrics: Mapping[str, Any],
    mistakes: Sequence[Mistake],
    *,
    events: str = "",
) -> None:
    """Write a run as a whole, so that an interrupted one leaves nothing half-made.

    Args:
        run: The folder.
        model: What was trained.
        manifest: Every image.
        metrics: What was measured.
        mistakes: For the report.
        events: Lines of JSON that fine-tuning wrote.

    Raises:
        OutputError: It cannot be written; an earlier run of that name is still there.
    """
    with _whole(run) as partial:
        write_files(model.to_bundle(metrics), partial / BUNDLE)
        pq.write_table(manifest, partial / MANIFEST)
        _write_json(partial / METRICS, metrics)
        (partial / REPORT).write_text(render_report(metrics, mistakes), encoding="utf-8")
        if events:
            (partial / EVENTS).write_text(events, encoding="utf-8")


def events_below(checkpoints: Path) -> str:
    """Give the events of every round of a fine-tuning, each with the name of its round."""
    lines = []
    for path in sorted(checkpoints.glob(f"*/{EVENTS}")):
        for line in path.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):  # A full disk may have torn the last one.
                lines.append(json.dumps({"round": path.parent.name} | json.loads(line)) + "\n")
    return "".join(lines)


def write_recommendation(
    run: Path, name: str, source: str, recommendation: Mapping[str, Any]
) -> None:
    """Write what was recommended, as numbers and as a page, as a whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    metrics = {
        "headstart": version("headstart"),
        "data": {"name": name, "source": source},
        "recommendation": recommendation,
    }
    with _whole(run) as partial:
        _write_json(partial / METRICS, metrics)
        (partial / REPORT).write_text(render_recommendation(metrics), encoding="utf-8")


@contextmanager
def _whole(run: Path) -> Iterator[Path]:
    """Give a folder that takes the run's place once everything is in it."""
    partial = run.with_name(f".{run.name}-{uuid4().hex}")
    try:
        partial.mkdir(parents=True)
        yield partial
        replace_folder(partial, run)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"Output '{run}' cannot be written: {reason}.") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def learnt_from(run: Path) -> set[str]:
    """Give the sha256 of each image that a run learnt from; none if it is a bundle alone."""
    path = run / MANIFEST
    if not path.is_file():
        return set()
    rows = pq.read_table(path, columns=["sha256", "split", "rejected"]).to_pylist()
    return {row["sha256"] for row in rows if row["split"] == "train" and row["rejected"] is None}


def worst_mistakes(images: ImageSet, told: Probabilities) -> list[Mistake]:
    """Show the images that the model got wrong and was most sure of."""
    labels, chosen = images.labels, told.argmax(axis=1)
    wrong = np.flatnonzero(labels != chosen)
    worst = wrong[np.argsort(-told[wrong, chosen[wrong]], kind="stable")][:_MISTAKES]
    names, paths = images.names, images.paths
    return [
        Mistake(
            names[row],
            _thumbnail(paths[row]),
            images.classes[labels[row]],
            images.classes[chosen[row]],
            float(told[row, chosen[row]]),
        )
        for row in worst
    ]


def _thumbnail(path: str) -> bytes:
    with quiet_pillow():
        image = decode_image(read_image(path), path=path, smallest=_THUMBNAIL)
    small = image.copy()
    small.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return out.getvalue()


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())
