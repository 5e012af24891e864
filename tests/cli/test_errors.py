"""Invalid input: one line on stderr, status 1, nothing on stdout, no traceback."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
from PIL import Image
from safetensors.torch import save_file

from tests.cli.conftest import QUICK, Completed
from tests.conftest import picture

Cli = Callable[..., Completed]
MakeFolder = Callable[..., Path]


def error_line(done: Completed) -> str:
    """Return the error line, after checking what all errors have in common."""
    assert (done.code, done.out) == (1, "")
    assert "Traceback" not in done.err
    lines = [line for line in done.err.splitlines() if line and line[0] not in "…✓·!"]
    assert len(lines) == 1, done.err
    return lines[0]


def test_missing_data(train: Cli) -> None:
    """The message names data that does not exist."""
    assert error_line(train("nowhere")) == "Error: Data 'nowhere' does not exist."


@pytest.mark.parametrize(
    "arguments",
    [("train", "nowhere"), ("recommend", "nowhere"), ("train", ".", "--epochs", "3")],
)
def test_what_is_plainly_wrong_is_said_at_once(arguments: tuple[str, ...]) -> None:
    """No library is loaded before, which takes seconds."""
    code = (
        "import sys, headstart.cli as cli\n"
        "try: cli.main(sys.argv[1:])\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n"
    assert done.stderr.startswith("Error: ") and len(done.stderr.splitlines()) == 1


def test_empty_folder(train: Cli, tmp_path: Path) -> None:
    """For a folder without images, the message says what the folder should contain."""
    (tmp_path / "empty").mkdir()
    assert error_line(train(tmp_path / "empty")) == (
        f"Error: '{tmp_path / 'empty'}' has no images. Pass a folder with one subfolder per class, "
        "with files such as .jpg, .png, .webp or .tif in them."
    )


def test_images_without_class_folders(train: Cli, tmp_path: Path) -> None:
    """For images without class folders, the message says how to label them."""
    (tmp_path / "flat").mkdir()
    picture(1).save(tmp_path / "flat/a.png")
    assert error_line(train(tmp_path / "flat")) == (
        f"Error: '{tmp_path / 'flat'}' has images but no class folders. Put each image into a "
        "folder named after its class, or pass a CSV file with the columns 'path' and 'label'."
    )


def test_one_class(train: Cli, make_folder: MakeFolder) -> None:
    """At least two classes are needed."""
    folder = make_folder(classes=("red",))
    assert error_line(train(folder)) == (
        f"Error: '{folder}' has only one class, 'red'. A classifier needs at least two."
    )


def test_nothing_but_damaged_images(train: Cli, tmp_path: Path) -> None:
    """If every image is damaged, the message has the first reasons."""
    for label in ("blue", "red"):
        (tmp_path / "bad" / label).mkdir(parents=True)
        (tmp_path / "bad" / label / "a.png").write_bytes(b"")
    assert error_line(train(tmp_path / "bad")) == (
        f"Error: '{tmp_path / 'bad'}' has no usable images: all 2 were rejected. "
        "'blue/a.png' and 1 more: the file is empty."
    )


def test_unknown_backbone(train: Cli, make_folder: MakeFolder) -> None:
    """For an unknown backbone, the message suggests similar names."""
    assert error_line(train(make_folder(), "--backbone", "resnet5")) == (
        "Error: There is no backbone 'resnet5'. Did you mean 'resnet50', 'resnet51q', 'resnet50t'?"
    )


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("--test", "1.5", "'test' cannot be 1.5: Input should be less than 1."),
        ("--seed", "-1", "'seed' cannot be -1: Input should be greater than or equal to 0."),
        (
            "--image-size",
            "16",
            "'image_size' cannot be 16: Input should be greater than or equal to 32.",
        ),
    ],
)
def test_value_out_of_range(train: Cli, option: str, value: str, text: str) -> None:
    """For a value out of range, the message has the range."""
    assert error_line(train("anything", option, value)) == f"Error: Option {text}"


def test_group_that_is_not_a_regular_expression(train: Cli, make_folder: MakeFolder) -> None:
    """For an invalid regular expression, the message says what is wrong with it."""
    assert error_line(train(make_folder(), "--group", "[")) == (
        "Error: --group '[' is not a valid regular expression: "
        "unterminated character set at position 0."
    )


def test_weights_that_do_not_exist(train: Cli, make_folder: MakeFolder) -> None:
    """For weights that do not exist, the message lists the valid values."""
    assert error_line(train(make_folder(), "--weights", "nowhere")) == (
        "Error: Weights 'nowhere' are neither 'imagenet', 'random', 'hf-hub:OWNER/NAME' nor a "
        "file. A folder must contain 'model.safetensors'."
    )


def test_weights_of_another_architecture(
    train: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """For weights of another network, the message has the first difference."""
    file = tmp_path / "resnet.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), file)
    line = error_line(train(make_folder(), "--weights", file))
    start = f"Error: Weights '{file}' do not match backbone 'test_efficientnet': "
    assert line.startswith(start + "conv_stem.weight is missing, and ")
    assert line.endswith(" more differences.")


def test_weights_that_could_run_code(train: Cli, make_folder: MakeFolder, tmp_path: Path) -> None:
    """A pickle file is refused without being opened."""
    (tmp_path / "model.pth").write_bytes(b"\x80\x04.")
    assert error_line(train(make_folder(), "--weights", tmp_path / "model.pth")) == (
        f"Error: Weights '{tmp_path / 'model.pth'}' cannot be read. The file is incomplete or "
        "damaged, or contains more than tensors and plain values, which could run code: download "
        "it again, or save the state_dict of the network only."
    )


def test_output_that_exists(train: Cli, make_folder: MakeFolder, tmp_path: Path) -> None:
    """An existing folder is not replaced without --overwrite."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.txt").write_text("mine")
    assert error_line(train(make_folder(), "--out", tmp_path / "run")) == (
        f"Error: Output '{tmp_path / 'run'}' already exists. "
        "Pass --overwrite (overwrite=True) to replace it."
    )


def test_output_that_is_not_a_run(train: Cli, make_folder: MakeFolder, tmp_path: Path) -> None:
    """--overwrite replaces only runs."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.txt").write_text("mine")
    assert error_line(train(make_folder(), "--out", tmp_path / "run", "--overwrite")) == (
        f"Error: Output '{tmp_path / 'run'}' exists but is not a headstart run, so it was not "
        "replaced. Choose another folder."
    )
    assert (tmp_path / "run/thesis.txt").read_text() == "mine"


def test_output_below_a_file(train: Cli, make_folder: MakeFolder, tmp_path: Path) -> None:
    """For an output that cannot be created, the message has the system's reason."""
    (tmp_path / "file").write_text("")
    assert error_line(train(make_folder(), "--out", tmp_path / "file/deeper/run")) == (
        f"Error: Output '{tmp_path / 'file/deeper/run'}' cannot be written: Not a directory."
    )


def test_output_is_checked_before_any_work(
    train: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """An output that cannot be created is an error before any work is done."""
    (tmp_path / "file").write_text("")
    done = train(make_folder(), "--out", tmp_path / "file/deeper/run")
    assert (done.code, done.error[:14]) == (1, "Error: Output ")
    assert "✓" not in done.err


def test_output_that_is_the_current_folder(
    train: Cli, make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--out .` is refused, because the current folder cannot be replaced."""
    folder = make_folder()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert error_line(train(folder, "--out", ".")) == (
        "Error: Output '.' is the current folder, which cannot be replaced. Choose a subfolder."
    )


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_cache_that_is_a_file(
    headstart: Cli, make_folder: MakeFolder, tmp_path: Path, kind: str
) -> None:
    """The message names a cache that cannot be written, whichever part needs it first."""
    data = make_folder()
    if kind == "zip":
        data = Path(shutil.make_archive(str(data), "zip", data))
    cache = tmp_path / "file"
    cache.write_text("")
    done = headstart("train", data, *QUICK, "--cache", cache, "--out", tmp_path / "run")
    assert str(cache) in error_line(done)


def test_demo_with_a_cache_that_is_a_file(headstart: Cli, tmp_path: Path) -> None:
    """The demo's table is also written to the cache."""
    pytest.importorskip("elpv_dataset")
    (tmp_path / "file").write_text("")
    done = headstart("demo", *QUICK, "--cache", tmp_path / "file", "--out", tmp_path / "run")
    assert str(tmp_path / "file") in error_line(done)


def test_model_that_does_not_exist(headstart: Cli, tmp_path: Path) -> None:
    """The message names a model that does not exist."""
    picture(1).save(tmp_path / "a.png")
    done = headstart("predict", "nowhere", tmp_path / "a.png")
    assert error_line(done) == "Error: Model 'nowhere' does not exist."


def test_folder_that_is_not_a_model(headstart: Cli, tmp_path: Path) -> None:
    """For a folder that is not a model, the message says what to pass."""
    picture(1).save(tmp_path / "a.png")
    assert error_line(headstart("predict", tmp_path, tmp_path / "a.png")) == (
        f"Error: '{tmp_path}' is not a model: it contains no 'config.json'. "
        "Pass a run folder or its 'bundle' folder."
    )


@pytest.mark.parametrize("name", ["model.safetensors", "README.md", "config.json"])
def test_changed_byte_in_a_bundle(
    train: Cli, headstart: Cli, make_folder: MakeFolder, tmp_path: Path, name: str
) -> None:
    """One changed byte in any file of a bundle is detected before any prediction."""
    train(make_folder(), "--out", tmp_path / "run")
    file = tmp_path / "run/bundle" / name
    data = bytearray(file.read_bytes())
    position = data.index(b"blue") if name == "config.json" else len(data) // 2
    data[position] ^= 1
    file.write_bytes(data)
    assert error_line(headstart("predict", tmp_path / "run", tmp_path / "photos/red/000.png")) == (
        f"Error: Model '{tmp_path / 'run/bundle'}' was changed or damaged: '{name}' differs "
        "from what was saved. Copy the model again, or retrain it."
    )


def test_folder_without_images_to_predict(
    train: Cli, headstart: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """For a folder without images, the message names it."""
    train(make_folder(), "--out", tmp_path / "run")
    (tmp_path / "empty").mkdir()
    assert error_line(headstart("predict", tmp_path / "run", tmp_path / "empty")) == (
        f"Error: Folder '{tmp_path / 'empty'}' contains no images."
    )


def test_evaluate_on_other_classes(
    train: Cli, headstart: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """If the model knows none of the classes, there is nothing to evaluate."""
    train(make_folder(), "--out", tmp_path / "run")
    other = make_folder(count=1, classes=("green",), name="other")
    assert error_line(headstart("evaluate", tmp_path / "run", other)) == (
        f"Error: '{other}' has no usable images: all 1 were rejected. "
        "'green/000.png': the model has no class green."
    )


def test_evaluate_on_a_missing_split(
    train: Cli, headstart: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """The message names a part that the data does not have."""
    train(make_folder(), "--out", tmp_path / "run")
    done = headstart("evaluate", tmp_path / "run", tmp_path / "photos", "--split", "val")
    assert error_line(done) == (
        "Error: 'photos' has no usable val images. It has no split: put the images into folders "
        "train and val, or add a column 'split' to the table. Or pass --split all."
    )


def test_cuda_without_a_gpu(
    train: Cli, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a GPU, the message says what to use instead."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert error_line(train(make_folder(), "--device", "cuda")) == (
        "Error: device 'cuda' was requested, but torch finds no CUDA GPU. Use 'cpu'."
    )


def test_data_of_an_unknown_kind(train: Cli, tmp_path: Path) -> None:
    """A single image is not a data set."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert error_line(train(tmp_path / "a.png")) == (
        f"Error: '{tmp_path / 'a.png'}' is not a folder, a table (.csv, .tsv, .parquet, "
        ".jsonl) or an archive (.zip, .tar)."
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ("--epochs", "10"),
            "--epochs 10 has no effect without fine-tuning. Add --tune, such as --tune auto.",
        ),
        (
            ("--sample", "2000"),
            "--sample 2000 has no effect unless backbones are compared. Add --backbone auto.",
        ),
    ],
)
def test_option_without_an_effect(train: Cli, arguments: tuple[str, ...], text: str) -> None:
    """It is refused even with its default value, before the data is opened."""
    assert error_line(train("nowhere", *arguments)) == f"Error: {text}"


def test_test_share_of_the_demo(headstart: Cli, tmp_path: Path) -> None:
    """--test has no effect, because the demo's table has a split."""
    pytest.importorskip("elpv_dataset")
    done = headstart("demo", *QUICK, "--test", "0.5", "--cache", tmp_path, "--out", tmp_path / "r")
    assert error_line(done).startswith("Error: --test 0.5 has no effect: ")


def test_an_unknown_choice_lists_the_choices(headstart: Cli, tmp_path: Path) -> None:
    """The message has the value and the choices, and nothing of the library that found it."""
    done = headstart("train", tmp_path, "--head", "svm")
    assert done.code == 2
    assert done.error == (
        "Error: Invalid value for '--head': 'svm' is not one of 'auto', 'linear', 'kernel', "
        "'mlp', 'nearest'."
    )


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("a.xlsx", (), "Output 'a.xlsx' must end in .csv, .parquet or .json."),
        ("a", (), "Output 'a' must end in .csv, .parquet or .json."),
        ("old.csv", (), "Output 'old.csv' already exists. Pass --overwrite (overwrite=True) to "),
        ("dir.csv", ("--overwrite",), "Output 'dir.csv' is a folder. Pass the name of a file."),
        ("old.csv/a.csv", (), "Output 'old.csv/a.csv' cannot be written: Not a directory."),
        (None, ("--overwrite",), "--overwrite has no effect without --out. Add --out with the "),
    ],
)
def test_output_for_predictions_is_checked_first(
    headstart: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    out: str | None,
    options: tuple[str, ...],
    message: str,
) -> None:
    """Before the model is even looked for, a file that cannot be written is an error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.csv").write_text("mine")
    (tmp_path / "dir.csv").mkdir()
    given = ("--out", out) if out else ()
    line = error_line(headstart("predict", "nowhere", "a.png", *given, *options))
    assert line.startswith(f"Error: {message}")
    assert (tmp_path / "old.csv").read_text() == "mine"
