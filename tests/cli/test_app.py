"""The commands: their output on stdout and stderr, and their exit status."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from headstart.cli import main
from headstart.commands import demo
from headstart.errors import RunInterrupted
from tests.cli.conftest import QUICK, Completed
from tests.conftest import write_folder

Cli = Callable[..., Completed]
MakeFolder = Callable[..., Path]
NEWLINES = pyarrow.csv.ParseOptions(newlines_in_values=True)
NULLS = pyarrow.csv.ConvertOptions(strings_can_be_null=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a tiny model on blue and red images; return the folder of photos, cache and run."""
    root = tmp_path_factory.mktemp("trained")
    write_folder(root / "photos", 12, ("blue", "red"))
    places = ("--cache", str(root / "cache"), "--out", str(root / "run"))
    with pytest.raises(SystemExit, match="0"):
        main(["train", str(root / "photos"), *QUICK, *places])
    return root


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """Copy the photos, the cache and the run, and return the run."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path / "run"


def stripped(text: str) -> list[str]:
    """Return the lines without the padding of tables."""
    return [line.strip() for line in text.splitlines()]


def test_train_json_has_the_documented_keys(
    train: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """`train --json` prints the documented keys at the top level, and no others."""
    printed = json.loads(train(make_folder(), "--json", "--out", tmp_path / "run").out)
    assert set(printed) == {
        *(
            "run",
            "task",
            "backbone",
            "features",
            "head",
            "tuned",
            "classes",
            "images",
            "test",
            "seconds",
            "validation",
            "leakage",
        ),
        *("choice", "chosen_on", "why_chosen", "val_used_for", "disagreements", "series"),
        *("shortcuts", "label_audit", "learning_curve", "compared", "limits"),
    }
    assert printed["run"] == str(tmp_path / "run")
    assert (printed["backbone"], printed["features"]) == ("test_efficientnet", "last")
    assert (printed["head"], printed["tuned"]) == ("linear", None)
    assert printed["classes"] == ["blue", "red"]
    assert set(printed["images"]) == {"train", "val", "test", "rejected"}
    assert sum(printed["images"].values()) == 24
    assert set(printed["test"]) == {
        *("images", "accuracy", "accuracy_ci95", "macro_f1", "auroc", "ece"),
        *("log_loss", "majority", "classes_without_images", "per_class"),
        *("auroc_ci95", "groups", "operating_point", "slices"),
    }
    assert printed["test"]["majority"] == pytest.approx(4 / 6)
    per_class = printed["test"]["per_class"]
    counts = [(row["class"], row["trained_on"], row["images"]) for row in per_class]
    assert counts == [("blue", 8, 4), ("red", 10, 2)]
    low, high = printed["test"]["accuracy_ci95"]
    assert 0 <= low <= printed["test"]["accuracy"] <= high <= 1
    assert set(printed["seconds"]) >= {"extract", "head", "tune", "total"}


def test_train_json_prints_only_json_to_stdout(
    train: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """With --json, stdout is one JSON object; stages and warnings go to stderr."""
    folder = make_folder()
    shutil.copy(folder / "red/000.png", folder / "red/copy.png")
    done = train(folder, "--json", "--out", tmp_path / "run")
    assert isinstance(json.loads(done.out), dict)
    assert done.out.startswith("{\n") and done.out.endswith("}\n")
    stages = ("✓ Checking images", "✓ Extracting features", "✓ Training the head")
    assert all(stage in done.err for stage in stages)
    assert "! Duplicates, each kept on the same side of the split: 1." in done.err


def test_train_shows_the_evaluation(
    train: Cli, make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --json, stdout has the accuracy, its interval, each class and the next command."""
    monkeypatch.chdir(tmp_path)
    done = train(make_folder(), "--out", "runs/one")
    lines = [line for line in stripped(done.out) if line]
    lines[1] = re.sub(r"error 0\.0\d\d", "error 0.0xx", lines[1])
    rule = lines.pop(3)
    assert set(rule) == {"─"}
    limits = lines.pop(5)
    assert limits.startswith("Prediction sets for 90% contain the true label of 100.0% of these")
    seconds = lines.pop(5)
    assert re.fullmatch(r"Done in \d+\.\d s: ([a-z]+ \d+\.\d(, |$))+", seconds)
    assert lines == [
        "100.0% correct on 6 test images, 95% interval 61.0% to 100.0%",
        (
            "AUROC 1.000 (0.472 to 1.000) · macro-F1 1.000 · calibration error 0.0xx · "
            "majority baseline 66.7%"
        ),
        "class   precision   recall      F1   test images   trained on",
        "blue       100.0%   100.0%   1.000             4            8",
        "red        100.0%   100.0%   1.000             2           10",
        "report   runs/one/report.html",
        "predict  headstart predict runs/one IMAGE",
    ]


def test_train_shows_the_candidates(
    headstart: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """If several heads were averaged, the average is marked, and all have their shares."""
    options = ("--backbone", "test_efficientnet", "--weights", "random", "--image-size", "64")
    options = (*options, "--features", "last", "--cache", tmp_path / "cache")
    done = headstart("train", make_folder(), *options, "--out", tmp_path / "run")
    assert "Compared on held-out folds of the training images:" in done.out
    rows = [line.split() for line in stripped(done.out) if line.startswith("last ")]
    assert sorted(row[1] for row in rows) == ["kernel", "linear", "nearest", "stack"]
    assert [(row[1], row[-2:]) for row in rows if "chosen" in row] == [("stack", ["←", "chosen"])]
    shares = [int(row[-1].removesuffix("%")) for row in rows if row[1] != "stack"]
    assert len(shares) == 3 and sum(shares) in (99, 100, 101)


def test_train_without_a_test_part_says_so(
    train: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """Without a test part there are no metrics: the text says so, and the JSON has null."""
    text = train(make_folder(), "--test", "0", "--out", tmp_path / "one").out
    printed = json.loads(
        train(tmp_path / "photos", "--test", "0", "--json", "--out", tmp_path / "two").out
    )
    first = "No images were held out for testing, so the model was not evaluated."
    assert text.splitlines()[0] == first
    assert printed["test"] is None
    assert not (tmp_path / "one/test_predictions.parquet").exists()


def test_train_lists_rejected_images(train: Cli, make_folder: MakeFolder, tmp_path: Path) -> None:
    """A damaged file is shown with its reason, and counted in the JSON."""
    folder = make_folder()
    (folder / "red/broken.png").write_bytes(b"no image")
    done = train(folder, "--out", tmp_path / "one")
    assert "Images not used: 1" in done.out
    assert "red/broken.png   it is not an image of a known format" in stripped(done.out)
    printed = json.loads(train(folder, "--json", "--out", tmp_path / "two").out)
    assert printed["images"]["rejected"] == 1


def test_predict_prints_one_line_per_image(
    headstart: Cli, run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each line has the label, its probability and the runner-up."""
    monkeypatch.chdir(tmp_path)
    done = headstart("predict", run, "photos/blue/000.png", "photos/red/001.png")
    lines = [line for line in stripped(done.out) if line]
    assert done.code == 0
    assert lines[0].split() == ["image", "label", "probability", "other", "classes"]
    rows = [line.split() for line in lines[2:]]
    assert [(image, label, other) for image, label, _, other, _ in rows] == [
        ("photos/blue/000.png", "blue", "red"),
        ("photos/red/001.png", "red", "blue"),
    ]
    for _, _, probability, _, rest in rows:
        assert 90 < float(probability.rstrip("%")) < 100
        assert float(probability.rstrip("%")) + float(rest.rstrip("%")) == pytest.approx(100, abs=1)


def test_predict_json_is_a_list_with_errors_in_place(
    headstart: Cli, run: Path, tmp_path: Path
) -> None:
    """`predict --json` has the documented keys, and an error in place of an unreadable file."""
    bad, missing = tmp_path / "bad.png", tmp_path / "missing.png"
    bad.write_bytes(b"no image")
    good = [tmp_path / "photos/blue/000.png", tmp_path / "photos/red/001.png"]
    done = headstart("predict", run, good[0], bad, missing, good[1], "--json")
    blue, unread, absent, red = json.loads(done.out)
    assert done.code == 1
    assert unread == {"image": str(bad), "error": "it is not an image of a known format"}
    assert absent == {"image": str(missing), "error": "the file does not exist"}
    assert set(blue) == {"image", "label", "probability", "top"}
    assert (blue["image"], blue["label"]) == (str(good[0]), "blue")
    assert (red["image"], red["label"]) == (str(good[1]), "red")
    assert [set(entry) for entry in blue["top"]] == [{"label", "probability"}] * 2
    assert [entry["label"] for entry in blue["top"]] == ["blue", "red"]
    assert blue["top"][0]["probability"] == blue["probability"]


def test_predict_searches_folders(headstart: Cli, run: Path, tmp_path: Path) -> None:
    """A folder stands for all images below it, in order; other files are ignored."""
    (tmp_path / "photos/blue/notes.txt").write_text("hello")
    printed = json.loads(headstart("predict", run, tmp_path / "photos", "--json").out)
    expected = sorted(str(path) for path in (tmp_path / "photos").rglob("*.png"))
    assert [prediction["image"] for prediction in printed] == expected
    assert [prediction["label"] for prediction in printed] == ["blue"] * 12 + ["red"] * 12


def test_predict_exits_1_when_no_image_can_be_read(
    headstart: Cli, run: Path, tmp_path: Path
) -> None:
    """If no file is readable, each still has a result, and the status is 1."""
    (tmp_path / "bad.png").write_bytes(b"")
    done = headstart("predict", run, tmp_path / "bad.png", "--json")
    assert done.code == 1
    expected = [{"image": str(tmp_path / "bad.png"), "error": "the file is empty"}]
    assert json.loads(done.out) == expected


def test_predict_exits_1_when_a_named_file_cannot_be_read(
    headstart: Cli, run: Path, tmp_path: Path
) -> None:
    """A damaged file in a folder is only listed; one that was named, or is missing, is an error."""
    good, bad = tmp_path / "photos/blue/000.png", tmp_path / "photos/blue/bad.png"
    bad.write_bytes(b"no image")
    in_folder = headstart("predict", run, tmp_path / "photos/blue")
    assert in_folder.code == 0
    shown = stripped(in_folder.out)
    start = shown.index("Images that were not read: 1")
    assert shown[start + 4] == f"{bad}   it is not an image of a known format"
    assert sum(" blue " in line for line in shown[:start]) == 12
    assert not any(str(bad) in line for line in shown[:start])
    assert headstart("predict", run, good, bad).code == 1
    missing = headstart("predict", run, good, "none.png", "https://example.org/a.png")
    assert missing.code == 1
    rows = [re.split(r"   +", line) for line in stripped(missing.out)]
    assert [row for row in rows if row[0].startswith(("none", "https"))] == [
        ["none.png", "the file does not exist"],
        ["https://example.org/a.png", "it is a URL; download the file first"],
    ]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json", ".CSV"])
def test_predict_writes_a_file(headstart: Cli, run: Path, tmp_path: Path, suffix: str) -> None:
    """`predict --out` writes each image with its label, all probabilities, or its error."""
    good, bad = tmp_path / "photos/blue/000.png", tmp_path / "b,ad\n.png"
    bad.write_bytes(b"no image")
    out = tmp_path / "new" / f"predictions{suffix}"
    done = headstart("predict", run, good, bad, "--out", out)
    assert done.code == 1
    assert stripped(done.out)[:2] == ["Predictions of 1 of 2 images", f"written  {out}"]
    printed = json.loads(headstart("predict", run, good, bad, "--json").out)
    if suffix == ".json":
        assert json.loads(out.read_text(encoding="utf-8")) == printed
        return
    reading = pq.read_table if suffix == ".parquet" else pyarrow.csv.read_csv
    options = {} if suffix == ".parquet" else {"parse_options": NEWLINES, "convert_options": NULLS}
    table = reading(out, **options)
    assert table.column_names == ["image", "label", "probability", "p_blue", "p_red", "error"]
    first, second = table.to_pylist()
    probability = {entry["label"]: entry["probability"] for entry in printed[0]["top"]}
    assert first == {
        "image": str(good),
        "label": "blue",
        "probability": pytest.approx(probability["blue"], abs=1e-6),
        "p_blue": pytest.approx(probability["blue"], abs=1e-6),
        "p_red": pytest.approx(probability["red"], abs=1e-6),
        "error": None,
    }
    assert second == dict.fromkeys(table.column_names) | {
        "image": str(bad),
        "error": "it is not an image of a known format",
    }


def test_predict_with_out_and_json_does_both(headstart: Cli, run: Path, tmp_path: Path) -> None:
    """--json still prints the results."""
    image, out = tmp_path / "photos/blue/000.png", tmp_path / "predictions.json"
    done = headstart("predict", run, image, "--out", out, "--json")
    assert done.code == 0
    assert json.loads(done.out) == json.loads(out.read_text(encoding="utf-8"))


def test_predict_to_a_file_names_some_unreadable_images(
    headstart: Cli, run: Path, tmp_path: Path
) -> None:
    """The terminal has the first ones; the file has all. Those of a table do not count as named."""
    table, out = tmp_path / "list.csv", tmp_path / "p.csv"
    names = [f"none{number}.png" for number in range(12)]
    table.write_text("\n".join(["path", *names, "photos/blue/000.png"]) + "\n")
    done = headstart("predict", run, table, "--out", out)
    lines = stripped(done.out)
    assert done.code == 0
    assert lines[:3] == [
        "Predictions of 1 of 13 images",
        f"written  {out}",
        "Images that were not read: 12",
    ]
    assert [name for name in names if any(line.startswith(name) for line in lines)] == names[:10]
    assert lines[-1] == f"and 2 more, in the column 'error' of {out}"
    assert out.read_text().count("does not exist") == 12
    out.unlink()
    assert headstart("predict", run, table, "none0.png", "--out", out).code == 1


def test_predict_says_how_to_continue(
    headstart: Cli, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C, the results so far are named and the same command is printed."""
    from headstart.runs.unfinished_predictions import UnfinishedPredictions

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(UnfinishedPredictions, "join", interrupt)
    out = tmp_path / "p.csv"
    done = headstart("predict", run, tmp_path / "photos", "--out", out)
    assert done.code == 130
    assert done.err.replace("\n", " ").count(
        f"The predictions of 24 of 24 images are kept in '{out}.partial'."
    )
    again = f"headstart predict {run} {tmp_path / 'photos'} --out {out}"
    assert done.err.splitlines()[-2:] == [
        "Interrupted.",
        f"To continue: {again}",
    ]


def test_predict_top_limits_the_list(headstart: Cli, run: Path, tmp_path: Path) -> None:
    """--top 1 lists only the predicted label."""
    image = tmp_path / "photos/blue/000.png"
    (printed,) = json.loads(headstart("predict", run, image, "--top", "1", "--json").out)
    assert printed["top"] == [{"label": "blue", "probability": printed["probability"]}]


def test_predict_accepts_a_bundle(headstart: Cli, run: Path, tmp_path: Path) -> None:
    """A run and its bundle are the same model."""
    image = tmp_path / "photos/blue/000.png"
    of_run = headstart("predict", run, image, "--json").out
    assert headstart("predict", run / "bundle", image, "--json").out == of_run


def test_evaluate_json_has_the_metrics(headstart: Cli, run: Path, tmp_path: Path) -> None:
    """`evaluate --json` has the split, the metrics and the rejected images."""
    printed = json.loads(headstart("evaluate", run, tmp_path / "photos", "--json").out)
    assert set(printed) == {
        *("data", "split", "images", "accuracy", "accuracy_ci95", "macro_f1", "auroc", "ece"),
        *("log_loss", "majority", "classes_without_images", "per_class"),
        *("auroc_ci95", "groups", "operating_point", "slices"),
        *("out", "model", "confusion", "rejected", "warnings", "recorded", "headstart", "created"),
        "limits",
    }
    assert (printed["split"], printed["images"], printed["accuracy"]) == ("all", 24, 1.0)
    assert (printed["majority"], printed["rejected"]) == (0.5, [])
    assert (printed["out"], printed["model"]) == (None, str(run))
    assert printed["confusion"] == [[12, 0], [0, 12]]
    (warning,) = printed["warnings"]
    assert warning.startswith("18 of these 24 images were used for training")
    expected = {"precision": 1.0, "recall": 1.0, "recall_ci95": [pytest.approx(0.757, abs=1e-3), 1]}
    expected |= {"f1": 1.0, "auroc": 1.0, "images": 12}
    assert printed["per_class"] == [
        {"class": "blue", "trained_on": 8} | expected,
        {"class": "red", "trained_on": 10} | expected,
    ]


def test_a_class_without_images_has_no_metrics(headstart: Cli, run: Path, tmp_path: Path) -> None:
    """Its metrics are null in JSON and dashes in the table, not zeros."""
    shutil.rmtree(tmp_path / "photos/red")
    printed = json.loads(headstart("evaluate", run, tmp_path / "photos", "--json").out)
    assert printed["auroc"] is None
    assert printed["classes_without_images"] == ["red"]
    assert printed["per_class"][1] == {
        "class": "red",
        "images": 0,
        "trained_on": 10,
        **dict.fromkeys(("precision", "recall", "recall_ci95", "f1", "auroc")),
    }
    lines = stripped(headstart("evaluate", run, tmp_path / "photos").out)
    (row,) = [line.split() for line in lines if line.startswith("red ")]
    assert row == ["red", *["\u2013"] * 3, "0", "10"]
    assert lines[2] == "There are only images of one of the 2 classes, so AUROC is not defined."


def test_evaluate_shows_the_evaluation(headstart: Cli, run: Path, tmp_path: Path) -> None:
    """Without --json, it prints the same table as `train`."""
    lines = stripped(headstart("evaluate", run, tmp_path / "photos").out)
    assert lines[0] == "100.0% correct on 24 images, 95% interval 86.2% to 100.0%"
    assert "class   precision   recall      F1   images   trained on" in lines
    assert "red        100.0%   100.0%   1.000       12           10" in lines


def test_evaluate_without_data_measures_the_test_part_again(
    headstart: Cli, run: Path, tmp_path: Path
) -> None:
    """It prints the figures of the training, and that they are the same as in the record."""
    done = headstart("evaluate", run, "--cache", tmp_path / "cache")
    lines = stripped(done.out)
    assert lines[0] == "100.0% correct on 6 test images, 95% interval 61.0% to 100.0%"
    assert lines[-1] == "The record of the run has the same figures, to the last digit."
    assert f"· The test part of '{run}': 6 images, unchanged." in done.err.splitlines()
    printed = json.loads(headstart("evaluate", run, "--json").out)
    recorded = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["test"]
    assert (printed["data"], printed["split"], printed["recorded"]) == ("photos", "test", {})
    assert printed["log_loss"] == recorded["log_loss"]


def test_evaluate_writes_a_report(headstart: Cli, run: Path, tmp_path: Path) -> None:
    """--out is a folder with the page, the JSON that --json prints, and the predictions."""
    done = headstart("evaluate", run, "--out", tmp_path / "eval")
    assert stripped(done.out)[-1] == f"report  {tmp_path / 'eval'}/report.html"
    files = sorted(path.name for path in (tmp_path / "eval").iterdir())
    assert files == ["evaluation.json", "predictions.parquet", "report.html"]
    again = headstart("evaluate", run, "--out", tmp_path / "eval", "--overwrite", "--json")
    written = json.loads((tmp_path / "eval/evaluation.json").read_text(encoding="utf-8"))
    assert json.loads(again.out) == {"out": str(tmp_path / "eval")} | written


def test_evaluate_without_data_names_missing_files(
    headstart: Cli, train: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """If the data has moved, the error says what to do, and that works."""
    run = tmp_path / "run"
    assert train(make_folder(), "--out", run).code == 0
    (tmp_path / "photos").rename(tmp_path / "moved")
    done = headstart("evaluate", run)
    assert done.code == 1 and "of its 6 images, all are missing (" in done.err
    advice = f"headstart evaluate {run} DATA --split test"
    assert done.err.splitlines()[-1].endswith(advice)
    lines = stripped(headstart(*advice.replace("DATA", str(tmp_path / "moved")).split()[1:]).out)
    assert lines[0] == "100.0% correct on 6 test images, 95% interval 61.0% to 100.0%"


def test_evaluate_rejects_images_of_unknown_classes(
    headstart: Cli, run: Path, tmp_path: Path
) -> None:
    """Images of a class that the model does not have are rejected; the others are evaluated."""
    folder = tmp_path / "photos"
    (folder / "green").mkdir()
    shutil.copy(folder / "red/000.png", folder / "green/other.png")
    (folder / "red/000.png").unlink()
    printed = json.loads(headstart("evaluate", run, folder, "--json").out)
    reason = "the model has no class green"
    assert printed["rejected"] == [{"image": "green/other.png", "reason": reason}]
    assert printed["images"] == 23


def test_cache_info_lists_the_feature_tables(headstart: Cli, run: Path, tmp_path: Path) -> None:
    """`cache info` lists each feature table with its backbone, size and number of images."""
    done = headstart("cache", "info", "--cache", tmp_path / "cache")
    lines = [line for line in stripped(done.out) if line]
    assert lines[0] == f"Cache folder: {tmp_path / 'cache'}"
    assert lines[1].split() == ["backbone", "image", "size", "precision", "images", "size"]
    name, side, _, images, size, unit = lines[3].split()
    assert (name, side, images, unit) == ("test_efficientnet", "64", "24", "MB")
    assert float(size) > 0
    pattern = r"Disk space: features \d+\.\d MB, networks \d+\.\d MB, images 0\.0 MB, "
    assert re.fullmatch(pattern + r"boundary 0\.0 MB, tuning 0\.0 MB", lines[4])


def test_cache_info_json(headstart: Cli, run: Path, tmp_path: Path) -> None:
    """`cache info --json` prints the folder, the tables and the bytes."""
    printed = json.loads(headstart("cache", "info", "--json", "--cache", tmp_path / "cache").out)
    assert set(printed) == {"folder", "tables", "bytes"}
    assert printed["folder"] == str(tmp_path / "cache")
    (table,) = printed["tables"]
    assert set(table) == {"about", "images", "bytes"}
    assert (table["about"]["architecture"], table["images"]) == ("test_efficientnet", 24)
    assert set(printed["bytes"]) == {"features", "networks", "images", "boundary", "tuning"}


def test_cache_clear_deletes_everything(headstart: Cli, run: Path, tmp_path: Path) -> None:
    """`cache clear --json` prints the freed bytes; the run still predicts."""
    cache = tmp_path / "cache"
    kept = json.loads(headstart("cache", "info", "--json", "--cache", cache).out)
    printed = json.loads(headstart("cache", "clear", "--json", "--cache", cache).out)
    assert printed == {"folder": str(cache), "freed_bytes": sum(kept["bytes"].values())}
    assert list(cache.iterdir()) == []
    image = tmp_path / "photos/blue/000.png"
    assert headstart("predict", run, image, "--cache", cache).code == 0


def test_cache_clear_prints_the_freed_space(headstart: Cli, tmp_path: Path) -> None:
    """Clearing an empty cache is not an error."""
    done = headstart("cache", "clear", "--cache", tmp_path / "nothing")
    assert (done.code, done.out) == (0, f"Freed 0.0 MB in {tmp_path / 'nothing'}\n")


def test_demo_without_its_package_names_it(headstart: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """If elpv-dataset is not installed, the error says how to install it."""
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    done = headstart("demo")
    assert (done.code, done.out) == (1, "")
    assert (
        done.error
        == "Error: The demo's photos are not installed. Run: pip install 'headstart[demo]'"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "Error: No such command 'trian'. Did you mean 'train'?"),
        (["train"], "Error: Missing argument 'DATA'."),
        (
            ["train", "x", "--bakbone", "y"],
            (
                "Error: No such option: --bakbone "
                "(Possible options: --backbone, --backbones, --balanced)"
            ),
        ),
        (
            ["train", "x", "--seed", "one"],
            (
                "Error: Invalid value for '--seed': "
                "Input should be a valid integer, unable to parse string as an integer"
            ),
        ),
    ],
)
def test_wrong_usage_exits_2(headstart: Cli, arguments: list[str], message: str) -> None:
    """Wrong usage prints the usage and the problem, with status 2."""
    done = headstart(*arguments)
    assert (done.code, done.out, done.error) == (2, "", message)
    assert done.err.startswith("Usage: ")


def test_an_invalid_choice_lists_the_valid_ones(headstart: Cli) -> None:
    """`--head foo` lists the available heads."""
    done = headstart("train", "x", "--head", "foo")
    assert done.code == 2
    assert done.error.endswith("'foo' is not one of 'auto', 'linear', 'kernel', 'mlp', 'nearest'.")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["cache", "--help"]])
def test_help_exits_0(headstart: Cli, arguments: list[str]) -> None:
    """Help is printed to stdout with status 0."""
    done = headstart(*arguments)
    assert (done.code, done.err) == (0, "")
    assert "Usage: " in done.out


def test_an_interrupt_exits_130(
    headstart: Cli, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C prints one line, without a traceback."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("headstart.commands.train.run_training", interrupted)
    photos = make_folder()
    done = headstart("train", photos)
    assert (done.code, done.out) == (130, "")
    assert done.err.splitlines() == [
        "… Loading libraries",
        "Interrupted. Everything computed so far is kept.",
        f"To continue: headstart train {photos}",
    ]


def test_an_interrupt_of_fine_tuning_prints_the_command_that_resumes(
    headstart: Cli, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of the run is named, although the user has named none."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise RunInterrupted(Path("runs/photos"))

    monkeypatch.setattr("headstart.commands.train.run_training", interrupted)
    photos = make_folder()
    done = headstart("train", photos, "--tune", "all")
    command = f"headstart train {photos} --tune all --out runs/photos --resume"
    assert (done.code, done.error) == (130, f"To continue: {command}")


def test_recommend_shows_all_trials(
    headstart: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """Each backbone has a row, the recommended one is marked, and the next command is shown."""
    arguments = (
        make_folder(),
        "--image-size",
        "64",
        "--backbones",
        "test_efficientnet=random,test_resnet=random",
    )
    where = ("--cache", tmp_path / "cache", "--out", tmp_path / "out")
    done = headstart("recommend", *arguments, *where)
    assert done.code == 0
    assert "test_efficientnet" in done.out and "test_resnet" in done.out
    assert done.out.count("← recommended") == 1
    (command,) = re.findall(r"  train    (headstart train .*)", done.out)
    assert command.startswith(f"headstart train {arguments[0]} --backbone test_")
    assert command.endswith(" --weights random")
    printed = json.loads(headstart("recommend", *arguments, *where, "--overwrite", "--json").out)
    assert set(printed) == {
        *("recommended", "weights", "why", "images", "backbones", "compared_on"),
    }
    row = {"name", "accuracy", "accuracy_ci95", "images_per_second"}
    assert all(row <= set(trial) for trial in printed["backbones"])


def test_backbones_lists_the_catalogue(headstart: Cli) -> None:
    """The table has a row for each matching backbone, and --json has the numbers."""
    done = headstart("backbones", "vgg")
    assert done.code == 0
    assert "vgg16" in done.out and "vgg19" in done.out and "resnet" not in done.out
    assert "bsd-3-clause" in done.out
    printed = json.loads(headstart("backbones", "vgg16", "--json").out)
    assert [(backbone["name"], backbone["width"]) for backbone in printed] == [("vgg16", 512)]


def test_an_unknown_backbone_suggests_similar_names(
    headstart: Cli, make_folder: MakeFolder
) -> None:
    """The error is one line with names to copy."""
    done = headstart("train", make_folder(), "--backbone", "ResNet-51")
    assert done.code == 1
    assert done.error == (
        "Error: There is no backbone 'ResNet-51'. Did you mean 'resnet51q', 'resnet50', 'resnet18'?"
    )


def test_an_interrupted_training_prints_its_result_and_exits_130(
    headstart: Cli, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result so far is printed, then the command that continues, and the status is 130."""

    class Interrupted:
        interrupted, run = True, Path("runs/my photos")

        def to_json(self):
            return {"run": "runs/photos"}

    monkeypatch.setattr("headstart.commands.train.run_training", lambda *_, **__: Interrupted())
    photos = make_folder()
    done = headstart("train", photos, "--tune", "all", "--json")
    assert (done.code, json.loads(done.out)) == (130, {"run": "runs/photos"})
    command = f"headstart train {photos} --tune all --json --out 'runs/my photos' --resume"
    assert done.error == f"To continue: {command}"


def test_the_version_is_shown(headstart: Cli) -> None:
    """`--version` prints the installed version."""
    done = headstart("--version")
    assert (done.code, done.out) == (0, f"headstart {version('headstart')}\n")
    command = [sys.executable, "-m", "headstart", "--version"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == done.out


def test_the_log_of_a_training(
    train: Callable[..., Completed], make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """There is one line per stage when it is done, and one that says how the data was read."""
    done = train(make_folder(), "--out", tmp_path / "run")
    lines = [line.split("  ")[0] for line in done.err.splitlines() if line[:2] in ("✓ ", "· ")]
    assert [line[:20] for line in lines] == [
        "✓ Checking images",
        "· 24 images of 2 cla",
        "✓ Loading the backbo",
        "✓ Preparing the netw",
        "✓ Extracting feature",
        "✓ Training the head",
        "✓ Evaluating",
        "✓ Writing the report",
        "· Fine-tuning would ",
    ]
