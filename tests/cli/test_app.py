"""The commands: what they print, where, and with which exit status."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from headstart.cli.app import _say_training
from headstart.commands import demo
from tests.cli.conftest import Done

Cli = Callable[..., Done]
MakeFolder = Callable[..., Path]


@pytest.fixture
def run(train: Cli, make_folder: MakeFolder, tmp_path: Path) -> Path:
    """A trained run of blue and red, made in a moment."""
    assert train(make_folder(), "--out", tmp_path / "run").code == 0
    return tmp_path / "run"


def stripped(text: str) -> list[str]:
    """Give the lines without what pads a table."""
    return [line.strip() for line in text.splitlines()]


def test_train_json_has_the_promised_keys(
    train: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """`train --json` prints what design.md lists, and no other key at the top."""
    told = json.loads(train(make_folder(), "--json", "--out", tmp_path / "run").out)
    assert set(told) == {
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
        ),
    }
    assert told["run"] == str(tmp_path / "run")
    assert (told["backbone"], told["features"]) == ("test_efficientnet", "last")
    assert (told["head"], told["tuned"]) == ("linear", None)
    assert told["classes"] == ["blue", "red"]
    assert set(told["images"]) == {"train", "val", "test", "rejected"}
    assert sum(told["images"].values()) == 24
    assert set(told["test"]) == {"accuracy", "accuracy_ci95", "macro_f1", "auroc", "ece"}
    low, high = told["test"]["accuracy_ci95"]
    assert 0 <= low <= told["test"]["accuracy"] <= high <= 1
    assert set(told["seconds"]) >= {"extract", "head", "tune", "total"}


def test_train_json_is_all_that_stdout_gets(
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


def test_train_shows_what_was_measured(
    train: Cli, make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --json, stdout tells the result, its interval, each class, and how to go on."""
    monkeypatch.chdir(tmp_path)
    done = train(make_folder(), "--out", "runs/one")
    lines = [line for line in stripped(done.out) if line]
    lines[1] = re.sub(r"error 0\.0\d\d", "error 0.0xx", lines[1])
    rule = lines.pop(3)
    assert set(rule) == {"─"}
    seconds = lines.pop(5)
    assert re.fullmatch(r"Done in \d+\.\d s", seconds)
    assert lines == [
        "100.0% right on 6 test images, 95 % interval 61.0% … 100.0%",
        (
            "AUROC 1.000 · macro-F1 1.000 · calibration error 0.0xx · "
            "always telling the commonest class: 66.7%"
        ),
        "class   precision   recall      F1   images",
        "blue       100.0%   100.0%   1.000        4",
        "red        100.0%   100.0%   1.000        2",
        "report   runs/one/report.html",
        "use it   headstart predict runs/one IMAGE",
    ]


def test_train_shows_what_it_chose_from(
    headstart: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """Where several heads were compared, each is shown, and the chosen one is marked."""
    options = ("--backbone", "test_efficientnet", "--weights", "random", "--image-size", "64")
    options = (*options, "--features", "last", "--cache", tmp_path / "cache")
    done = headstart("train", make_folder(), *options, "--out", tmp_path / "run")
    assert "Compared on held-out folds of the training images:" in done.out
    rows = [line.split() for line in stripped(done.out) if line.startswith("last ")]
    assert sorted(row[1] for row in rows) == ["kernel", "linear"]
    assert [row[-2:] for row in rows if "taken" in row] == [["←", "taken"]]


def test_train_says_when_nothing_was_measured(
    train: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """Without a test part no number is made up: the text says so, the JSON has null."""
    text = train(make_folder(), "--test", "0", "--out", tmp_path / "one").out
    told = json.loads(
        train(tmp_path / "photos", "--test", "0", "--json", "--out", tmp_path / "two").out
    )
    first = "Nothing was kept for a test, so how good the model is was not measured."
    assert text.splitlines()[0] == first
    assert told["test"] is None


def test_train_names_the_images_that_it_did_not_use(
    train: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """A damaged file is shown with its reason, and counted in the JSON."""
    folder = make_folder()
    (folder / "red/broken.png").write_bytes(b"no image")
    done = train(folder, "--out", tmp_path / "one")
    assert "Not used: 1 images" in done.out
    assert "red/broken.png   it is not an image of a known format" in stripped(done.out)
    told = json.loads(train(folder, "--json", "--out", tmp_path / "two").out)
    assert told["images"]["rejected"] == 1


def test_predict_shows_a_line_for_each_image(
    headstart: Cli, run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each file gets its label, probability and the runner-up."""
    monkeypatch.chdir(tmp_path)
    done = headstart("predict", run, "photos/blue/000.png", "photos/red/001.png")
    lines = [line for line in stripped(done.out) if line]
    assert done.code == 0
    assert lines[0].split() == ["image", "label", "probability", "otherwise"]
    told = [line.split() for line in lines[2:]]
    assert [(image, label, other) for image, label, _, other, _ in told] == [
        ("photos/blue/000.png", "blue", "red"),
        ("photos/red/001.png", "red", "blue"),
    ]
    for _, _, probability, _, rest in told:
        assert 90 < float(probability.rstrip("%")) < 100
        assert float(probability.rstrip("%")) + float(rest.rstrip("%")) == pytest.approx(100, abs=1)


def test_predict_json_is_a_list_with_errors_in_place(
    headstart: Cli, run: Path, tmp_path: Path
) -> None:
    """`predict --json` has the promised shape, and an unreadable file among good ones is named."""
    bad, missing = tmp_path / "bad.png", tmp_path / "missing.png"
    bad.write_bytes(b"no image")
    good = [tmp_path / "photos/blue/000.png", tmp_path / "photos/red/001.png"]
    done = headstart("predict", run, good[0], bad, missing, good[1], "--json")
    blue, unread, absent, red = json.loads(done.out)
    assert done.code == 0
    assert unread == {"image": str(bad), "error": "it is not an image of a known format"}
    assert absent == {"image": str(missing), "error": "the file does not exist"}
    assert set(blue) == {"image", "label", "probability", "top"}
    assert (blue["image"], blue["label"]) == (str(good[0]), "blue")
    assert (red["image"], red["label"]) == (str(good[1]), "red")
    assert [set(one) for one in blue["top"]] == [{"label", "probability"}] * 2
    assert [one["label"] for one in blue["top"]] == ["blue", "red"]
    assert blue["top"][0]["probability"] == blue["probability"]


def test_predict_looks_into_folders(headstart: Cli, run: Path, tmp_path: Path) -> None:
    """A folder stands for every image below it, in order; notes that lie about are passed over."""
    (tmp_path / "photos/blue/notes.txt").write_text("hello")
    told = json.loads(headstart("predict", run, tmp_path / "photos", "--json").out)
    expected = sorted(str(path) for path in (tmp_path / "photos").rglob("*.png"))
    assert [one["image"] for one in told] == expected
    assert [one["label"] for one in told] == ["blue"] * 12 + ["red"] * 12


def test_predict_exits_1_when_no_image_can_be_read(
    headstart: Cli, run: Path, tmp_path: Path
) -> None:
    """With nothing but unreadable files, each is still told, and the status is 1."""
    (tmp_path / "bad.png").write_bytes(b"")
    done = headstart("predict", run, tmp_path / "bad.png", "--json")
    assert done.code == 1
    expected = [{"image": str(tmp_path / "bad.png"), "error": "the file is empty"}]
    assert json.loads(done.out) == expected


def test_predict_top_limits_the_list(headstart: Cli, run: Path, tmp_path: Path) -> None:
    """--top 1 lists the label alone."""
    image = tmp_path / "photos/blue/000.png"
    (told,) = json.loads(headstart("predict", run, image, "--top", "1", "--json").out)
    assert told["top"] == [{"label": "blue", "probability": told["probability"]}]


def test_predict_takes_the_bundle_as_well(headstart: Cli, run: Path, tmp_path: Path) -> None:
    """A run and its bundle are the same model."""
    image = tmp_path / "photos/blue/000.png"
    of_run = headstart("predict", run, image, "--json").out
    assert headstart("predict", run / "bundle", image, "--json").out == of_run


def test_evaluate_json_has_the_numbers(headstart: Cli, run: Path, tmp_path: Path) -> None:
    """`evaluate --json` says which images were taken and what was measured on them."""
    told = json.loads(headstart("evaluate", run, tmp_path / "photos", "--json").out)
    assert set(told) == {
        *("split", "images", "accuracy", "accuracy_ci95", "macro_f1", "auroc", "ece"),
        *("log_loss", "majority", "rejected"),
    }
    assert (told["split"], told["images"], told["accuracy"]) == ("all", 24, 1.0)
    assert (told["majority"], told["rejected"]) == (0.5, [])


def test_evaluate_shows_what_was_measured(headstart: Cli, run: Path, tmp_path: Path) -> None:
    """Without --json, the same table as after a training."""
    lines = stripped(headstart("evaluate", run, tmp_path / "photos").out)
    assert lines[0] == "100.0% right on 24 images, 95 % interval 86.2% … 100.0%"
    assert "red        100.0%   100.0%   1.000       12" in lines


def test_evaluate_names_images_of_unknown_classes(
    headstart: Cli, run: Path, tmp_path: Path
) -> None:
    """Images of a class that the model does not have are rejected by name, the others measured."""
    folder = tmp_path / "photos"
    (folder / "green").mkdir()
    shutil.copy(folder / "red/000.png", folder / "green/other.png")
    (folder / "red/000.png").unlink()
    told = json.loads(headstart("evaluate", run, folder, "--json").out)
    reason = "the model has no class green"
    assert told["rejected"] == [{"image": "green/other.png", "reason": reason}]
    assert told["images"] == 23


def test_cache_info_tells_what_is_kept(headstart: Cli, run: Path, tmp_path: Path) -> None:
    """`cache info` lists each table of features with its backbone, size and number of images."""
    done = headstart("cache", "info", "--cache", tmp_path / "cache")
    lines = [line for line in stripped(done.out) if line]
    assert lines[0] == f"Kept in {tmp_path / 'cache'}"
    assert lines[1].split() == ["backbone", "image", "size", "precision", "images", "size"]
    name, side, _, images, size, unit = lines[3].split()
    assert (name, side, images, unit) == ("test_efficientnet", "64", "24", "MB")
    assert float(size) > 0
    pattern = r"In all: features \d+\.\d MB, networks \d+\.\d MB, images 0\.0 MB, "
    assert re.fullmatch(pattern + r"boundary 0\.0 MB, tuning 0\.0 MB", lines[4])


def test_cache_info_json(headstart: Cli, run: Path, tmp_path: Path) -> None:
    """`cache info --json` gives folder, tables and bytes."""
    told = json.loads(headstart("cache", "info", "--json", "--cache", tmp_path / "cache").out)
    assert set(told) == {"folder", "tables", "bytes"}
    assert told["folder"] == str(tmp_path / "cache")
    (table,) = told["tables"]
    assert set(table) == {"about", "images", "bytes"}
    assert (table["about"]["architecture"], table["images"]) == ("test_efficientnet", 24)
    assert set(told["bytes"]) == {"features", "networks", "images", "boundary", "tuning"}


def test_cache_clear_forgets_everything(headstart: Cli, run: Path, tmp_path: Path) -> None:
    """`cache clear --json` says how much it freed; nothing is left, and the run still predicts."""
    cache = tmp_path / "cache"
    kept = json.loads(headstart("cache", "info", "--json", "--cache", cache).out)
    told = json.loads(headstart("cache", "clear", "--json", "--cache", cache).out)
    assert told == {"folder": str(cache), "freed_bytes": sum(kept["bytes"].values())}
    assert list(cache.iterdir()) == []
    image = tmp_path / "photos/blue/000.png"
    assert headstart("predict", run, image, "--cache", cache).code == 0


def test_cache_clear_says_how_much(headstart: Cli, tmp_path: Path) -> None:
    """Clearing an empty cache is no error."""
    done = headstart("cache", "clear", "--cache", tmp_path / "nothing")
    assert (done.code, done.out) == (0, f"Freed 0.0 MB in {tmp_path / 'nothing'}\n")


def test_demo_without_its_photos_says_what_to_install(
    headstart: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where elpv-dataset is missing, one line says how to get it."""
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    done = headstart("demo")
    assert (done.code, done.out) == (1, "")
    assert (
        done.error
        == "Error: The demo's photos are not installed. Run: pip install 'headstart[demo]'"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "Error: No such command 'trian'. Did you mean 'train'?"),
        (["train"], "Error: Missing argument 'data'."),
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
def test_wrong_usage_exits_2(headstart: Cli, arguments: list[str], said: str) -> None:
    """What the shell was told wrongly is answered with the usage, the problem, and status 2."""
    done = headstart(*arguments)
    assert (done.code, done.out, done.error) == (2, "", said)
    assert done.err.startswith("Usage: ")


def test_a_wrong_choice_lists_the_right_ones(headstart: Cli) -> None:
    """`--head foo` is answered with the heads that there are."""
    done = headstart("train", "x", "--head", "foo")
    assert done.code == 2
    assert done.error.endswith("'foo' is not one of 'auto', 'linear', 'kernel', 'mlp', 'nearest'.")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["cache", "--help"]])
def test_help_exits_0(headstart: Cli, arguments: list[str]) -> None:
    """Help is no error and goes to stdout."""
    done = headstart(*arguments)
    assert (done.code, done.err) == (0, "")
    assert "Usage: " in done.out


def test_an_interrupt_exits_130(
    headstart: Cli, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C is told in one line, without a traceback."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("headstart.commands.train.run_training", interrupted)
    done = headstart("train", make_folder())
    assert (done.code, done.out) == (130, "")
    assert done.err == "Interrupted. What was computed is kept.\n"


def test_recommend_shows_what_was_tried(
    headstart: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """A row for each backbone, the one to take marked, and the command that uses it."""
    arguments = (make_folder(), "--backbones", "test_efficientnet=random,test_resnet=random")
    where = ("--cache", tmp_path / "cache", "--out", tmp_path / "out")
    done = headstart("recommend", *arguments, *where)
    assert done.code == 0
    assert "test_efficientnet" in done.out and "test_resnet" in done.out
    assert done.out.count("← take") == 1
    assert "headstart train DATA --backbone test_" in done.out
    told = json.loads(headstart("recommend", *arguments, *where, "--overwrite", "--json").out)
    assert set(told) == {"recommended", "weights", "why", "images", "backbones"}
    row = {"name", "accuracy", "accuracy_ci95", "images_per_second"}
    assert all(row <= set(one) for one in told["backbones"])


def test_backbones_lists_the_catalogue(headstart: Cli) -> None:
    """The table has a row for each name that holds the text, and --json has the numbers."""
    done = headstart("backbones", "vgg")
    assert done.code == 0
    assert "vgg16" in done.out and "vgg19" in done.out and "resnet" not in done.out
    assert "bsd-3-clause" in done.out
    told = json.loads(headstart("backbones", "vgg16", "--json").out)
    assert [(one["name"], one["width"]) for one in told] == [("vgg16", 512)]


def test_an_unknown_backbone_suggests_near_ones(headstart: Cli, make_folder: MakeFolder) -> None:
    """One line, with names to copy."""
    done = headstart("train", make_folder(), "--backbone", "ResNet-51")
    assert done.code == 1
    assert done.error == (
        "Error: There is no backbone 'ResNet-51'. Did you mean 'resnet51q', 'resnet50', 'resnet18'?"
    )


def test_an_interrupted_training_is_told_and_exits_with_130(capsys):
    """What was trained till then is printed; the status says that it was cut short."""

    class Cut:
        interrupted = True

        def to_json(self):
            return {"run": "runs/photos"}

    with pytest.raises(typer.Exit) as end:
        _say_training(Cut(), True)
    assert end.value.exit_code == 130
    assert json.loads(capsys.readouterr().out) == {"run": "runs/photos"}
