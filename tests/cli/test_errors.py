"""What the user can do wrong: one line on stderr, status 1, nothing on stdout, no traceback."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
from PIL import Image
from safetensors.torch import save_file

from tests.cli.conftest import QUICK, Done
from tests.conftest import picture

Cli = Callable[..., Done]
MakeFolder = Callable[..., Path]


def said(done: Done) -> str:
    """Give the one line of an error, after what must hold for each."""
    assert (done.code, done.out) == (1, "")
    assert "Traceback" not in done.err
    lines = [line for line in done.err.splitlines() if line and not line.startswith(("✓", "!"))]
    assert len(lines) == 1, done.err
    return lines[0]


def test_missing_data(train: Cli) -> None:
    """Data that does not exist is named."""
    assert said(train("nowhere")) == "Error: Data 'nowhere' does not exist."


def test_empty_folder(train: Cli, tmp_path: Path) -> None:
    """A folder without images is answered with what it should hold."""
    (tmp_path / "empty").mkdir()
    assert said(train(tmp_path / "empty")) == (
        f"Error: '{tmp_path / 'empty'}' has no images. Pass a folder with one subfolder per class, "
        "with files such as .jpg, .png, .webp or .tif in them."
    )


def test_images_without_class_folders(train: Cli, tmp_path: Path) -> None:
    """A folder of mere images is answered with how to label them."""
    (tmp_path / "flat").mkdir()
    picture(1).save(tmp_path / "flat/a.png")
    assert said(train(tmp_path / "flat")) == (
        f"Error: '{tmp_path / 'flat'}' has images but no class folders. Put each image into a "
        "folder named after its class, or pass a CSV file with the columns 'path' and 'label'."
    )


def test_one_class(train: Cli, make_folder: MakeFolder) -> None:
    """One class is nothing to tell apart."""
    folder = make_folder(classes=("red",))
    assert said(train(folder)) == (
        f"Error: '{folder}' has only one class, 'red'. A classifier needs at least two."
    )


def test_nothing_but_damaged_images(train: Cli, tmp_path: Path) -> None:
    """Where every image is damaged, the first reasons are told."""
    for label in ("blue", "red"):
        (tmp_path / "bad" / label).mkdir(parents=True)
        (tmp_path / "bad" / label / "a.png").write_bytes(b"")
    assert said(train(tmp_path / "bad")) == (
        f"Error: '{tmp_path / 'bad'}' has no usable images: all 2 were rejected "
        "(blue/a.png: the file is empty; red/a.png: the file is empty)."
    )


def test_unknown_backbone(train: Cli, make_folder: MakeFolder) -> None:
    """A wrong name of a backbone is answered with near ones."""
    assert said(train(make_folder(), "--backbone", "resnet5")) == (
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
    """A value outside its range is told with the range."""
    assert said(train("anything", option, value)) == f"Error: Option {text}"


def test_group_that_is_no_expression(train: Cli, make_folder: MakeFolder) -> None:
    """A broken regular expression is told with its problem."""
    assert said(train(make_folder(), "--group", "[")) == (
        "Error: --group '[' is not a valid regular expression: "
        "unterminated character set at position 0."
    )


def test_weights_that_are_no_file(train: Cli, make_folder: MakeFolder) -> None:
    """Weights that do not exist are answered with what may stand there."""
    assert said(train(make_folder(), "--weights", "nowhere")) == (
        "Error: Weights 'nowhere' are neither 'imagenet', 'random', 'hf-hub:OWNER/NAME' nor a "
        "file. A folder must contain 'model.safetensors'."
    )


def test_weights_of_another_architecture(
    train: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """Weights of another network are refused with the first difference."""
    file = tmp_path / "resnet.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), file)
    line = said(train(make_folder(), "--weights", file))
    start = f"Error: Weights '{file}' do not match backbone 'test_efficientnet': "
    assert line.startswith(start + "conv_stem.weight is missing, and ")
    assert line.endswith(" more differences.")


def test_weights_that_could_run_code(train: Cli, make_folder: MakeFolder, tmp_path: Path) -> None:
    """A pickle is not opened."""
    (tmp_path / "model.pth").write_bytes(b"\x80\x04.")
    assert said(train(make_folder(), "--weights", tmp_path / "model.pth")) == (
        f"Error: Weights '{tmp_path / 'model.pth'}' are not in the safetensors format, and other "
        "formats can run code. Convert them with safetensors.torch.save_file."
    )


def test_output_that_exists(train: Cli, make_folder: MakeFolder, tmp_path: Path) -> None:
    """A run is not replaced unasked."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.txt").write_text("mine")
    assert said(train(make_folder(), "--out", tmp_path / "run")) == (
        f"Error: Output '{tmp_path / 'run'}' already exists. "
        "Pass --overwrite (overwrite=True) to replace it."
    )


def test_output_that_is_no_run(train: Cli, make_folder: MakeFolder, tmp_path: Path) -> None:
    """--overwrite replaces runs only."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.txt").write_text("mine")
    assert said(train(make_folder(), "--out", tmp_path / "run", "--overwrite")) == (
        f"Error: Output '{tmp_path / 'run'}' exists and is no run of headstart, so it is not "
        "replaced. Choose another folder."
    )
    assert (tmp_path / "run/thesis.txt").read_text() == "mine"


def test_output_below_a_file(train: Cli, make_folder: MakeFolder, tmp_path: Path) -> None:
    """An output that cannot be made is told with the system's reason."""
    (tmp_path / "file").write_text("")
    assert said(train(make_folder(), "--out", tmp_path / "file/deeper/run")) == (
        f"Error: Output '{tmp_path / 'file/deeper/run'}' cannot be written: Not a directory."
    )


def test_output_is_checked_before_any_work(
    train: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """An output that cannot be made is told at once, not after the training."""
    (tmp_path / "file").write_text("")
    done = train(make_folder(), "--out", tmp_path / "file/deeper/run")
    assert (done.code, done.error[:14]) == (1, "Error: Output ")
    assert "✓" not in done.err


def test_output_where_the_user_stands(
    train: Cli, make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--out .` cannot be replaced by a run as a whole, so it is refused."""
    folder = make_folder()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert said(train(folder, "--out", ".")).startswith("Error: Output '.' ")


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_cache_that_is_a_file(
    headstart: Cli, make_folder: MakeFolder, tmp_path: Path, kind: str
) -> None:
    """A cache that cannot be written is told, whichever part needs it first."""
    data = make_folder()
    if kind == "zip":
        data = Path(shutil.make_archive(str(data), "zip", data))
    cache = tmp_path / "file"
    cache.write_text("")
    done = headstart("train", data, *QUICK, "--cache", cache, "--out", tmp_path / "run")
    assert str(cache) in said(done)


def test_demo_with_a_cache_that_is_a_file(headstart: Cli, tmp_path: Path) -> None:
    """The demo's table goes to the cache, too."""
    pytest.importorskip("elpv_dataset")
    (tmp_path / "file").write_text("")
    done = headstart("demo", *QUICK, "--cache", tmp_path / "file", "--out", tmp_path / "run")
    assert str(tmp_path / "file") in said(done)


def test_model_that_does_not_exist(headstart: Cli, tmp_path: Path) -> None:
    """A missing model is named."""
    picture(1).save(tmp_path / "a.png")
    done = headstart("predict", "nowhere", tmp_path / "a.png")
    assert said(done) == "Error: Model 'nowhere' does not exist."


def test_folder_that_is_no_model(headstart: Cli, tmp_path: Path) -> None:
    """A folder that no training wrote is answered with what a model is."""
    picture(1).save(tmp_path / "a.png")
    assert said(headstart("predict", tmp_path, tmp_path / "a.png")) == (
        f"Error: '{tmp_path}' is no model: it holds no 'config.json'. "
        "Give a run or its 'bundle' folder."
    )


@pytest.mark.parametrize("name", ["model.safetensors", "README.md", "config.json"])
def test_changed_byte_in_a_bundle(
    train: Cli, headstart: Cli, make_folder: MakeFolder, tmp_path: Path, name: str
) -> None:
    """One changed byte of any file of a bundle is found before anything is predicted."""
    train(make_folder(), "--out", tmp_path / "run")
    file = tmp_path / "run/bundle" / name
    data = bytearray(file.read_bytes())
    place = data.index(b"blue") if name == "config.json" else len(data) // 2
    data[place] ^= 1
    file.write_bytes(data)
    assert said(headstart("predict", tmp_path / "run", tmp_path / "photos/red/000.png")) == (
        f"Error: Model '{tmp_path / 'run/bundle'}' was changed or damaged: '{name}' is not what "
        "was saved. Copy it again, or train again."
    )


def test_folder_without_images_to_predict(
    train: Cli, headstart: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """An empty folder is no list of images."""
    train(make_folder(), "--out", tmp_path / "run")
    (tmp_path / "empty").mkdir()
    assert said(headstart("predict", tmp_path / "run", tmp_path / "empty")) == (
        f"Error: Folder '{tmp_path / 'empty'}' holds no images."
    )


def test_evaluate_on_other_classes(
    train: Cli, headstart: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """Where the model knows none of the classes, nothing can be measured."""
    train(make_folder(), "--out", tmp_path / "run")
    other = make_folder(count=1, classes=("green",), name="other")
    assert said(headstart("evaluate", tmp_path / "run", other)) == (
        f"Error: '{other}' has no usable images: all 1 were rejected "
        "(green/000.png: the model has no class green)."
    )


def test_evaluate_on_a_split_that_is_not_there(
    train: Cli, headstart: Cli, make_folder: MakeFolder, tmp_path: Path
) -> None:
    """A part that the data does not have is named."""
    train(make_folder(), "--out", tmp_path / "run")
    done = headstart("evaluate", tmp_path / "run", tmp_path / "photos", "--split", "val")
    assert said(done) == "Error: 'photos' has no usable image in its val part."


def test_cuda_where_there_is_none(
    train: Cli, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU that is not there is told with what to use instead."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert said(train(make_folder(), "--device", "cuda")) == (
        "Error: device 'cuda' was requested, but torch finds no CUDA GPU. Use 'cpu'."
    )


def test_data_of_an_unknown_kind(train: Cli, tmp_path: Path) -> None:
    """A single image is no data set."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert said(train(tmp_path / "a.png")) == (
        f"Error: '{tmp_path / 'a.png'}' is not a folder, a table (.csv, .parquet) or an archive "
        "(.zip, .tar)."
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
    """It is refused even with its default value, before the data is looked at."""
    assert said(train("nowhere", *arguments)) == f"Error: {text}"


def test_share_for_the_test_of_the_demo(headstart: Cli, tmp_path: Path) -> None:
    """The demo's table has a split of its own."""
    pytest.importorskip("elpv_dataset")
    done = headstart("demo", *QUICK, "--test", "0.5", "--cache", tmp_path, "--out", tmp_path / "r")
    assert said(done).startswith("Error: --test 0.5 has no effect: ")
