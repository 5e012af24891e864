"""What cannot be exported is refused with the reason, and nothing is left on disk."""

import errno
import os
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import headstart as hs
from headstart.errors import BundleError, ExportError, OptionError, OutputError
from headstart.exporting.formats import OpenVino
from headstart.options import ExportOptions


def message(kind, call, *arguments, **options):
    """Return the message of the error that a call raises."""
    with pytest.raises(kind) as caught:
        call(*arguments, **options)
    return str(caught.value)


@pytest.fixture
def moved(trained, tmp_path):
    """Copy the run, whose manifest then names images that are gone."""
    run = shutil.copytree(trained.run, tmp_path / "moved")
    rows = pq.read_table(run / "manifest.parquet")
    index = rows.column_names.index("path")
    gone = [f"/gone/{Path(path).name}" for path in rows["path"].to_pylist()]
    field = rows.schema.field("path")
    pq.write_table(
        rows.set_column(index, field, pa.array(gone, field.type)), run / "manifest.parquet"
    )
    return run


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"half": True, "int8": True},
            "half and int8 exclude each other. Choose one.",
        ),
        (
            {"half": True, "max_drop": -1},
            "Option 'max_drop' cannot be -1: Input should be greater than or equal to 0.",
        ),
        (
            {"format": "tflite"},
            "Option 'format' cannot be 'tflite': Input should be 'onnx', 'openvino' or 'torch'.",
        ),
        ({"fromat": "onnx"}, "Unknown option 'fromat'. Did you mean 'format'?"),
    ],
)
def test_options_that_cannot_be(trained, tmp_path, options, text):
    """The error says which option, and nothing is read or written."""
    before = sorted(tmp_path.iterdir())
    assert message(OptionError, hs.export, trained.run, **options) == text
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("options", [{"half": True}, {"int8": True}])
def test_max_drop_with_half_or_int8(options):
    """It applies to both."""
    assert ExportOptions.of(max_drop=2, **options).max_drop == 2


def test_an_output_that_exists_is_kept(export, tmp_path, nothing_left):
    """Without overwrite, an earlier export stays."""
    text = f"Output '{tmp_path / 'out'}' already exists. Pass --overwrite to replace it."
    assert message(OutputError, export) == text
    nothing_left()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_an_output_that_is_not_an_export_is_kept(export, tmp_path, kind):
    """Not even overwrite replaces the user's files."""
    out = tmp_path / "out"
    if kind == "folder":
        out.mkdir()
    kept = out / "thesis.txt" if kind == "folder" else out
    kept.write_text("ten years")
    assert message(OutputError, export, overwrite=True) == (
        f"Output '{out}' is not an earlier export, so it was not replaced. Choose another folder."
    )
    assert kept.read_text() == "ten years"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_in_the_way_of_the_folder(export, tmp_path):
    """The folder of the output cannot be made."""
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "out"
    text = message(OutputError, export, out=out)
    assert text == f"Output '{out}' cannot be written: Not a directory."


def test_a_bundle_needs_images(trained, model, tmp_path):
    """A bundle and a predictor do not say what they were trained on."""
    model.save(tmp_path / "bundle")
    text = (
        "This model does not list images, so its export cannot be checked. "
        "Name some with --images FOLDER, or export the run."
    )
    for one in (tmp_path / "bundle", model):
        assert message(OptionError, hs.export, one, out=tmp_path / "out") == text
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_images_that_are_gone(moved, tmp_path):
    """The error names one of them, and how to go on."""
    text = message(OptionError, hs.export, moved, out=tmp_path / "out")
    assert text.startswith("The images of the run are gone ('/gone/000.png' and others), so ")
    assert text.endswith("cannot be checked. Name others with --images FOLDER.")


def test_images_that_are_gone_can_be_replaced(moved, photos, export, tmp_path):
    """Other images serve as well."""
    assert export(moved).parity.images == 3


@pytest.mark.usefixtures("unchecked")
def test_int8_with_images_that_are_gone(moved, export, tmp_path):
    """Labels and pixels of the run's own images are needed."""
    text = message(OptionError, export, moved, int8=True)
    assert text == "36 images of the run are gone ('/gone/000.png'), which --int8 is checked with."
    assert not (tmp_path / "out").exists()


def test_a_folder_without_readable_images(export, tmp_path, nothing_left):
    """There must be something to compare."""
    folder = tmp_path / "out"
    (folder / "a.png").write_text("no image")
    text = message(OptionError, export, images=folder / "a.png", out=tmp_path / "new")
    (folder / "a.png").unlink()
    assert text == (
        "No image to check the export with can be read. "
        f"Cannot read image '{folder / 'a.png'}': it is not an image of a known format. "
        "Name others with --images."
    )
    nothing_left()


def test_images_that_do_not_exist(export, tmp_path):
    """Nothing is written."""
    text = message(OptionError, export, images=tmp_path / "none")
    assert text.endswith("Name others with --images.")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("unchecked")
def test_int8_needs_a_test_part(export, nothing_left, model):
    """Training images cannot say how accurate the integers are."""
    text = (
        "8-bit integers are accepted by their accuracy on test images, and this model has none. "
        "Export a run with a test part, or omit --int8."
    )
    assert message(OptionError, export, model, int8=True, overwrite=True) == text
    nothing_left()


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_a_package_is_missing(export, nothing_left, monkeypatch, package):
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, package, None)
    assert message(OptionError, export, format="onnx", overwrite=True) == (
        f"This export needs the package {package}. Run pip install 'headstart[export]'."
    )
    nothing_left()


@pytest.mark.usefixtures("unchecked")
def test_nncf_is_missing(export, nothing_left, monkeypatch):
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "nncf", None)
    assert message(OptionError, export, int8=True, overwrite=True) == (
        "8-bit integers need NNCF. Run: pip install 'headstart[export]'"
    )
    nothing_left()


def test_a_damaged_bundle(trained, photos, tmp_path):
    """It is found before anything is written."""
    run = shutil.copytree(trained.run, tmp_path / "run")
    (weights,) = run.rglob("model.safetensors")
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 255
    weights.write_bytes(content)
    text = message(BundleError, hs.export, run, images=photos, out=tmp_path / "out")
    assert "model.safetensors" in text
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_model_that_does_not_exist(tmp_path):
    """The error names it."""
    text = message(BundleError, hs.export, tmp_path / "none", out=tmp_path / "out")
    assert str(tmp_path / "none") in text
    assert list(tmp_path.iterdir()) == []


@dataclass(frozen=True)
class OwnModel:
    """A fitted head of the user's own class."""

    kind = "own"


def test_a_head_of_the_users_own(export, model, nothing_left):
    """Its code cannot be exported; the network can."""
    text = (
        "A head of kind 'own' cannot be exported, as only Headstart's own heads can. "
        "Export the network alone with --only-features."
    )
    own = replace(model, head=OwnModel())
    assert message(ExportError, export, own, overwrite=True) == text
    nothing_left()


def test_a_network_that_cannot_be_converted(export, nothing_left, monkeypatch):
    """Whatever a converter raises is one line, with the name of the network."""

    def convert(*_, **__):
        raise RuntimeError("Unsupported operator aten::magic\n  at line 3")

    monkeypatch.setattr(OpenVino, "convert", convert)
    assert message(ExportError, export, overwrite=True) == (
        "'test_efficientnet' cannot be converted to openvino: Unsupported operator aten::magic. "
        "Try another --format."
    )
    nothing_left()


def full(*_, **__):
    """Fail as a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_nothing_of_the_model(export, tmp_path, nothing_left, monkeypatch):
    """The earlier export is unchanged if the model cannot be written."""
    monkeypatch.setattr(OpenVino, "write", full)
    text = f"Output '{tmp_path / 'out'}' cannot be written: No space left on device."
    assert message(OutputError, export, overwrite=True) == text
    nothing_left()


@pytest.mark.usefixtures("unchecked")
def test_a_full_disk_leaves_nothing_of_the_readme(export, tmp_path, nothing_left, monkeypatch):
    """Nor is an export without its README left."""
    monkeypatch.setattr("headstart.exporting.job.readme", full)
    text = f"Output '{tmp_path / 'out'}' cannot be written: No space left on device."
    assert message(OutputError, export, overwrite=True) == text
    nothing_left()


def test_an_interrupted_export_leaves_nothing(export, nothing_left, monkeypatch):
    """Neither in the output nor in the folder for temporary files."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("headstart.exporting.job.check_parity", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(overwrite=True)
    nothing_left()
